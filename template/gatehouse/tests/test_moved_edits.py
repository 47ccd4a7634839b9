"""An edit of a core file that a release has moved is at the new place, or a test says so."""

import os
import shutil
import subprocess
from collections.abc import Callable
from hashlib import sha256
from pathlib import Path

import pytest

from gatehouse.cli.moved_edits import CannotLook, missing_edits, without_hook
from gatehouse.core_files import CORE

OLD, NEW, OTHER = "gatehouse/one.py", "gatehouse/room/one.py", "gatehouse/two.py"
LOST = f"{OLD} was edited, and {NEW}, where that file is now, is as delivered"
Git = Callable[..., None]

needs_git = pytest.mark.skipif(not shutil.which("git"), reason="git is not installed")


def test_no_edit_of_a_moved_file_is_missing() -> None:
    """Of this service. Take what is named along: python3 gatehouse/check_update.py carry"""
    try:
        assert missing_edits(CORE) == []
    except CannotLook as why:
        pytest.skip(f"nobody can tell whether an edit of yours is missing: {why}")


def deliver(service: Path, files: dict[str, str], moved: str = "") -> None:
    """What an update leaves in the folder: a release's files, its manifest, what it has moved."""
    core = service / "gatehouse"
    for path in list(core.rglob("*.py")):
        if str(path.relative_to(service)) not in files:
            path.unlink()
    for name, text in files.items():
        (service / name).parent.mkdir(parents=True, exist_ok=True)
        (service / name).write_text(text)
    rows = (
        f"{sha256(text.encode()).hexdigest()}  {name.removeprefix('gatehouse/')}\n"
        for name, text in files.items()
    )
    (core / "manifest.sha256").write_text("".join(rows))
    (core / "moved.txt").write_text(f"# Old and new.\n{moved}")


def deliver_two(service: Path) -> None:
    """A release with two files that `move_two` moves, neither changed by the move."""
    deliver(service, {OLD: "ours\n", OTHER: "two\n", "gatehouse/three.py": "three\n"})


def move_two(service: Path) -> None:
    files = {NEW: "ours\n", OTHER: "two\n", "gatehouse/room/three.py": "three\n"}
    deliver(service, files, f"{OLD} {NEW}\ngatehouse/three.py gatehouse/room/three.py\n")


def move(service: Path) -> None:
    deliver(service, {NEW: "ours, later\n", OTHER: "two\n"}, f"{OLD} {NEW}\n")


@pytest.fixture
def git(tmp_path: Path) -> Git:
    def call(*arguments: str) -> None:
        me = ("-c", "user.name=test", "-c", "user.email=test@example.com")
        command = (shutil.which("git") or "git", *me, *arguments)
        subprocess.run(
            command,
            cwd=tmp_path / "repository",
            env=without_hook(os.environ),  # yours may be one of git's
            check=True,
            capture_output=True,
        )

    return call


@pytest.fixture
def service(tmp_path: Path, git: Git) -> Path:
    """A service in a folder of its repository, before a release moved one of its files."""
    folder = tmp_path / "repository" / "service"
    folder.mkdir(parents=True)
    git("init", "--quiet", "--initial-branch=main")
    deliver(folder, {OLD: "ours\n", OTHER: "two\n"})
    return folder


def commit(git: Git) -> None:
    git("add", "--all")
    git("commit", "--quiet", "--message=test")


@needs_git
@pytest.mark.thorough
@pytest.mark.parametrize("committed", [False, True])
def test_an_edit_that_an_update_took_away_is_told(service: Path, git: Git, committed: bool) -> None:
    (service / OLD).write_text("ours\nmine\n")
    commit(git)
    assert missing_edits(service / "gatehouse") == []
    move(service)
    if committed:
        commit(git)
        (service / "more.txt").write_text("later work")
        commit(git)
    assert missing_edits(service / "gatehouse") == [LOST]
    (service / NEW).write_text("ours, later\nmine\n")
    assert missing_edits(service / "gatehouse") == []


@needs_git
@pytest.mark.thorough
def test_an_update_that_came_by_a_merge_is_looked_at_too(service: Path, git: Git) -> None:
    (service / OLD).write_text("mine\n")
    commit(git)
    git("switch", "--quiet", "--create=update")
    move(service)
    commit(git)
    git("switch", "--quiet", "main")
    (service / "more.txt").write_text("work beside it")
    commit(git)
    git("merge", "--quiet", "--no-ff", "--no-edit", "update")
    assert missing_edits(service / "gatehouse") == [LOST]


@needs_git
@pytest.mark.thorough
@pytest.mark.parametrize("path", [OLD, NEW])
def test_an_edit_that_was_given_up_is_not_asked_for(service: Path, git: Git, path: str) -> None:
    (service / OLD).write_text("mine\n")
    commit(git)
    move(service)
    (service / "gatehouse/dropped.txt").write_text(f"{path}\n")
    assert missing_edits(service / "gatehouse") == []


