"""A release that moves core files does nothing else: a running service shows no difference."""

import io
import json
import os
import re
import subprocess
import sys
import tarfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from core import moves
from gatehouse.signing.keys import new_key
from rendering import RELEASES, REPOSITORY
from versions import order

CORE = "template/gatehouse"
BEFORE = max(RELEASES, key=order)
Shown = dict[str, Any]


@pytest.fixture(scope="module")
def released(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The core of the newest release, if today's has moved files since then."""
    folder = tmp_path_factory.mktemp("released")
    command = ["git", "-C", str(REPOSITORY), "archive", RELEASES[BEFORE], CORE]
    archive = subprocess.run(command, check=True, capture_output=True).stdout
    with tarfile.open(fileobj=io.BytesIO(archive)) as files:
        files.extractall(folder, filter="data")
    if moves(folder) == moves(REPOSITORY):
        pytest.skip(f"nothing has moved since {BEFORE}")
    return folder


@pytest.fixture(scope="module")
def both(released: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[Shown, Shown]:
    """What the released core shows, and today's."""
    found, key = [], str(new_key())
    for root in (released, REPOSITORY):
        folder = tmp_path_factory.mktemp("shown")
        source = root / CORE / "src"
        env = {
            "PATH": os.environ["PATH"],
            "COLUMNS": "100",
            "PYTHONPATH": os.pathsep.join(map(str, (source, REPOSITORY / CORE / "tests"))),
            "AUTH_KEYS": key,
            "DATABASE_URL": f"sqlite:///{folder}/service.db",
            "TRUSTED_PROXIES": "192.0.2.1/32",
            "PUBLIC_BASE_URL": "https://service.example",
            "AUTH_REGISTRATION": "open",
        }
        script = [sys.executable, str(REPOSITORY / "tests/shown.py")]
        done = subprocess.run(script, cwd=folder, env=env, capture_output=True, text=True)
        assert done.returncode == 0, done.stderr
        shown: Shown = json.loads(done.stdout)
        assert Path(shown.pop("core")) == source / "gatehouse"
        found.append(shown)
    one, other = found
    return one, other


def test_what_is_compared_is_there(both: tuple[Shown, Shown]) -> None:
    """Two cores that show nothing would be equal."""
    _, shown = both
    assert '"/auth/token"' in shown["document"]
    assert {"gatehouse.audit", "gatehouse.outbox"} <= set(shown["loggers"])
    assert {200, 202, 401, 404, 405, 422} <= {status for status, *_ in shown["answers"].values()}
    assert any(line.startswith("gatehouse.audit ") for line in shown["lines"])
    assert all(text.startswith("usage: ") for text in shown["commands"].values())


def parts(shown: Shown) -> Iterator[tuple[str, Any]]:
    """What is shown, piece by piece, so that a difference is read at once."""
    for kind, found in shown.items():
        if kind == "document":
            yield kind, found
        elif isinstance(found, dict):
            yield from ((f"{kind}: {name}", value) for name, value in found.items())
        else:
            yield kind, found


def test_a_running_service_shows_nothing_of_a_move(both: tuple[Shown, Shown]) -> None:
    before, now = map(dict, map(parts, both))
    assert sorted(before.keys() ^ now.keys()) == []
    different = [name for name in now if now[name] != before[name]]
    for name in different[:5]:
        print(f"{name}\n  {before[name]!r:.2000}\n  {now[name]!r:.2000}")
    assert different == []


def test_what_is_no_module_is_the_same_to_the_byte_where_it_is_now(released: Path) -> None:
    inside = [folder / "template" for folder in (released, REPOSITORY)]
    known = moves(released)
    moved = {old: new for old, new in moves(REPOSITORY).items() if old not in known}
    for old, new in moved.items():
        before, now = inside[0] / old, inside[1] / new
        if before.suffix != ".py":
            assert before.read_bytes() == now.read_bytes(), new


def test_the_table_of_moved_modules_is_the_list_of_them() -> None:
    """UPGRADING.md has it for whoever imports deep names of the core."""
    text = (REPOSITORY / "UPGRADING.md").read_text("utf-8")
    rows = re.findall(r"^\| `(gatehouse\.[\w.]+)` \| `(gatehouse\.[\w.]+)` \|$", text, re.M)
    modules = [pair for pair in moves(REPOSITORY).items() if pair[0].endswith(".py")]
    assert sorted(rows) == sorted((dotted(old), dotted(new)) for old, new in modules)
    assert rows


def dotted(path: str) -> str:
    """The name under which a module in `gatehouse/src` is imported."""
    return path.removeprefix("gatehouse/src/").removesuffix(".py").replace("/", ".")
