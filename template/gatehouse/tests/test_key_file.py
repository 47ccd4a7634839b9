"""The key file: what can be read, and the steps of a rotation, each of them safe to repeat."""

import os
import stat
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from gatehouse.signing.key_file import (
    Step,
    Times,
    advance,
    open_to_others,
    read_key_file,
    rotate_file,
)
from gatehouse.signing.keys import BadKey, new_key, read_keys

pytestmark = pytest.mark.thorough

START = datetime(2026, 3, 1, 12, tzinfo=UTC)
RELOAD = timedelta(seconds=60)
LIFETIME = timedelta(seconds=1800)
KNOWN = RELOAD  # for a key that is not published
PUBLISHED = RELOAD + timedelta(seconds=300)  # others keep the JWKS for so long
GONE = RELOAD + LIFETIME


def at(after: timedelta = timedelta(0)) -> Times:
    return Times(START + after, RELOAD, LIFETIME)


def kids(text: str) -> list[str]:
    return [key.kid for key in read_keys(text).keys]


@pytest.fixture
def path(tmp_path: Path) -> Path:
    path = tmp_path / "keys.txt"
    path.write_text(f"# Keys of the notes.\n\n# From the beginning.\n{new_key()}\n")
    path.chmod(0o600)
    return path


# --- reading


@pytest.mark.parametrize(
    ("content", "word"),
    [
        (None, "No such file"),
        (b"", "no key"),
        (b"# only a comment\n", "no key"),
        (b"\xff\xfea\x00", "UTF-8"),
        (b"changeme\n", "too short"),
        (b"\x00" * 64, "base64url"),
    ],
    ids=["missing", "empty", "comments", "UTF-16", "weak", "NUL"],
)
def test_a_file_that_holds_no_ring_is_refused_in_one_line(
    tmp_path: Path, content: bytes | None, word: str
) -> None:
    path = tmp_path / "keys.txt"
    if content is not None:
        path.write_bytes(content)
    for call in (lambda: read_key_file(path), lambda: rotate_file(path, at())):
        with pytest.raises(BadKey, match=word) as refused:
            call()
        assert "\n" not in str(refused.value)
        assert "changeme" not in str(refused.value)
        assert content is None or path.read_bytes() == content
    assert [other.name for other in tmp_path.iterdir() if other != path] == []


def test_a_folder_is_no_key_file(tmp_path: Path) -> None:
    with pytest.raises(BadKey, match="directory"):
        read_key_file(tmp_path)
    with pytest.raises(BadKey, match="directory"):
        rotate_file(tmp_path, at())


def test_a_file_is_read_with_any_line_end_and_with_a_byte_order_mark(path: Path) -> None:
    texts = [new_key("ES256"), new_key(), new_key("EdDSA")]
    path.write_bytes("\ufeff# ours\n{}\n{}\n{}".format(*texts).replace("\n", "\r\n").encode())
    assert [key.algorithm for key in read_key_file(path).keys] == ["ES256", "HS256", "EdDSA"]


@pytest.mark.skipif(os.name != "posix", reason="modes are of another kind")
def test_a_file_that_others_may_open_is_noticed(path: Path) -> None:
    assert not open_to_others(path)
    for mode in (0o640, 0o620, 0o604, 0o602):
        path.chmod(mode)
        assert open_to_others(path)


# --- the steps


def test_the_three_steps_and_their_times(path: Path) -> None:
    (old,) = kids(path.read_text())
    added = rotate_file(path, at())
    assert added.waiting
    new = added.waiting.kid
    assert (added.changed, added.ready, kids(path.read_text())) == (True, START + KNOWN, [old, new])

    signs = rotate_file(path, at(KNOWN))
    assert (signs.changed, signs.waiting) == (True, None)
    assert signs.ready == START + KNOWN + GONE
    assert kids(path.read_text()) == [new, old]

    found = rotate_file(path, at(KNOWN + GONE))
    assert (found.changed, found.waiting, found.ready) == (False, None, signs.ready)
    assert [key.kid for key in found.ring.keys] == [new, old]
    old_line = path.read_text().splitlines()[found.lines[1] - 1]
    assert kids(old_line) == [old]

    path.write_text(path.read_text().replace(old_line, ""))
    again = rotate_file(path, at(KNOWN + GONE))
    assert again.changed
    assert again.waiting
    assert kids(path.read_text()) == [new, again.waiting.kid]


def test_a_step_that_is_repeated_or_early_changes_nothing(path: Path) -> None:
    steps: list[tuple[timedelta, bool]] = [
        (timedelta(0), True),
        (timedelta(0), False),
        (KNOWN - timedelta(seconds=1), False),
        (KNOWN, True),
        (KNOWN, False),
        (KNOWN + GONE - timedelta(seconds=1), False),
        (KNOWN + GONE, False),
        (10 * GONE, False),
    ]
    for after, changes in steps:
        before = path.read_bytes(), path.stat().st_mtime_ns, path.stat().st_ino
        step = rotate_file(path, at(after))
        assert step.changed == changes
        assert changes or (path.read_bytes(), path.stat().st_mtime_ns, path.stat().st_ino) == before
        assert [key.kid for key in step.ring.keys] == kids(path.read_text())
        assert len(step.lines) == 2


