"""The core's files in a service: whether they are as delivered, and of which release."""

import re
from collections.abc import Iterator
from contextlib import suppress
from hashlib import sha256
from pathlib import Path

CORE = Path(__file__).parents[2]  # the folder gatehouse/ of a service


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
