"""Lived-in services keep everything and get everything."""

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
from rendering import files_of

from matrix.asking import package_of, run_tests
from matrix.history import ANSWERS, NEWEST, NEXT, History
from matrix.judging import judge
from matrix.lived_in import (
    CREATE,
    LOG_IN,
    MIGRATE,
    in_database,
    life,
)
from matrix.model import Outcome
from matrix.recording import FULL, record
from matrix.runner import check_a_second_update, commit, update, ways_of


def lives() -> Iterator[tuple[tuple[str, ...], str]]:
    for way in ways_of(life((NEWEST,), "defaults")) if FULL else [(NEWEST,)]:
        yield way, "defaults"
    for answers in list(ANSWERS)[1:] if FULL else ():
        yield (NEWEST,), answers


@pytest.mark.parametrize(("way", "answers"), list(lives()))
def test_a_lived_in_service_keeps_its_users_and_data(
    history: History, way: tuple[str, ...], answers: str, tmp_path: Path
) -> None:
    base, edits = history.base(way[0], answers), life(way, answers)
    service, database = tmp_path / "repository/service", tmp_path / "life.db"
    shutil.copytree(base, service, symlinks=True)
    edits.apply(service, package_of(service))
    commit(service)
    in_database(service, database, MIGRATE)
    in_database(service, database, CREATE)
    assert in_database(service, database, LOG_IN) == "1"
    run_tests(service, "tests")

    outcome = Outcome("lived_in", "lived-in service", [*way, NEXT], answers)
    before = files_of(service)
    notes = 1
    for version in (*way[1:], ""):
        update(service, outcome, version)
        assert outcome.conflicts == outcome.wrong == []
        commit(service)
        in_database(service, database, MIGRATE)
        notes += 1
        assert in_database(service, database, LOG_IN) == str(notes)
    assert in_database(service, database, MIGRATE) == "0"
    fresh = files_of(history.base(NEXT, answers))
    judge(service, edits, outcome, before, files_of(base), fresh, NEXT)
    if FULL and (way, answers) == ((NEWEST,), "defaults"):
        run_tests(service)
    check_a_second_update(service, outcome)
    record(outcome)
    assert outcome.faults == []
    assert outcome.clean
