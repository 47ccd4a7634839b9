"""Takes an owner's edits of core files along to where a release has moved those files.

`gatehouse/moved.txt` of the new release says what moved: data, an old and a new path a line. No
code of the release is run. The core holds no Jinja, so a file of it at a release's tag is what the
service got of it then. Standard library and git alone.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

from template_releases import ANSWERS, Trouble, clone, git, resolve, run_git, stored

MOVED = Path("gatehouse/moved.txt")  # the release's
OWNED = Path("gatehouse/owned.txt")  # the owner's: core files that updates leave alone
DROPPED = Path("gatehouse/dropped.txt")  # the owner's: core files whose edit was given up
INSIDE = "template"  # where the template's repository keeps what is rendered
LABELS = ("-L", "before updating", "-L", "last update", "-L", "after updating")


def entries(path: Path) -> list[str]:
    """The paths that a file of the owner's names, one a line."""
    lines = path.read_text("utf-8").splitlines() if path.is_file() else []
    return [line.strip().strip("/") for line in lines if line.strip() and line[0] != "#"]


def moves() -> dict[str, str]:
    """Old paths and new ones, as the release that now lies here says."""
    found = {}
    for line in MOVED.read_text("utf-8").splitlines() if MOVED.is_file() else []:
        if not line.strip() or line.startswith("#"):
            continue
        paths = line.split()
        if len(paths) != 2 or not all(map(is_core, paths)):
            raise Trouble(f"{MOVED} holds a line that is no move: {line!r}")
        found[paths[0]] = paths[1]
    return found


def is_core(path: str) -> bool:
    parts = path.split("/")
    plain = all(re.fullmatch(r"\w[\w.-]*", part, re.ASCII) for part in parts)
    return plain and parts[0] == "gatehouse" and len(parts) > 1


def content(name: str, *where: str) -> bytes | None:
    """A file of a commit or of the index; none if it is not there."""
    done = run_git(*where, "cat-file", "blob", name)
    return None if done.returncode else done.stdout


@dataclass(frozen=True, slots=True)
class Releases:
    """The template's repository, with the release that the service had and the one it has now.

    `service` is the service's own commit from before the update.
    """

    bare: Path
    before: str
    now: str
    service: str = "HEAD"

    def file(self, commit: str, path: str) -> bytes | None:
        return content(f"{commit}:{INSIDE}/{path}", "-C", str(self.bare))


def carry() -> int:
    """Take edits along; 3 if something is left to do by hand."""
    moved = moves()
    if not moved:
        return 0
    now = Path(ANSWERS).read_text("utf-8")
    service = before_update(stored(now, "_commit"))
    if service is None:
        return 0
    before = git("show", f"{service}:./{ANSWERS}")
    dropped, left = entries(DROPPED), list(owned_moves(moved))
    with TemporaryDirectory() as folder:
        bare = Path(folder, "git")
        clone(stored(before, "_src_path"), bare)
        old_commit, new_commit = (resolve(bare, stored(text, "_commit")) for text in (before, now))
        releases = Releases(bare, old_commit, new_commit, service)
        for old, new in moved.items():
            if old not in dropped and new not in dropped:
                left += filter(None, [carry_one(releases, old, new)])
            elif content(f"{service}:./{old}") is not None:
                print(f"Dropped: your edit of {old} is not taken along, as {DROPPED} says.")
                settle(releases, old)
    for line in left:
        print(line)
    return 3 if left else 0


def before_update(release: str) -> str | None:
    """The commit that the update to a release was made on: HEAD, or one before it if the update
    is committed already; none if the history holds no other release."""
    listed = git("log", "--first-parent", "--format=%H", "--", ANSWERS).split()
    for commit in ("HEAD", *(f"{one}^" for one in listed)):
        text = content(f"{commit}:./{ANSWERS}")
        if text is not None and stored(text.decode(), "_commit") != release:
            return commit
    return None