def test_a_moment_within_a_second_is_never_noted_too_early() -> None:
    text, step = advance(new_key(), at(timedelta(microseconds=1)))
    assert step.ready == START + timedelta(seconds=1) + KNOWN
    _, early = advance(text, at(KNOWN + timedelta(seconds=0.9)))
    assert not early.changed
    assert early.ready == step.ready


@pytest.mark.parametrize("algorithm", ["EdDSA", "ES256", "RS256"])
def test_a_key_that_others_fetch_signs_only_when_they_must_have_it(
    path: Path, algorithm: str
) -> None:
    assert rotate_file(path, at(), algorithm).ready == START + PUBLISHED
    assert not rotate_file(path, at(PUBLISHED - timedelta(seconds=1))).changed
    assert rotate_file(path, at(PUBLISHED)).changed


@pytest.mark.parametrize("old", ["HS256", "EdDSA", "ES256", "RS256"])
def test_a_new_key_is_of_the_old_ones_algorithm_unless_told(old: str) -> None:
    text = new_key(old)
    _, step = advance(text, at())
    assert step.waiting
    assert step.waiting.algorithm == old
    _, step = advance(text, at(), "EdDSA")
    assert step.waiting
    assert step.waiting.algorithm == "EdDSA"


def rotated(text: str, times: int = 1) -> str:
    """The text after whole rotations, in which nobody removes a key but at the very end."""
    after = timedelta(0)
    for _ in range(times):
        for wait in (timedelta(0), PUBLISHED):
            after += wait
            text, step = advance(text, at(after))
            assert step.changed
        after += GONE
        if len(step.ring.keys) > 1:
            last = text.splitlines()[step.lines[1] - 1 :]
            text = text.replace("\n".join(last), "")
    return text


def test_many_rotations_leave_one_note_and_the_comments_of_the_file_in_place() -> None:
    text = rotated(f"# Keys of the notes.\n# Nobody's but ours.\n\n{new_key()}\n", times=5)
    lines = text.splitlines()
    assert lines[:3] == ["# Keys of the notes.", "# Nobody's but ours.", ""]
    assert text.count("# gatehouse:") == 1
    assert len(kids(text)) == 1


@pytest.mark.parametrize("algorithm", ["HS256", "ES256"])
@pytest.mark.parametrize("between", ["\n", ",", ",\n", "\r\n", "\n\n# the next one\n"])
def test_no_key_and_no_comment_is_lost_or_there_twice(
    path: Path, algorithm: str, between: str
) -> None:
    keys = [new_key(algorithm) for _ in range(3)]
    text = f"# top\n{between.join(keys)}\n# end"
    path.write_bytes(text.encode())
    before = set(kids(text))
    for after in (timedelta(0), PUBLISHED):
        step = rotate_file(path, at(after), "ES256")
        assert step.changed
        written = path.read_text()
        assert len(kids(written)) == 4
        assert before < set(kids(written))
        for comment in ("# top", "# end", *(["# the next one"] if "next" in between else [])):
            assert text.count(comment) == written.count(comment)
    assert kids(path.read_text())[0] not in before


def test_a_waiting_key_is_found_wherever_it_was_put() -> None:
    text, step = advance(new_key() + "\n", at())
    assert step.waiting
    text, step = advance(text + new_key() + "\n", at(KNOWN))
    assert step.changed
    assert len(kids(text)) == 3
    assert step.ring.signing.kid in text


def test_a_key_that_was_put_first_by_hand_is_counted_from_when_that_is_seen() -> None:
    old, new = new_key(), new_key()
    text, step = advance(f"{old}\n", at())
    assert step.waiting
    note, new = text.splitlines()[1:]
    for by_hand in (f"{note}\n{new}\n{old}\n", f"{old}\n{note.replace('added', 'signs')}\n{new}\n"):
        text, step = advance(by_hand, at(2 * GONE))
        assert (step.changed, step.waiting, step.ready) == (True, None, START + 3 * GONE)
        assert kids(text) == kids(by_hand)
        again, step = advance(text, at(3 * GONE))
        assert (step.changed, again) == (False, text)


