"""The core's files in a service: whether they are as delivered, their release, and a newer one."""

import json
import re
import subprocess
import sys
from collections.abc import Iterator
from contextlib import suppress
from hashlib import sha256
from pathlib import Path
from typing import Any

CORE = Path(__file__).parents[2]  # the folder gatehouse/ of a service
WAIT = 60  # seconds for all that `check_update.py` asks; each question of it has its own limit


def changed_files(core: Path) -> Iterator[str]:
    """What became of each file that is not as delivered. Nothing where no manifest is."""
    manifest = core / "manifest.sha256"
    for line in manifest.read_text("utf-8").splitlines() if manifest.is_file() else ():
        digest, _, name = line.partition("  ")
        path = core / name
        if not path.is_file():
            yield f"gatehouse/{name} is missing"
        elif sha256(path.read_bytes()).hexdigest() != digest:
            yield f"gatehouse/{name} was edited"


def release() -> str | None:
    """The template's version that the service in the working folder was last rendered from."""
    with suppress(OSError, UnicodeDecodeError):
        answers = Path(".copier-answers.yml").read_text("utf-8")
        if found := re.search(r"^_commit: ['\"]?([\w.+-]+)", answers, re.MULTILINE | re.ASCII):
            return found[1]
    return None


def waiting() -> dict[str, Any] | str:
    """Which release waits at the template's repository, as `check_update.py` says; or why not."""
    script = CORE / "check_update.py"
    if not script.is_file():
        return "gatehouse/check_update.py is missing"
    try:
        asked = [sys.executable, str(script), "waiting", "--json"]
        done = subprocess.run(asked, capture_output=True, text=True, timeout=WAIT)  # noqa: S603
    except (OSError, subprocess.TimeoutExpired) as error:
        return type(error).__name__
    if done.returncode:
        return done.stderr.strip() or f"check_update.py ended with {done.returncode}"
    found: dict[str, Any] = json.loads(done.stdout)
    return found
