"""What a release owes to the core's files in services: databases ran them, owners edited them."""

import re
from collections.abc import Iterator
from pathlib import Path

from trees import files, matching

CORE = "template/gatehouse"
MIGRATIONS = f"{CORE}/src/gatehouse/migrations/versions"
ELSEWHERE = (MIGRATIONS, f"{CORE}/manifest.sha256")  # each has a rule of its own

MOVED = "gatehouse/moved.txt"
# Owners import these names, or their workflows and databases know the files by these paths.
STAYS = re.compile(
    r"gatehouse/(pyproject\.toml|[\w.]+\.(py|txt|sha256)"
    r"|src/gatehouse/(__init__|migrating|testing|core_files)\.py"
    r"|src/gatehouse/(migrations/.*|common_passwords\..*|py\.typed))"
)


def migrations(template: Path) -> dict[str, tuple[bytes, dict[str, str]]]:
    """The core's migrations: the bytes, and the two names that chain them."""
    chain = re.compile(r"""^(revision|down_revision)\b[^=\n]*= *["']?([\w.-]+)""", re.M)
    return {
        path.name: (path.read_bytes(), dict(chain.findall(path.read_text("utf-8"))))
        for path in sorted((template / MIGRATIONS).glob("*.py"))
    }


def check_new_migrations(today: Path, releases: dict[str, Path]) -> Iterator[str]:
    """What is new follows the last released head, one after the other."""
    known = [migrations(release) for release in releases.values()]
    names = [names for _, names in known[-1].values()] if known else []
    parents = {name.get("down_revision") for name in names}
    heads = [name["revision"] for name in names if "revision" in name]
    head = next((head for head in heads if head not in parents), "None")
    now, old = migrations(today), {name: its for release in known for name, its in release.items()}
    renamed = [old[name][0] for name in old.keys() - now.keys()]  # told by check_migrations
    new = {name: its for name, its in now.items() if name not in old and its[0] not in renamed}
    waiting = {name: names for name, (_, names) in new.items() if "revision" in names}
    while following := [n for n, its in waiting.items() if its.get("down_revision") == head]:
        head = waiting.pop(following[0])["revision"]
    for name in waiting:
        yield f'{MIGRATIONS}/{name}: forks the history. Write down_revision = "{head}".'


def check_migrations(release: Path, today: Path) -> Iterator[str]:
    """What was released stays, to the byte: databases have run it."""
    now = migrations(today)
    for name, (content, _) in migrations(release).items():
        if name not in now:
            yield f"{MIGRATIONS}/{name}: renamed or removed after its release. Put it back."
        elif now[name][0] != content:
            yield f"{MIGRATIONS}/{name}: changed after its release. Put it back; write a new one."


def check_files(release: Path, today: Path) -> Iterator[str]:
    """No update deletes a core file, which an owner may have edited: Copier would not say so.

    One that has moved is on the list by which `check_update.py carry` takes an edit along.
    """
    excluded = matching(today, "_exclude")
    now, moved = core_files(today), moves(today)
    for path, content in core_files(release).items():
        where = f"template/{path}"
        if where.startswith(ELSEWHERE) or excluded.match_file(path):
            continue
        if path not in now and moved.get(path) not in now:
            yield f"{where}: gone, and an edit with it. Name its new place in gatehouse/moved.txt."
        elif is_binary(content) and now[path] != content:
            yield f"{where}: changed, and no update brings that. Give the new one another name."


def check_moves(release: Path, today: Path) -> Iterator[str]:
    """What services import or run stays where it is, and the list of what has moved only grows."""
    listed = f"template/{MOVED}"
    moved, now = moves(today), core_files(today)
    for old, new in moves(release).items():
        if moved.get(old) != new:
            yield f"{listed}: the line {old} {new} is gone. Put it back."
    for old in moved:
        if STAYS.fullmatch(old):
            yield f"{listed}: {old} is imported or run by its path in services. Leave it there."
        elif old in now:
            yield f"{listed}: {old} is still there. Take it away: a stub hides the move from git."


def moves(template: Path) -> dict[str, str]:
    """The core's files that have moved: the old path in a service, and the new one."""
    path = template / "template" / MOVED
    lines = path.read_text("utf-8").splitlines() if path.is_file() else []
    found = {}
    for line in lines:
        if line.strip() and not line.startswith("#"):
            old, new = line.split()
            found[old] = new
    return found


def check_binary_files(today: Path) -> Iterator[str]:
    """Copier merges text. It replaces any other file, edited or not, unless told to leave it."""
    kept = matching(today, "_skip_if_exists")
    for path, content in core_files(today).items():
        if is_binary(content) and not kept.match_file(path):
            yield f"template/{path}: an update would replace it. Name it under _skip_if_exists."


def core_files(template: Path) -> dict[str, bytes]:
    """By the path that they have in a service: no name or text in the core is a template."""
    found = files(template / "template", "gatehouse")
    return {path: content for path, (content, _) in found.items()}


def is_binary(content: bytes) -> bool:
    """As git decides it, by whose diff Copier merges."""
    return b"\0" in content[:8_000]