@needs_git
@pytest.mark.thorough
def test_a_deleted_file_that_came_back_is_told(service: Path, git: Git) -> None:
    deliver_two(service)
    commit(git)
    (service / "gatehouse/three.py").unlink()
    commit(git)
    move_two(service)
    (told,) = missing_edits(service / "gatehouse")
    assert told.startswith("gatehouse/three.py was deleted, and gatehouse/room/three.py")


@needs_git
@pytest.mark.thorough
def test_what_nobody_edited_and_what_came_with_the_move_is_fine(service: Path, git: Git) -> None:
    commit(git)
    move(service)
    assert missing_edits(service / "gatehouse") == []
    commit(git)
    assert missing_edits(service / "gatehouse") == []


@needs_git
@pytest.mark.thorough
def test_without_history_nobody_can_tell(
    service: Path, git: Git, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (service / OLD).write_text("mine\n")
    commit(git)
    move(service)
    commit(git)
    shallow = tmp_path / "shallow"
    origin = f"file://{tmp_path / 'repository'}"
    git("clone", "--quiet", "--depth=1", origin, str(shallow))
    with pytest.raises(CannotLook, match="shallow"):
        missing_edits(shallow / "service" / "gatehouse")
    (plain := tmp_path / "plain").mkdir()
    shutil.copytree(service / "gatehouse", plain / "gatehouse")
    with pytest.raises(CannotLook, match="no git repository"):
        missing_edits(plain / "gatehouse")
    monkeypatch.setenv("PATH", "")
    with pytest.raises(CannotLook, match="not installed"):
        missing_edits(service / "gatehouse")


@needs_git
@pytest.mark.thorough
@pytest.mark.parametrize("committed", [False, True])
def test_an_edit_whose_old_file_still_lies_there_is_told(
    service: Path, git: Git, committed: bool
) -> None:
    """As one of `owned.txt` after an update by a release that knew no moves."""
    (service / OLD).write_text("mine\n")
    commit(git)
    move(service)
    (service / OLD).write_text("mine\n")
    if committed:
        commit(git)
    assert missing_edits(service / "gatehouse") == [LOST]


@needs_git
@pytest.mark.thorough
def test_an_edit_that_was_taken_back_before_the_update_is_none(service: Path, git: Git) -> None:
    (service / OLD).write_text("mine\n")
    commit(git)
    (service / OLD).unlink()
    commit(git)
    (service / OLD).write_text("ours\n")
    commit(git)
    move(service)
    commit(git)
    assert missing_edits(service / "gatehouse") == []


@needs_git
@pytest.mark.thorough
def test_other_line_ends_are_no_edit_and_hide_none(service: Path, git: Git) -> None:
    deliver_two(service)
    (service / OLD).write_text("mine\n")
    (service / "gatehouse/three.py").write_bytes(b"three\r\n")
    commit(git)
    move_two(service)
    (service / NEW).write_bytes(b"ours\r\n")
    assert missing_edits(service / "gatehouse") == [LOST]


@needs_git
@pytest.mark.thorough
def test_a_service_that_has_left_the_template_is_asked_for_nothing(service: Path, git: Git) -> None:
    (service / OLD).write_text("mine\n")
    commit(git)
    move(service)
    (service / "gatehouse/manifest.sha256").unlink()
    commit(git)
    assert missing_edits(service / "gatehouse") == []


@needs_git
@pytest.mark.thorough
def test_one_of_gits_hooks_looks_at_the_service_too(
    service: Path, git: Git, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (service / OLD).write_text("mine\n")
    commit(git)
    move(service)
    commit(git)
    monkeypatch.setenv("GIT_DIR", str(tmp_path / "repository/.git"))
    assert missing_edits(service / "gatehouse") == [LOST]


@needs_git
@pytest.mark.thorough
def test_what_git_does_not_have_at_hand_nobody_can_tell(
    service: Path, git: Git, tmp_path: Path
) -> None:
    """As in a partial clone whose origin does not answer."""
    (service / OLD).write_text("mine\n")
    commit(git)
    move(service)
    commit(git)
    name = ("rev-parse", f"HEAD^:service/{OLD}")
    blob = subprocess.run(
        (shutil.which("git") or "git", *name),
        cwd=service,
        env=without_hook(os.environ),
        capture_output=True,
        text=True,
    ).stdout.strip()
    (tmp_path / f"repository/.git/objects/{blob[:2]}/{blob[2:]}").unlink()
    with pytest.raises(CannotLook, match="partial"):
        missing_edits(service / "gatehouse")
