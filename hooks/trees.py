"""A version of the template as a folder: taken, rendered, and who owns what of it.

Shared by the release check and the tests, so that both see what Copier sees.
"""

import io
import subprocess
import tarfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Literal

import copier
import yaml
from jinja2 import Template
from pathspec import GitIgnoreSpec


def copy_working_tree(root: Path, target: Path) -> Path:
    """Every file that git knows or would take in, changes included, without the repository."""
    command = ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"]
    listed = subprocess.run(command, cwd=root, check=True, capture_output=True, text=True).stdout
    for name in filter(None, listed.split("\0")):
        if (root / name).is_file():
            (target / name).parent.mkdir(parents=True, exist_ok=True)
            (target / name).write_bytes((root / name).read_bytes())
            (target / name).chmod((root / name).stat().st_mode)
    return target


def unpack(root: Path, commit: str, target: Path) -> Path | None:
    """The files of a commit; none if this clone does not hold it."""
    command = ["git", "archive", "--format=tar", commit]
    archive = subprocess.run(command, cwd=root, capture_output=True)
    if archive.returncode:
        return None
    with tarfile.open(fileobj=io.BytesIO(archive.stdout)) as files:
        files.extractall(target, filter="data")
    return target


def configuration(template: Path) -> dict[str, Any]:
    """copier.yml as YAML alone understands it."""
    loaded: dict[str, Any] = yaml.safe_load((template / "copier.yml").read_text("utf-8"))
    return loaded


def patterns(text: str, operation: Literal["copy", "update"] = "update") -> GitIgnoreSpec:
    """A list of copier.yml, as Copier sees it during that operation."""
    return GitIgnoreSpec.from_lines(Template(text).render(_copier_operation=operation).splitlines())


def matching(template: Path, key: str) -> GitIgnoreSpec:
    """What one of copier.yml's own lists matches during an update; nothing if it is not there."""
    return patterns("\n".join(configuration(template).get(key, [])))


def owners(
    template: Path, paths: list[str], operation: Literal["copy", "update"] = "update"
) -> dict[str, list[str]]:
    """Which owners each path has by copier.yml."""
    lists = configuration(template)["_owners"].items()
    specs = {owner: patterns(text, operation) for owner, text in lists}
    return {path: [who for who, spec in specs.items() if spec.match_file(path)] for path in paths}


def files(folder: Path, *below: str) -> dict[str, tuple[bytes, bool]]:
    """The files of a folder, or of these parts of it: their bytes, and whether they are run."""
    parts = [folder / name for name in below] or [folder]
    found = [path for part in parts for path in (part, *part.rglob("*")) if path.is_file()]
    return {
        path.relative_to(folder).as_posix(): (path.read_bytes(), bool(path.stat().st_mode & 0o100))
        for path in sorted(found)
    }


def render(
    template: Path,
    target: Path,
    answers: dict[str, Any] | None = None,
    leave_out: Sequence[str] = (),
) -> Path:
    """A service, whatever this developer's own Copier settings are."""
    copier.run_copy(
        *(str(template), target, answers),
        defaults=True,
        exclude=leave_out,
        quiet=True,
        settings=copier.Settings(),
    )
    return target
