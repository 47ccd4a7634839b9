"""What a release owes to the core's files in services: databases ran them, owners edited them."""

import re
from collections.abc import Iterator
from pathlib import Path

from trees import files, matching

CORE = "template/gatehouse"
MIGRATIONS = f"{CORE}/src/gatehouse/migrations/versions"
ELSEWHERE = (MIGRATIONS, f"{CORE}/manifest.sha256")  # each has a rule of its own


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
    """No update deletes a core file, which an owner may have edited: Copier would not say so."""
    excluded = matching(today, "_exclude")
    now = core_files(today)
    for path, content in core_files(release).items():
        where = f"template/{path}"
        if where.startswith(ELSEWHERE) or excluded.match_file(path):
            continue
        if path not in now:
            yield f"{where}: gone, and an update would delete it, edited or not. Put a stub there."
        elif is_binary(content) and now[path] != content:
            yield f"{where}: changed, and no update brings that. Give the new one another name."


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
