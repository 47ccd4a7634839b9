"""Every edit over versions and answers: `MATRIX=full`. Else some of them once, others each day."""

import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from sampling import TODAY, sample

from matrix.edits import EDITS
from matrix.history import ANSWERS, NEWEST, History
from matrix.lived_in import LIVED_IN
from matrix.model import CORE, EXTENSION, MERGED
from matrix.recording import FULL, record
from matrix.runner import Way, applies, commit, run_case, ways_of

Case = tuple[str, Way, str, bool]


def full_cases() -> Iterator[Case]:
    """Each edit on each way, and on one with a third of the other answers.

    Own tests and a second update take longer than all the rest: once for every third edit, on
    each way in its turn. (test_lived_in.py runs them over nearly all edits at once.)
    """
    for number, (name, edit) in enumerate(EDITS.items()):
        ways = ways_of(edit, number)
        for turn, way in enumerate(ways):
            yield name, way, "defaults", number % 3 == 0 and turn == number // 3 % len(ways)
        for other, answers in enumerate(list(ANSWERS)[1:]):
            way = ways[(number // 3 + other) % len(ways)]
            if (number + other) % 3 == 0 and applies(edit, way, answers):
                yield name, way, answers, False


def fast_cases() -> Iterator[Case]:
    """Each edit once, from the newest release; every fifth is looked at thoroughly."""
    # test_lived_in.py makes and checks each of the others, in one service.
    names = [name for name in EDITS if name not in LIVED_IN]
    for number, name in enumerate(sample(names, 5)):
        if applies(EDITS[name], (NEWEST,), "defaults"):
            yield name, (NEWEST,), "defaults", (number + TODAY // 5) % 5 == 0


def named(case: Case) -> str:
    return f"{case[0]}-{'-'.join(case[1])}-{list(ANSWERS).index(case[2])}"


@pytest.mark.parametrize("case", list(full_cases() if FULL else fast_cases()), ids=named)
def test_an_edit_survives_and_the_fix_arrives(history: History, case: Case) -> None:
    name, way, answers, thorough = case
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
