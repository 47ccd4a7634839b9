"""Write into UPGRADING.md, by version, the table of what answers or is set differently.

The rows are data (`docs/changes.toml`). A test of the template fails while a table is stale, and
for a default or a route's answers that differ from those of the last release without a row.
"""

import argparse
import json
import os
import re
import subprocess
import sys
import tempfile
import tomllib
from dataclasses import dataclass
from itertools import groupby
from pathlib import Path

from trees import unpack

ROOT = Path(__file__).parents[1]
ROWS = ROOT / "docs" / "changes.toml"
DOCUMENT = ROOT / "UPGRADING.md"
BEGIN, END = "**What answers differently.**", "<!-- end of docs/changes.toml -->"
HEAD = f"{BEGIN}\n\n| what | before | now | why |\n|---|---|---|---|\n"


@dataclass(frozen=True, slots=True)
class Change:
    """A default or an answer that is another one since `version`.

    `what` is the variable of a setting, a route (`GET /readyz`), or, where neither is meant, some
    words.
    """

    version: str
    what: str
    old: str
    new: str
    why: str


def read_rows(path: Path = ROWS) -> list[Change]:
    """The rows in their order. One that lacks or invents a member is a TypeError."""
    return [Change(**row) for row in tomllib.loads(path.read_text("utf-8"))["change"]]


def document(text: str, rows: list[Change]) -> str:
    """UPGRADING.md with its tables as they should be: each ends the section of its version."""
    text = re.sub(rf"\n{re.escape(BEGIN)}.*?{re.escape(END)}\n", "", text, flags=re.DOTALL)
    for version, changes in groupby(rows, lambda row: row.version):
        cells = ((change.what, change.old, change.new, change.why) for change in changes)
        table = HEAD + "".join(f"| {' | '.join(row)} |\n" for row in cells)
        section = re.compile(
            rf"(^### {re.escape(version)}\b.*?\n)(?=\n###? |\Z)", re.DOTALL | re.MULTILINE
        )
        found = section.search(text)
        if not found:
            raise SystemExit(f"{DOCUMENT.name} has no section for the version {version}.")
        text = f"{text[: found.end()]}\n{table}\n{END}\n{text[found.end() :]}"
    return text


def answers(tree: Path) -> dict[str, str]:
    """What the core of a tree of this repository says, see `answers.py`."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith("AUTH_")}
    with tempfile.TemporaryDirectory() as empty:
        done = subprocess.run(
            [sys.executable, str(ROOT / "hooks" / "answers.py")],
            cwd=empty,
            env={**kept, "PYTHONPATH": str(tree / "template" / "gatehouse" / "src")},
            capture_output=True,
            text=True,
        )
    if done.returncode:
        raise SystemExit(f"The core of {tree} does not answer:\n{done.stderr}")
    found: dict[str, str] = json.loads(done.stdout)
    return found


def differences(before: dict[str, str], now: dict[str, str]) -> dict[str, tuple[str, str]]:
    """What has another answer now, or none. What is new changes nothing for anybody."""
    return {
        what: (old, now.get(what, "gone"))
        for what, old in before.items()
        if now.get(what, "gone") != old
    }


def since_last_release(scratch: Path) -> dict[str, tuple[str, str]] | None:
    """What this tree answers differently; None if this clone lacks the release."""
    releases = tomllib.loads((ROOT / "releases.toml").read_text("utf-8"))
    last = unpack(ROOT, list(releases.values())[-1], scratch)
    return None if last is None else differences(answers(last), answers(ROOT))


def unreleased(rows: list[Change]) -> set[str]:
    """What the rows of versions that are not recorded yet are about."""
    releases = tomllib.loads((ROOT / "releases.toml").read_text("utf-8"))
    return {row.what.strip("`") for row in rows if row.version not in releases}


def main() -> None:
    argparse.ArgumentParser(description=__doc__.split("\n")[0]).parse_args()
    rows = read_rows()
    DOCUMENT.write_text(document(DOCUMENT.read_text("utf-8"), rows), "utf-8", newline="\n")
    print(f"Wrote {len(rows)} rows into {DOCUMENT.name}.")


if __name__ == "__main__":
    main()