def carry_one(releases: Releases, old: str, new: str) -> str:
    """Take one edit along; what is left to do, if anything."""
    base, mine = releases.file(releases.before, old), content(f"{releases.service}:./{old}")
    if base is None or mine == base:
        return ""  # moved before this service's release, or not edited
    theirs = releases.file(releases.now, new)
    if theirs is None:
        return f"Conflict: {old} is said to be at {new} now, and is not. Your edit is in Git."
    if mine is None:
        return f"You had deleted {old}. It is {new} now, and there again: delete that, if you like."
    target = Path(new)
    here = target.read_bytes() if target.is_file() else None
    merged, clashes = merge(mine, base, theirs)
    if here not in (theirs, merged, None):
        return f"Conflict: {new} was there before. Bring your edit of {old} over by hand."
    settle(releases, old)
    if here == merged != theirs:
        return ""  # carried before
    target.parent.mkdir(parents=True, exist_ok=True)
    target.write_bytes(merged)
    if clashes:
        put_stages(new, base, mine, theirs)
        return f"Conflict: your edit of {old} meets changes in {new}, where that file is now."
    print(f"Carried: your edit of {old} is in {new} now.")
    return ""


def merge(mine: bytes, base: bytes, theirs: bytes) -> tuple[bytes, bool]:
    """Both changes; and whether they clash. Git merges no binary file: theirs, and a clash."""
    with TemporaryDirectory() as folder:
        files = [Path(folder, name) for name in ("mine", "base", "theirs")]
        for path, text in zip(files, (mine, base, theirs), strict=True):
            path.write_bytes(text)
        done = run_git("merge-file", "-p", *LABELS, *map(str, files))
    if done.returncode > 127:
        return theirs, True
    return done.stdout, done.returncode > 0


def put_stages(path: str, *sides: bytes) -> None:
    """Tell git of a conflict: base, mine and theirs as stages 1 to 3, so nobody commits it."""
    full = git("rev-parse", "--show-prefix").strip() + path
    lines = [f"0 {'0' * 40}\t{full}"]
    for stage, text in enumerate(sides, 1):
        name = git("hash-object", "-w", "--stdin", "--no-filters", said=text).strip()
        lines.append(f"100644 {name} {stage}\t{full}")
    git("update-index", "--index-info", said="\n".join([*lines, ""]).encode())


def settle(releases: Releases, old: str) -> None:
    """The old path as the release has it: a stub or nothing. The edit is at the new one."""
    path, text = Path(old), releases.file(releases.now, old)
    path.with_name(f"{path.name}.rej").unlink(missing_ok=True)
    git("reset", "--quiet", "HEAD", "--", old)  # no conflict is left there
    if text is None:
        path.unlink(missing_ok=True)
    else:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(text)


def owned_moves(moved: dict[str, str]) -> Iterator[str]:
    """Rewrite what `owned.txt` says of files that have moved."""
    lines = OWNED.read_text("utf-8").splitlines() if OWNED.is_file() else []
    for place, line in enumerate(lines):
        old = line.strip().strip("/")
        if line[:1] != "#" and old in moved:
            lines[place] = moved[old]
            yield f"{old}, which is yours, is {moved[old]} now: read what changed in it."
    if lines:
        OWNED.write_text("\n".join([*lines, ""]), "utf-8")


def drop(path: str) -> int:
    """Note that the edit of a core file is given up, and take the release's text of it."""
    path = path.removeprefix("./").strip("/")
    if not is_core(path):
        raise Trouble(f"{path} is no file of the core")
    moved = moves()
    new = moved.get(path, path)
    old = next((one for one, other in moved.items() if other == new), path)
    if content(f"HEAD:./{old}") is None and not Path(new).exists():
        raise Trouble(f"there is no {path}")
    before, now = git("show", f"HEAD:./{ANSWERS}"), Path(ANSWERS).read_text("utf-8")
    if new in moved.values() and stored(before, "_commit") != stored(now, "_commit"):
        with TemporaryDirectory() as folder:
            bare = Path(folder, "git")
            clone(stored(before, "_src_path"), bare)
            text = Releases(bare, "", resolve(bare, stored(now, "_commit")))
            theirs = text.file(text.now, new)
        if theirs is not None:
            Path(new).write_bytes(theirs)
            git("reset", "--quiet", "HEAD", "--", new)
    if old not in entries(DROPPED):
        kept = DROPPED.read_text("utf-8") if DROPPED.is_file() else ""
        kept += "\n" if kept and not kept.endswith("\n") else ""
        DROPPED.write_text(f"{kept}{old}\n", "utf-8")
    print(f"{DROPPED} says that your edit of {old} is given up. Commit it.")
    return 0
