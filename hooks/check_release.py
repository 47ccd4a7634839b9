"""Refuse a release that would break a service which was rendered from an earlier one.

Compares the working tree with every release in releases.toml. Prints one line for each refusal:
where, what, and what to do. Exits with 1 if there is one. Copier never runs this.
"""

import argparse
import re
import sys
import tomllib
from collections.abc import Callable, Iterator
from pathlib import Path
from tempfile import TemporaryDirectory

import yaml
from core import (
    CORE,
    check_binary_files,
    check_files,
    check_migrations,
    check_moves,
    check_new_migrations,
)
from questions import check_new_questions, check_questions
from trees import configuration, copy_working_tree, files, matching, owners, render, unpack
from versions import SEMVER, order
from write_manifest import manifest

ROOT = Path(__file__).parents[1]
NEEDS_TRUST = ("_tasks", "_migrations", "_jinja_extensions")


def version_of(template: Path) -> str:
    """The number in its pyproject.toml."""
    project = tomllib.loads((template / "pyproject.toml").read_text("utf-8"))["project"]
    return str(project["version"])


def take_releases(root: Path, scratch: Path) -> tuple[list[str], dict[str, Path]]:
    """What is wrong with the record, and the files of each release, the oldest first."""
    wrong, taken = [], {}
    for version, commit in tomllib.loads((root / "releases.toml").read_text("utf-8")).items():
        if not SEMVER.fullmatch(version):
            wrong.append(f"releases.toml: {version} is no semantic version. Correct the row.")
            continue
        named = re.fullmatch("[0-9a-f]{40}", commit)
        folder = unpack(root, commit, scratch / version) if named else None
        if not folder:
            where = f"releases.toml: {version} names {commit}, which this clone does not hold."
            wrong.append(f"{where} Fetch all of the history, or correct the row.")
        elif (held := version_of(folder)) != version:
            wrong.append(f"releases.toml: {version} names a commit of {held}. Correct the row.")
        else:
            taken[version] = folder
    return wrong, {version: taken[version] for version in sorted(taken, key=order)}


def check_versions(today: Path, releases: dict[str, Path], final: bool) -> Iterator[str]:
    """The number is right, and both documents tell of it and of every release."""
    version, newest = version_of(today), next(reversed(releases), None)
    if not SEMVER.fullmatch(version):
        yield f"pyproject.toml: {version} is no semantic version. Give MAJOR.MINOR.PATCH."
    elif newest == version:
        parts = ("copier.yml", "includes", "template")
        if files(today, *parts) != files(releases[newest], *parts):
            yield f"pyproject.toml: {version} is released and held other files. Raise the version."
    elif newest and order(version) <= order(newest):
        yield f"pyproject.toml: {version} is not above {newest}, the newest. Raise the version."
    changes = (today / "CHANGELOG.md").read_text("utf-8")
    upgrading = (today / "UPGRADING.md").read_text("utf-8")
    for told in filter(SEMVER.fullmatch, dict.fromkeys((*releases, version))):
        if not re.search(rf"^## \[{re.escape(told)}\] - \d{{4}}-\d\d-\d\d$", changes, re.M):
            yield f"CHANGELOG.md: no section ## [{told}] - DATE. Write what an owner will see."
        if not re.search(rf"^### {re.escape(told)}(?: |$)", upgrading, re.M):
            yield f"UPGRADING.md: no section ### {told}. Write it, even if there is nothing to do."
    unreleased = changes.partition("\n## [Unreleased]")[2].partition("\n## ")[0]
    if final and re.search(r"^[^#\s]", unreleased, re.M):
        yield f"CHANGELOG.md: entries under Unreleased. Move them to the section of {version}."


def check_render(release: Path, today: Path) -> Iterator[str]:
    """A service of the release: its answers are taken, and no update deletes a file of it.

    Those of the core are compared by `check_files`; to render them takes most of the time.
    """
    with TemporaryDirectory(prefix="check_release.") as scratch:
        before = render(release, Path(scratch, "before"), leave_out=["/gatehouse"])
        stored = yaml.safe_load((before / ".copier-answers.yml").read_text("utf-8"))
        answers = {name: value for name, value in stored.items() if not name.startswith("_")}
        try:
            after = render(today, Path(scratch, "after"), answers, leave_out=["/gatehouse"])
        except Exception as error:  # whatever it is: a service with these answers could not update
            yield f"copier.yml: default answers are refused ({one_line(error)}). Take them again."
            return
        gone = files(before).keys() - files(after).keys()
    excluded = matching(today, "_exclude")
    for path in sorted(path for path in gone if not excluded.match_file(path)):
        yield f"template: {path} is gone, and an update would delete it. Put it back."


def check_owners(today: Path, rendered: list[str]) -> Iterator[str]:
    """Every rendered file is on exactly one of the owners' lists."""
    for path, who in owners(today, rendered).items():
        if len(who) != 1:
            listed = f"on the lists {' and '.join(who)}" if who else "on no list"
            yield f"copier.yml: {path} is {listed} of _owners. Put it on exactly one."


def one_line(error: Exception) -> str:
    return " ".join(str(error).split()).rstrip(".")


def against(
    releases: dict[str, Path], today: Path, rule: Callable[[Path, Path], Iterator[str]]
) -> list[str]:
    """Hold a rule against each release. A refusal is told once, with the releases it is about."""
    broken: dict[str, list[str]] = {}
    for version, release in releases.items():
        for refusal in rule(release, today):
            broken.setdefault(refusal, []).append(version)
    return [f"{refusal} For services of {', '.join(of)}." for refusal, of in broken.items()]


def refusals(root: Path = ROOT, final: bool = False) -> list[str]:
    """Every refusal. Nothing is rendered before the questions stand and need no trust."""
    with TemporaryDirectory(prefix="check_release.") as scratch:
        today = copy_working_tree(root, Path(scratch, "today"))
        found, releases = take_releases(root, Path(scratch))
        found += check_versions(today, releases, final)
        found += against(releases, today, check_migrations)
        found += check_new_migrations(today, releases)
        found += against(releases, today, check_files)
        found += against(releases, today, check_moves)
        found += check_binary_files(today)
        stored = root / CORE / "manifest.sha256"
        if not stored.is_file() or stored.read_text("utf-8") != manifest(root / CORE):
            found.append(f"{CORE}/manifest.sha256: stale. Run python hooks/write_manifest.py.")
        trusting = [key for key in NEEDS_TRUST if key in configuration(today)]
        first = [f"copier.yml: {key} needs --trust. Take it out." for key in trusting]
        first += against(releases, today, check_questions)
        first += check_new_questions(today, releases.values())
        if first:
            return found + first
        try:
            rendered = list(files(render(today, Path(scratch, "service"))))
        except Exception as error:
            return [*found, f"template: does not render by default ({one_line(error)}). Mend it."]
        return [*found, *check_owners(today, rendered), *against(releases, today, check_render)]


def main() -> None:
    """Print the refusals, or one line that says with what the tree was compared."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument(
        "--final", action="store_true", help="releasing now: nothing may be left under Unreleased"
    )
    found = refusals(final=parser.parse_args().final)
    released = ", ".join(tomllib.loads((ROOT / "releases.toml").read_text("utf-8"))) or "none"
    print(*found or [f"Nothing to refuse. Compared with the releases: {released}."], sep="\n")
    sys.exit(bool(found))


if __name__ == "__main__":
    main()
