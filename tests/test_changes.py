"""docs/changes.toml: no default and no answer becomes another one without a row for owners."""

from pathlib import Path

import pytest
import write_changes
from write_changes import Change, differences, document, read_rows, unreleased


def test_the_tables_in_the_document_are_fresh() -> None:
    """Run `nox -s changes` after a change of a row."""
    text = write_changes.DOCUMENT.read_text("utf-8")
    assert text == document(text, read_rows())
    assert text.count(write_changes.BEGIN) == len({row.version for row in read_rows()})


def test_rows_are_whole_and_each_thing_has_one_row_a_version() -> None:
    rows = read_rows()
    assert len({(row.version, row.what) for row in rows}) == len(rows) > 10
    for row in rows:
        for text in (row.version, row.what, row.old, row.new, row.why):
            assert text, row
            assert "\n" not in text, row
            assert "|" not in text, row


def test_a_default_or_an_answer_that_changed_has_a_row(tmp_path: Path) -> None:
    found = write_changes.since_last_release(tmp_path)
    if found is None:
        pytest.skip("a shallow clone does not hold the last release")
    told = unreleased(read_rows())
    for what, (old, new) in found.items():
        assert what in told, f"{what} was {old!r} and is {new!r}: write a row for owners"


def test_what_the_core_says_is_seen() -> None:
    """Else the test above would show nothing."""
    now = write_changes.answers(write_changes.ROOT)
    assert now["AUTH_ACCESS_TOKEN_SECONDS"] == "1800 [Ge(ge=1), Le(le=86400)]"
    assert "429" in now["POST /auth/token"].split()
    assert len(now) > 40
    before = {**now, "AUTH_ACCESS_TOKEN_SECONDS": "600 []", "GET /gone": "200"}
    assert differences(before, {**now, "GET /new": "200"}) == {
        "AUTH_ACCESS_TOKEN_SECONDS": ("600 []", now["AUTH_ACCESS_TOKEN_SECONDS"]),
        "GET /gone": ("200", "gone"),
    }


def test_a_table_is_written_once_and_only_where_its_version_is() -> None:
    text = "# A\n\n### 2.0.0 (from 1.0.0)\n\n- b\n\n### 1.0.0\n\nc\n"
    row = Change("2.0.0", "`GET /a`", "200", "204", "d")
    once = document(text, [row])
    assert "- b\n\n**What answers differently.**\n" in once
    assert once.index("| `GET /a` | 200 | 204 | d |") < once.index("### 1.0.0")
    assert document(once, [row]) == once
    assert document(once, []) == text
    with pytest.raises(SystemExit, match=r"no section for the version 3\.0\.0"):
        document(text, [Change("3.0.0", "a", "b", "c", "d")])
