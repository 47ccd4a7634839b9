"""docs/asvs.md: every row of the standard is there, and what is said of it a test shows."""

import re
from pathlib import Path

from rendering import REPOSITORY
from write_asvs import CORE, DOCUMENT, STATES, document, marks, read_rows

# ASVS 5.0.0: how many rows of levels 1 and 2 each section has. They come first in it, and level 3
# after them.
SECTIONS = {
    **{"6.1": 3, "6.2": 12, "6.3": 4, "6.4": 4, "6.5": 5, "6.6": 3, "6.8": 4},
    **{"7.1": 3, "7.2": 4, "7.3": 2, "7.4": 5, "7.5": 2, "7.6": 2},
    **{"9.1": 3, "9.2": 4},
    **{"10.1": 2, "10.2": 2, "10.3": 4, "10.4": 11, "10.5": 5, "10.6": 2, "10.7": 3},
}
LEVEL_1 = {
    *("6.1.1", "6.2.1", "6.2.2", "6.2.3", "6.2.4", "6.2.5", "6.2.6", "6.2.7", "6.2.8"),
    *("6.3.1", "6.3.2", "6.4.1", "6.4.2"),
    *("7.2.1", "7.2.2", "7.2.3", "7.2.4", "7.4.1", "7.4.2"),
    *("9.1.1", "9.1.2", "9.1.3", "9.2.1"),
    *("10.4.1", "10.4.2", "10.4.3", "10.4.4", "10.4.5"),
}


def test_no_row_of_these_chapters_is_missing() -> None:
    wanted = [f"{section}.{n}" for section, most in SECTIONS.items() for n in range(1, most + 1)]
    rows = read_rows()
    assert list(rows) == wanted
    assert {number for number, row in rows.items() if row.level == 1} == LEVEL_1
    assert {row.level for row in rows.values()} == {1, 2}


def test_a_row_that_is_met_or_deviates_is_shown_by_a_test() -> None:
    shown = marks()
    for number, row in read_rows().items():
        if row.state != "does not apply":
            assert shown.get(number), f"no test is marked with {number}"


def test_a_row_says_what_is_done_and_why_not() -> None:
    for number, row in read_rows().items():
        assert row.state in STATES, number
        assert bool(row.reason) == (row.state != "met"), number
        assert bool(row.control) == bool(row.file) == (row.state != "does not apply"), number
        assert Path(REPOSITORY, CORE, row.file).exists(), f"{number}: {row.file} is not there"


def test_a_mark_names_a_row() -> None:
    assert marks().keys() <= read_rows().keys()


def test_every_mark_is_read() -> None:
    """One on a module or a class would show nothing."""
    found = marks()
    for path in Path(REPOSITORY, CORE, "tests").glob("*.py"):
        read = sum(name == path.name for tests in found.values() for name, _ in tests)
        written = re.findall(r"\.mark\.asvs\(([^)]*)\)", path.read_text("utf-8"))
        assert sum(numbers.count('"') // 2 for numbers in written) == read, path.name


def test_the_document_is_fresh() -> None:
    """Run `nox -s asvs` after a change of a row or a mark."""
    assert DOCUMENT.read_text("utf-8") == document(read_rows(), marks())


def test_every_deviation_is_told_where_security_is() -> None:
    told = Path(REPOSITORY, "SECURITY.md").read_text("utf-8")
    for number, row in read_rows().items():
        if row.state == "deviation":
            assert number in told, number
