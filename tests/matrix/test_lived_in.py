"""Lived-in services keep everything and get everything."""

import shutil
from pathlib import Path

import pytest
from rendering import files_of

from matrix.history import NEWEST, NEXT, History
from matrix.judging import judge
from matrix.lived_in import (
    CREATE,
    LIFE,
    LOG_IN,
    MIGRATE,
    apply_all,
    in_database,
    run_generated_tests,
)
from matrix.model import Outcome
from matrix.recording import FULL, record
from matrix.runner import check_a_second_update, commit, update
from matrix.test_matrix import paths


@pytest.mark.parametrize("way", list(paths()) if FULL else [(NEWEST,)], ids="-".join)
def test_a_lived_in_service_keeps_its_users_and_data(
    history: History, way: tuple[str, ...], tmp_path: Path
) -> None:
    base = history.base(way[0], "defaults")
    service, database = tmp_path / "repository/service", tmp_path / "life.db"
    shutil.copytree(base, service, symlinks=True)
    apply_all(service, "demo_service")
    commit(service)
    in_database(service, database, MIGRATE)
    in_database(service, database, CREATE)
    assert in_database(service, database, LOG_IN) == "1"
    if FULL:
        run_generated_tests(service)

    outcome = Outcome("lived_in", "lived-in service", [*way, NEXT], "defaults")
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
    fresh = files_of(history.base(NEXT, "defaults"))
    judge(service, LIFE, outcome, before, files_of(base), fresh, NEXT)
    if FULL:
        run_generated_tests(service)
    check_a_second_update(service, outcome)
    record(outcome)
    assert outcome.faults == []
    assert outcome.clean
