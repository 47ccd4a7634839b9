"""Renders of the template, as it lies in the working tree, by the real Copier."""

import os
import subprocess
import sys
import tomllib
from collections.abc import Iterator, Mapping
from itertools import product
from pathlib import Path
from typing import Any, Literal

import copier
import trees

REPOSITORY = Path(__file__).parents[1]
VERSION = "0.1.0"
NEXT = "99.0.0"
RELEASES: dict[str, str] = tomllib.loads((REPOSITORY / "releases.toml").read_text())

Answers = Mapping[str, str]

DEFAULTS: Answers = {}
CHOICES: dict[str, Answers] = {
    f"{database}-{ci}-{containers}": {"database": database, "ci": ci, "containers": containers}
    for database, ci, containers in product(
        ("sqlite", "postgresql"), ("github", "none"), ("docker", "none")
    )
}
ODD: dict[str, Answers] = {
    "python-3.12": {"python_min": "3.12"},
    "python-3.13": {"python_min": "3.13", "database": "postgresql"},
    "one-letter": {"project_name": "X"},
    "longest": {
        "project_name": "A" + 19 * " b" + "c",
        "package_name": "a" + 39 * "b",
        "description": "d" * 120,
        "author": "e" * 80,
        "database": "postgresql",
    },
    "sorts-after-the-core": {"project_name": "Zebra 2-go", "package_name": "zebra"},
    "keyword": {"project_name": "Match"},
    "punctuation": {
        "description": "1. It's *so*, _sly_ & 100% [odd](x): #1 ~ $HOME | ünï 世界 'x' - !y",
        "author": "Zoë O'Hara, Jr. & Co: #1",
    },
}
ANSWER_SETS: dict[str, Answers] = {"defaults": DEFAULTS, **CHOICES, **ODD}


def git(folder: Path, *arguments: str) -> str:
    """Run git there, whatever the developer's own settings are; returns what it prints."""
    identity = ["-c", "user.name=Test", "-c", "user.email=test@example.com"]
    quiet = ["-c", "commit.gpgsign=false", "-c", "core.hooksPath=/dev/null"]
    command = ["git", "-C", str(folder), *identity, *quiet, *arguments]
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout


def commit_all(folder: Path, tag: str | None = None) -> None:
    if not (folder / ".git").exists():
        git(folder, "init", "--quiet", "--initial-branch=main")
    git(folder, "add", "--all")
    git(folder, "commit", "--quiet", "--allow-empty", "--message=test")
    if tag:
        git(folder, "tag", tag)


def take_snapshot(folder: Path, version: str = VERSION) -> Path:
    """A repository with one tagged commit that holds the working tree, changes included."""
    trees.copy_working_tree(REPOSITORY, folder)
    commit_all(folder, version)
    git(folder, "repack", "-adq")  # as in a fresh clone; loose objects slow Copier down
    return folder


def render(
    template: Path, target: Path, answers: Answers = DEFAULTS, version: str = VERSION
) -> Path:
    """Copy a version, the first unless told, without `--trust` and without a question."""
    reference = version if (template / ".git").exists() else None
    copier.run_copy(
        str(template), target, dict(answers), vcs_ref=reference, defaults=True, quiet=True
    )
    return target


def run_copier(*arguments: str | Path, cwd: Path | None = None) -> subprocess.CompletedProcess[str]:
    """The command as a user types it. The caller looks at its exit code."""
    command = [sys.executable, "-m", "copier", *map(str, arguments)]
    return subprocess.run(
        command, capture_output=True, text=True, cwd=cwd, stdin=subprocess.DEVNULL
    )


def own_environment() -> dict[str, str]:
    """The variables with which a service finds its own packages, and none of this run's."""
    ours = ("VIRTUAL_ENV", "PYTHONPATH")
    return {name: value for name, value in os.environ.items() if name not in ours}


def run_in_service(service: Path, *command: str) -> None:
    """`uv run` in a service's own environment, which the first call makes. It must succeed."""
    done = subprocess.run(
        ["uv", "run", *command], cwd=service, env=own_environment(), capture_output=True, text=True
    )
    assert done.returncode == 0, done.stdout + done.stderr


def replace(path: Path, old: str, new: str) -> None:
    """Change one place of a file that must still have it."""
    text = path.read_text()
    assert old in text, f"{path} no longer holds {old!r}"
    path.write_text(text.replace(old, new, 1))


def files_of(folder: Path) -> dict[str, bytes]:
    """Every file below a folder, by its path with slashes, leaving out git's own."""
    return dict(sorted(_files(folder)))


def _files(folder: Path) -> Iterator[tuple[str, bytes]]:
    for parent, folders, names in os.walk(folder):
        if ".git" in folders:
            folders.remove(".git")
        for name in names:
            path = Path(parent, name)
            yield path.relative_to(folder).as_posix(), path.read_bytes()


def configuration(template: Path = REPOSITORY) -> dict[str, Any]:
    """copier.yml as YAML alone understands it."""
    return trees.configuration(template)


def owners(
    paths: list[str], operation: Literal["copy", "update"] = "update"
) -> dict[str, list[str]]:
    """Which owners each path has by copier.yml."""
    return trees.owners(REPOSITORY, paths, operation)
