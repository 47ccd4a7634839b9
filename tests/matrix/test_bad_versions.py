"""A matrix that stayed green over a bad version would be worth nothing."""

from collections.abc import Callable
from pathlib import Path

import pytest
from rendering import git
from sampling import sample

from matrix.bad_versions import BAD, BETWEEN
from matrix.edits import EDITS
from matrix.history import NEWEST, make_history
from matrix.runner import run_case


@pytest.mark.parametrize("change", sample(list(BAD), 5), ids=lambda change: change.__name__)
def test_a_bad_version_turns_the_matrix_red(change: Callable[[Path], None], tmp_path: Path) -> None:
    name, said = BAD[change]
    history = make_history(tmp_path, change)
    between = git(history.template, "tag", "--list", BETWEEN).split()
    outcome = run_case(history, (NEWEST, *between), EDITS[name], "defaults")
    assert any(said in fault for fault in outcome.faults), outcome
