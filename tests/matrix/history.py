"""The recorded releases, each with its tag, and after them a next version with a fix in it."""

import fcntl
import json
import re
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path

from rendering import (
    NEXT,
    RELEASES,
    REPOSITORY,
    Answers,
    commit_all,
    files_of,
    git,
    render,
    replace,
    take_snapshot,
)

from matrix.asking import ask
from matrix.moves import importing, place

# What the modules of the matrix take from here.
__all__ = ["NEXT", "RELEASES"]
NEWEST = list(RELEASES)[-1]

ANSWERS: dict[str, Answers] = {
    "defaults": {},
    "PostgreSQL, no containers, no CI": {
        "database": "postgresql",
        "containers": "none",
        "ci": "none",
    },
    "another name, Python 3.13": {
        "project_name": "Ledger Of Things",
        "python_min": "3.13",
        "containers": "docker",
        "ci": "github",
    },
    "PostgreSQL, CI without containers, Python 3.12, all texts": {
        "project_name": "Zebra 2-go",
        "package_name": "zebra",
        "python_min": "3.12",
        "database": "postgresql",
        "containers": "none",
        "ci": "github",
        "description": "It's *so* & 100% [odd](x): #1 ünï 'x'",
        "author": "Zoë O'Hara, Jr.",
    },
}

# The fix that the next version brings: a client may send any number of hops, and each was parsed.
FIXED = "gatehouse/src/gatehouse/proxies.py"  # where it was first released
FAULTY_LINE = '.getlist("x-forwarded-for")).split(",")'
FIXED_LINE = f"{FAULTY_LINE}[-20:]"
PROBE = (
    importing(FIXED)
    + """
from ipaddress import ip_network
from starlette.requests import Request
hops = ", ".join(f"10.0.0.{number}" for number in range(1, 41)).encode()
scope = {"type": "http", "client": ("10.0.0.99", 1), "headers": [(b"x-forwarded-for", hops)]}
print(module.client_address(Request(scope), [ip_network("10.0.0.0/8")]))
"""
)
RED, GREEN = "10.0.0.1", "10.0.0.21"

# And what it changes in the merged files, as releases do: a tool's version, a line more.
IGNORED_BY_US = "a-later-version-ignores-this/"
NEXT_TOOL = "uv==9.9.9"
TOOL = re.compile(r"uv==[0-9.]+")


def make_next_version(folder: Path) -> None:
    """Fix one core module and change some merged files, in a checkout of the template."""
    inside = folder / "template"
    replace(inside / place(inside, FIXED), FAULTY_LINE, FIXED_LINE)
    replace(inside / ".gitignore.jinja", "dist/\n", f"dist/\n{IGNORED_BY_US}\n")
    for path in (*inside.glob("*Dockerfile*"), *inside.glob("*github*/workflows/*.yml*")):
        text = path.read_text()
        assert TOOL.search(text), path
        path.write_text(TOOL.sub(NEXT_TOOL, text))
    write_manifest(inside / "gatehouse")


def write_manifest(core: Path) -> None:
    """Bring the manifest of hashes up to date, as the maintainers' command does."""
    manifest = core / "manifest.sha256"
    files = {name: content for name, content in files_of(core).items() if name != manifest.name}
    lines = (f"{sha256(content).hexdigest()}  {name}\n" for name, content in files.items())
    manifest.write_text("".join(lines))


@dataclass(frozen=True)
class History:
    """A template with all its versions, and renders of them that are copied, never changed."""

    template: Path
    renders: Path

    def base(self, version: str, answers: str) -> Path:
        """A service of a version, committed. Made once for all workers."""
        number = list(ANSWERS).index(answers)
        folder = self.renders / f"{version}-{number}"
        with sole(self.renders / f"{version}-{number}.lock"):
            if not folder.exists():
                made = render(
                    self.template, folder.with_name(f"{folder.name}.new"), ANSWERS[answers], version
                )
                commit_all(made)
                found = ask(made, PROBE)
                assert found == (GREEN if version == NEXT else RED), (version, found)
                made.rename(folder)
        return folder


@contextmanager
def sole(path: Path) -> Iterator[None]:
    """One worker at a time."""
    with path.open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def make_history(folder: Path, change: Callable[[Path], None] = make_next_version) -> History:
    """Clone, tag each recorded release, add the working tree with a change as the next version.

    A commit that is missing is an error of git's: nothing is skipped.
    """
    template, renders = folder / "template", folder / "renders"
    with sole(folder / "history.lock"):
        if not (folder / "made.json").exists():
            shutil.rmtree(template, ignore_errors=True)
            git(REPOSITORY, "clone", "--quiet", "--no-tags", str(REPOSITORY), str(template))
            for version, commit in RELEASES.items():
                git(template, "tag", version, commit)
            git(template, "rm", "-r", "--quiet", ".")
            take_snapshot(template, "working-tree")
            git(template, "tag", "-d", "working-tree")
            change(template)
            commit_all(template, NEXT)
            git(template, "repack", "-adq")
            renders.mkdir()
            (folder / "made.json").write_text(json.dumps(RELEASES))
    return History(template, renders)
