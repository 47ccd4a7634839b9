"""Whether an owner's edit of a core file that a release has moved is at that file's new place.

Copier knows no rename: an update takes an edited file away at its old path, with exit code 0. The
commit before that update still has the file, and the manifest of its release beside it; so git
alone can tell what was edited. `check_update.py carry` takes the edits along.
"""

import shutil
import subprocess
from collections.abc import Iterator
from hashlib import sha256
from pathlib import Path

MANIFEST = "gatehouse/manifest.sha256"


class CannotLook(Exception):
    """There is no history to look at; says why."""


def missing_edits(core: Path) -> list[str]:
    """A sentence for each edit that did not come along. Raises `CannotLook`."""
    moved = {
        old: new for old, new in _pairs(core / "moved.txt") if not (core.parent / old).exists()
    }
    if not moved:
        return []
    history = _History(core.parent)
    here = _digests((core / "manifest.sha256").read_text("utf-8"))
    given_up = {line for pair in _lines(core / "dropped.txt") for line in pair}
    found = []
    for commit in history.before_moves(moved):
        for old, new in moved.items():
            path = core.parent / new
            is_ours = path.is_file() and sha256(path.read_bytes()).hexdigest() == here.get(new)
            if is_ours and not {old, new} & given_up and (why := history.differs(commit, old)):
                found.append(f"{old} {why}, and {new}, where that file is now, is as delivered")
    return list(dict.fromkeys(found))


class _History:
    """What git knows of a service's folder."""

    def __init__(self, service: Path) -> None:
        self._service = service
        self._manifests: dict[str, dict[str, str]] = {}
        if not shutil.which("git"):
            raise CannotLook("git is not installed")
        if not self._asked("rev-parse", "--verify", "HEAD"):
            raise CannotLook("the service lies in no git repository with a commit")

    def before_moves(self, moved: dict[str, str]) -> Iterator[str]:
        """The commits that an update which moved these was made on: the newest first."""
        if self._asked("ls-tree", "--name-only", "HEAD", "--", *moved):
            yield "HEAD"  # the update is not committed yet
            return
        gone = ("log", "--first-parent", "-m", "--diff-filter=D", "--no-renames")
        listed = (*gone, "--format=commit %H", "--name-only", "--relative", "--", *moved)
        text = (self._asked(*listed) or b"").decode()
        commits = [line.split()[1] for line in text.splitlines() if line.startswith("commit ")]
        if not commits and self._asked("rev-parse", "--is-shallow-repository") == b"true\n":
            raise CannotLook("this clone is shallow; fetch its history: git fetch --unshallow")
        yield from (f"{commit}^" for commit in commits)

    def differs(self, commit: str, path: str) -> str:
        """What the owner had done to a core file: nothing, if it was as its release had it."""
        delivered = self._manifest(commit).get(path)
        if delivered is None:
            return ""
        content = self._asked("cat-file", "blob", f"{commit}:./{path}")
        if content is None:
            return "was deleted"
        return "" if sha256(content).hexdigest() == delivered else "was edited"

    def _manifest(self, commit: str) -> dict[str, str]:
        if commit not in self._manifests:
            text = self._asked("cat-file", "blob", f"{commit}:./{MANIFEST}") or b""
            self._manifests[commit] = _digests(text.decode())
        return self._manifests[commit]

    def _asked(self, *arguments: str) -> bytes | None:
        """What git answers; none if it refuses."""
        done = subprocess.run(  # noqa: S603 - fixed words, and paths of `moved.txt`
            ("git", *arguments),  # noqa: S607 - the git that the owner works with
            cwd=self._service,
            capture_output=True,
            timeout=60,
        )
        return None if done.returncode else done.stdout


def _lines(path: Path) -> Iterator[list[str]]:
    """The words of each line of a list, comments left out."""
    lines = path.read_text("utf-8").splitlines() if path.is_file() else []
    return (line.split() for line in lines if line.strip() and not line.startswith("#"))


def _pairs(path: Path) -> Iterator[tuple[str, str]]:
    return ((old, new) for old, new in _lines(path))


def _digests(manifest: str) -> dict[str, str]:
    """The delivered digest of each file of the core, by its path in the service."""
    rows = (line.partition("  ") for line in manifest.splitlines())
    return {f"gatehouse/{name}": digest for digest, _, name in rows}