@pytest.mark.parametrize(
    "note",
    [
        "# gatehouse: x added",
        "# gatehouse: x added yesterday",
        "# gatehouse: x added 2026-99-99T00:00:00+00:00",
        "# gatehouse: x removed 2026-01-01T00:00:00+00:00",
        "# gatehouse: added",
        "# gatehouse:",
    ],
)
def test_a_note_that_cannot_be_read_is_named_by_its_line(path: Path, note: str) -> None:
    text = f"{new_key()}\n{note}\n"
    path.write_text(text)
    with pytest.raises(BadKey, match="line 2"):
        rotate_file(path, at())
    assert path.read_text() == text


# --- the file itself


def test_the_file_keeps_its_mode_and_leaves_no_draft(path: Path) -> None:
    for mode in (0o600, 0o640, 0o604):
        path.write_text(new_key())
        path.chmod(mode)
        rotate_file(path, at())
        assert stat.S_IMODE(path.stat().st_mode) == mode
    assert list(path.parent.iterdir()) == [path]


@pytest.mark.skipif(os.name != "posix", reason="files have no such modes there")
def test_a_draft_is_its_owners_alone_as_soon_as_it_holds_keys(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whatever the file's own mode is: that one it gets when it is whole."""
    seen: list[int] = []
    sync = os.fsync

    def look(handle: int) -> None:
        seen.append(stat.S_IMODE(os.fstat(handle).st_mode))
        sync(handle)

    monkeypatch.setattr(os, "fsync", look)
    path.chmod(0o644)
    rotate_file(path, at())
    assert seen == [0o600]


def test_a_draft_gets_the_owner_of_the_file_and_a_file_of_others_is_left_alone(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As whoever is not root meets it, and root does not."""
    given: list[tuple[int, int]] = []
    monkeypatch.setattr(
        os, "chown", lambda _, user, group: given.append((user, group)), raising=False
    )
    rotate_file(path, at())
    assert given == [(path.stat().st_uid, path.stat().st_gid)]
    before = path.read_bytes()
    monkeypatch.setattr(os, "access", lambda *_: False)
    with pytest.raises(BadKey, match="not writable for you"):
        rotate_file(path, at(KNOWN))
    assert path.read_bytes() == before


@pytest.mark.skipif(not hasattr(os, "geteuid") or os.geteuid() != 0, reason="needs root")
def test_the_file_keeps_its_owner(path: Path) -> None:
    os.chown(path, 12_345, 23_456)
    rotate_file(path, at())
    assert (path.stat().st_uid, path.stat().st_gid) == (12_345, 23_456)


def test_a_link_keeps_pointing_at_the_file(path: Path, tmp_path: Path) -> None:
    (tmp_path / "elsewhere").mkdir()
    link = tmp_path / "elsewhere" / "link"
    link.symlink_to(path)
    rotate_file(link, at())
    assert link.is_symlink()
    assert len(read_key_file(path).keys) == len(read_key_file(link).keys) == 2
    assert list((tmp_path / "elsewhere").iterdir()) == [link]


def test_a_second_rotation_at_the_same_time_is_refused(path: Path) -> None:
    before = path.read_bytes()
    draft = path.with_name(".keys.txt.rotating")
    draft.touch()
    with pytest.raises(BadKey, match="another rotation is running"):
        rotate_file(path, at())
    assert path.read_bytes() == before
    assert draft.exists()


@pytest.mark.parametrize("broken", ["replace", "fsync", "chmod"])
def test_a_file_that_cannot_be_written_is_one_refusal_and_stays(
    path: Path, monkeypatch: pytest.MonkeyPatch, broken: str
) -> None:
    def fail(*_: object) -> None:
        raise OSError(30, "Read-only file system")

    before = path.read_bytes()
    monkeypatch.setattr(os, broken, fail)
    with pytest.raises(BadKey, match="Read-only file system") as refused:
        rotate_file(path, at())
    assert "\n" not in str(refused.value)
    assert path.read_bytes() == before
    assert list(path.parent.iterdir()) == [path]


@pytest.mark.skipif(not hasattr(os, "geteuid") or os.geteuid() == 0, reason="root may write all")
@pytest.mark.parametrize("make", ["file", "folder"])
def test_a_file_or_folder_that_is_for_reading_only_is_refused(path: Path, make: str) -> None:
    before = path.read_bytes()
    target, usual = (path, 0o600) if make == "file" else (path.parent, 0o700)
    target.chmod(usual & 0o500)
    try:
        with pytest.raises(BadKey, match="writable"):
            rotate_file(path, at())
    finally:
        target.chmod(usual)
    assert path.read_bytes() == before
    assert list(path.parent.iterdir()) == [path]


def test_no_step_says_a_key(path: Path) -> None:
    path.write_text(path.read_text() + new_key("ES256"))
    calls: list[Callable[[], Step]] = [
        lambda: rotate_file(path, at()),
        lambda: rotate_file(path, at(KNOWN)),
    ]
    for call in calls:
        shown = repr(call())
        for line in path.read_text().splitlines():
            assert line.startswith("#") or len(line) < 20 or line not in shown
