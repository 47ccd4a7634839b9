"""Every edit over versions and answers. `MATRIX=full` takes all; else each edit once."""

import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from matrix.edits import EDITS
from matrix.history import ANSWERS, NEWEST, RELEASES, History
from matrix.lived_in import LIVED_IN
from matrix.model import CORE, EXTENSION, MERGED
from matrix.recording import FULL, record
from matrix.runner import applies, commit, run_case

Case = tuple[str, tuple[str, ...], str]


def paths() -> Iterator[tuple[str, ...]]:
    """From each release: straight to the next version, and through every release between."""
    versions = tuple(RELEASES)
    for number, version in enumerate(versions):
        yield (version,)
        if versions[number + 1 :]:
            yield versions[number:]


def cases() -> Iterator[Case]:
    for number, (name, edit) in enumerate(EDITS.items()):
        if not FULL and name in LIVED_IN:
            continue  # test_lived_in.py makes and checks each of these, in one service
        ways = list(paths()) if FULL else [(NEWEST,)]
        for way in ways:
            if applies(edit, way, "defaults"):
                yield name, way, "defaults"
        for other, answers in enumerate(list(ANSWERS)[1:] if FULL else []):
            way = ways[(number // 3 + other) % len(ways)]
            if (number + other) % 3 == 0 and applies(edit, way, answers):
                yield name, way, answers


def named(case: Case) -> str:
    return f"{case[0]}-{'-'.join(case[1])}-{list(ANSWERS).index(case[2])}"


@pytest.mark.parametrize("case", list(cases()), ids=named)
def test_an_edit_survives_and_the_fix_arrives(history: History, case: Case) -> None:
    name, way, answers = case
    # Tests and a second update take longer than the rest: on a fast run, after every fifth edit.
    thorough = FULL or list(EDITS).index(name) % 5 == 0
    outcome = run_case(history, way, EDITS[name], answers, thorough=thorough)
    record(outcome)
    assert outcome.faults == []


def test_there_are_edits_of_every_kind() -> None:
    assert len(EDITS) >= 40
    assert {edit.category for edit in EDITS.values()} == {EXTENSION, MERGED, CORE}


@pytest.mark.full
@pytest.mark.parametrize("name", EDITS)
def test_a_check_tells_the_edit_from_its_absence(history: History, name: str) -> None:
    """Else it would judge nothing."""
    edit = EDITS[name]
    if not applies(edit, (NEWEST,), "defaults"):
        pytest.skip("no release has it yet")
    base = history.base(NEWEST, "defaults")
    with tempfile.TemporaryDirectory() as folder:
        service = Path(folder, "repository", "service")
        shutil.copytree(base, service, symlinks=True)
        with pytest.raises(Exception):  # noqa: B017, PT011 - whatever the check meets
            edit.check(service)
        edit.apply(service, "demo_service")
        commit(service)
        edit.check(service)
