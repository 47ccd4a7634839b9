"""Each file that a release moves, edited before: the edit is there after the update, or is told.

Each kind for each file is too much for one run: another part of them is taken every day, from
each release in turn.
"""

import json
import shutil
from functools import cache
from pathlib import Path

import pytest
from rendering import REPOSITORY, git, run_copier
from sampling import TODAY

from matrix.asking import ask
from matrix.edits_moved import moved_edits
from matrix.history import RELEASES, History
from matrix.model import Outcome
from matrix.moves import MOVED
from matrix.recording import FULL, record
from matrix.runner import commit, run_case

PARTS = 8 if FULL else 200
MISSING = """
import json, pathlib
from gatehouse.cli.moved_edits import missing_edits
print(json.dumps(missing_edits(pathlib.Path("gatehouse").resolve())))
"""
PROXIES = "gatehouse/src/gatehouse/proxies.py"
LOUD = {"deleted", "owned"}  # what has an answer in words alone
EDITS = moved_edits()
Case = tuple[str, str, str]


@cache
def having(path: str) -> list[str]:
    """The releases that have the file at its old place."""
    return [version for version in RELEASES if path in released(version)]


@cache
def released(version: str) -> set[str]:
    """The core's files in a release, by their paths in a service."""
    listed = ("ls-tree", "-r", "--name-only", f"{RELEASES[version]}:template", "gatehouse/")
    return set(git(REPOSITORY, *listed).splitlines())


def cases() -> list[Case]:
    """A part of the whole, another one each day; each release in its turn."""
    found = []
    for number, (path, kind) in enumerate(EDITS):
        if number % PARTS == TODAY % PARTS and (versions := having(path)):
            found.append((path, kind, versions[(number // PARTS + TODAY) % len(versions)]))
    return found


def named(case: Case) -> str:
    path, kind, version = case
    return f"{path.removeprefix('gatehouse/src/gatehouse/')}-{kind}-{version}"


@pytest.mark.parametrize("case", cases(), ids=named)
def test_an_edit_of_a_moved_file_comes_along_or_is_told(history: History, case: Case) -> None:
    path, kind, version = case
    outcome = run_case(history, (version,), EDITS[path, kind], "defaults", thorough=False)
    record(outcome)
    assert outcome.faults == []
    assert outcome.clean or kind != "deep import", outcome
    assert outcome.reported or kind not in LOUD, outcome


@pytest.mark.parametrize("kind", ["far", "formatted", "deleted"])
def test_an_edit_that_is_not_carried_is_told_by_a_test_of_the_service(
    history: History, kind: str, tmp_path: Path
) -> None:
    """As after plain Copier, or Renovate."""
    path, version = PROXIES, having(PROXIES)[-1]
    service = tmp_path / "repository/service"
    shutil.copytree(history.base(version, "defaults"), service, symlinks=True)
    EDITS[path, kind].apply(service, "demo_service")
    commit(service)
    assert run_copier("update", "--defaults", cwd=service).returncode == 0
    assert git(service, "ls-files", "--unmerged") == ""
    (told,) = json.loads(ask(service, MISSING))
    assert told.startswith(f"{path} was {'deleted' if kind == 'deleted' else 'edited'}, ")
    assert MOVED[path] in told


def test_a_fault_would_be_seen(history: History, monkeypatch: pytest.MonkeyPatch) -> None:
    """Without `carry` an edit is lost."""
    monkeypatch.setattr("matrix.runner.carry", lambda service, outcome: None)
    edit, version = EDITS[PROXIES, "far"], having(PROXIES)[-1]
    outcome: Outcome = run_case(history, (version,), edit, "defaults", thorough=False)
    assert outcome.lost
