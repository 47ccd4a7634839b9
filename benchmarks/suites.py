"""An owner's `uv run pytest` in a fresh service, at 0.4.0 and here, in turns.

Both are rendered with the default answers and installed by uv. Takes some two minutes.
"""

import argparse
import io
import os
import re
import shutil
import subprocess
import sys
import tarfile
import tempfile
import time
from pathlib import Path
from statistics import median
from typing import NamedTuple

from benchmarks.report import Row, as_text, compare
from benchmarks.service import (
    REPOSITORY,
    Command,
    copy_command,
    plain_environment,
    run,
    take_snapshot,
)

BEFORE = "31dc0b36686b7692367bec71adea64dec686de58"  # 0.4.0
TARGET = 0.5
ROUNDS = 3
MOST_SECONDS = 1200  # of one run
BEGAN = time.monotonic()


class Run(NamedTuple):
    """One run of a suite: seconds from the command to its end, CPU seconds, tests that passed."""

    seconds: float
    cpu: float
    passed: int


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.suites", description=__doc__)
    parser.add_argument("--rounds", type=int, default=ROUNDS, help=f"of each ({ROUNDS})")
    parser.add_argument("--check", action="store_true", help="exit with 1 if the target is missed")
    asked = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="gatehouse-suites-") as name:
        folder = Path(name).resolve()
        environment = plain_environment(folder)
        environment.pop("PYTHONDONTWRITEBYTECODE", None)  # an owner's second run compiles nothing
        _say("rendering and installing a service of 0.4.0 and one of this version")
        (folder / "here").mkdir()
        templates = {
            "before": _unpack(BEFORE, folder / "before"),
            "now": take_snapshot(folder / "here", environment),
        }
        services = {
            name: _install(template, folder / f"{name}-service", environment)
            for name, template in templates.items()
        }
        pairs = []
        for number in range(asked.rounds + 1):
            before, now = (_run_suite(service, environment) for service in services.values())
            _say(f"0.4.0: {_words(before)}; here: {_words(now)}")
            if number:  # the first compiles what it imports
                pairs.append((before, now))
    rows = _rows(pairs)
    print(as_text(rows))
    return 1 if asked.check and any(row.met is False for row in rows) else 0


def _rows(pairs: list[tuple[Run, Run]]) -> list[Row]:
    before, now = (
        f"{median(run.passed for run in side):.0f} tests" for side in zip(*pairs, strict=True)
    )
    return [
        compare(
            "uv run pytest",
            [(one.seconds, other.seconds) for one, other in pairs],
            "s",
            target=f"≤ {TARGET}",
            met=lambda ratio: ratio <= TARGET,
        ),
        compare("its CPU time", [(one.cpu, other.cpu) for one, other in pairs], "s"),
        Row("what passed", before, now, None),
    ]


def _unpack(commit: str, folder: Path) -> Path:
    """The template as it was at a commit, without the repository."""
    command = ["git", "-C", str(REPOSITORY), "archive", commit]
    archive = subprocess.run(command, check=True, capture_output=True).stdout
    with tarfile.open(fileobj=io.BytesIO(archive)) as files:
        files.extractall(folder, filter="data")
    return folder


def _install(template: Path, service: Path, environment: dict[str, str]) -> Path:
    run(copy_command(template, service), template, environment)
    run([_uv(), "sync", "--quiet", "--python", sys.executable], service, environment)
    return service


def _run_suite(service: Path, environment: dict[str, str]) -> Run:
    """As the owner runs it. It must be green: what fails early is quick."""
    command: Command = [_uv(), "run", "pytest", "-q"]
    began, before = time.perf_counter(), os.times()
    said = subprocess.run(
        list(map(str, command)),
        cwd=service,
        env=environment,
        capture_output=True,
        text=True,
        timeout=MOST_SECONDS,
    )
    seconds, after = time.perf_counter() - began, os.times()
    if said.returncode:
        raise SystemExit(f"the suite of {service} failed:\n{said.stdout[-4000:]}{said.stderr}")
    found = re.search(r"(\d+) passed", said.stdout)
    if not found:
        raise SystemExit(f"the suite of {service} does not say what passed:\n{said.stdout}")
    cpu = after.children_user + after.children_system
    cpu -= before.children_user + before.children_system
    return Run(seconds, cpu, int(found[1]))


def _uv() -> str:
    return os.environ.get("UV") or shutil.which("uv") or "uv"


def _words(found: Run) -> str:
    return f"{found.passed} tests in {found.seconds:.1f} s"


def _say(doing: str) -> None:
    print(f"{time.monotonic() - BEGAN:5.0f} s  {doing}", file=sys.stderr, flush=True)


if __name__ == "__main__":
    sys.exit(main())
