"""Whether an owner's edit of a core file that a release has moved is at that file's new place.

Copier knows no rename: an update takes an edited file away at its old path, with exit code 0. The
commit before that update still has the file, and the manifest of its release beside it; so git
alone can tell what was edited. `check_update.py carry` takes the edits along.
"""

import os
import shutil
import subprocess
from collections.abc import Iterator, Mapping
from collections.abc import Set as AbstractSet
from hashlib import sha256
from pathlib import Path

MANIFEST = "gatehouse/manifest.sha256"
_OF_HOOKS = ("GIT_DIR", "GIT_WORK_TREE", "GIT_INDEX_FILE", "GIT_PREFIX", "GIT_COMMON_DIR")


class CannotLook(Exception):
    """There is no history to look at; says why."""


def missing_edits(core: Path) -> list[str]:
    """A sentence for each edit that did not come along. Raises `CannotLook`."""
    if not (core / "manifest.sha256").is_file():
        return []  # the service has left the template
    here = _digests((core / "manifest.sha256").read_text("utf-8"))
    moved = {old: new for old, new in _pairs(core / "moved.txt") if old not in here}
    if not moved:
        return []
    history = _History(core.parent)
    given_up = {line for pair in _lines(core / "dropped.txt") for line in pair}
    found, seen = [], set[str]()
    for commit, left in history.before_moves(moved.keys(), here):
        seen |= left
        for old in sorted(left):
            new = moved[old]
            path = core.parent / new
            is_ours = path.is_file() and _is(path.read_bytes(), here.get(new))
            if is_ours and not {old, new} & given_up and (why := history.differs(commit, old)):
                found.append(f"{old} {why}, and {new}, where that file is now, is as delivered")
    if not found and seen < moved.keys() and history.is_shallow():
        raise CannotLook("this clone is shallow; fetch its history: git fetch --unshallow")
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

    def before_moves(
        self, moved: AbstractSet[str], here: Mapping[str, str]
    ) -> Iterator[tuple[str, AbstractSet[str]]]:
        """The commits that an update was made on which moved some of these, and which it moved.

        The manifest says so, and not the old path: a file may still lie there, such as one of
        `owned.txt`, and an owner may have deleted it long before.
        """
        if left := moved & self._manifest("HEAD").keys() - here.keys():
            yield "HEAD", left  # the update is not committed yet
        changed = ("log", "--first-parent", "--format=commit %H", "--", MANIFEST)
        for line in (self._asked(*changed) or b"").decode().splitlines():
            name, _, commit = line.partition(" ")
            if name != "commit" or not (after := self._manifest(commit)):
                continue
            if left := moved & self._manifest(f"{commit}^").keys() - after.keys():
                yield f"{commit}^", left

    def is_shallow(self) -> bool:
        return self._asked("rev-parse", "--is-shallow-repository") == b"true\n"

    def differs(self, commit: str, path: str) -> str:
        """What the owner had done to a core file: nothing, if it was as its release had it."""
        content = self._content(commit, path)
        if content is None:
            return "was deleted"
        return "" if _is(content, self._manifest(commit)[path]) else "was edited"

    def _manifest(self, commit: str) -> dict[str, str]:
        if commit not in self._manifests:
            self._manifests[commit] = _digests((self._content(commit, MANIFEST) or b"").decode())
        return self._manifests[commit]

    def _content(self, commit: str, path: str) -> bytes | None:
        """A file of a commit; none if it is not there. Raises `CannotLook`."""
        content = self._asked("cat-file", "blob", f"{commit}:./{path}")
        if content is None and self._asked("ls-tree", commit, "--", path):
            raise CannotLook(f"git cannot read {path} of {commit}, as in a partial clone")
        return content

    def _asked(self, *arguments: str) -> bytes | None:
        """What git answers; none if it refuses."""
        try:
            done = subprocess.run(  # noqa: S603 - fixed words, and paths of `moved.txt`
                ("git", *arguments),  # noqa: S607 - the git that the owner works with
                cwd=self._service,
                env=without_hook(os.environ),
                capture_output=True,
                timeout=60,
            )
        except subprocess.TimeoutExpired:
            raise CannotLook("git gave no answer within 60 seconds") from None
        return None if done.returncode else done.stdout


def without_hook(variables: Mapping[str, str]) -> dict[str, str]:
    """Git tells its hooks of a repository in these; asked from one, it would look only there."""
    return {name: value for name, value in variables.items() if name not in _OF_HOOKS}


def _is(content: bytes, digest: str | None) -> bool:
    """Line ends are git's to choose, by its settings, and are no edit."""
    both = (content, content.replace(b"\r\n", b"\n"))
    return any(sha256(one).hexdigest() == digest for one in both)


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
