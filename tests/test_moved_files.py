"""Core files that a later release moves: an edit comes along, or is loudly in conflict."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
from rendering import REPOSITORY, commit_all, git, render, run_copier
from test_taking_over import write_manifest

pytestmark = pytest.mark.slow

NEXT, LATER = "99.0.0", "99.1.0"
SCRIPT = REPOSITORY / "template/gatehouse/check_update.py"
ROOM = "gatehouse/src/gatehouse"
# Old place, new place, and whether a stub stays at the old one.
MOVES = {
    f"{ROOM}/text.py": (f"{ROOM}/words/text.py", True),
    f"{ROOM}/mailer/smtp.py": (f"{ROOM}/post/smtp.py", False),
    f"{ROOM}/store/paging.py": (f"{ROOM}/web/paging.py", True),
    "gatehouse/RUNBOOK.md": ("gatehouse/docs/RUNBOOK.md", False),
    f"{ROOM}/common_passwords.txt.gz": (f"{ROOM}/hashing/common_passwords.txt.gz", True),
}
TEXT, SMTP, PUBLIC, BOOK, PACKED = MOVES
STUB = "# Moved.\n"
OURS = "# Ours, in a later version.\n"
MINE = "# Mine.\n"


@pytest.fixture(scope="session")
def moved(template: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The template, and a later release in which files have moved and changed at their end."""
    folder = tmp_path_factory.mktemp("moved") / "template"
    git(template, "clone", "--quiet", str(template), str(folder))
    inside = folder / "template"
    for old, (new, stub) in MOVES.items():
        (inside / new).parent.mkdir(parents=True, exist_ok=True)
        content = (inside / old).read_bytes()
        binary = b"\0" in content
        (inside / new).write_bytes(content + (b"\0more" if binary else OURS.encode()))
        if not stub:
            (inside / old).unlink()
        elif not binary:
            (inside / old).write_text(STUB)
    lines = [f"{old} {new}\n" for old, (new, _) in MOVES.items()]
    with (inside / "gatehouse/moved.txt").open("a") as file:
        file.write("".join(lines))
    write_manifest(inside / "gatehouse")
    commit_all(folder, NEXT)
    return folder


@pytest.fixture
def service(moved: Path, tmp_path: Path) -> Path:
    folder = render(moved, tmp_path / "service")
    commit_all(folder)
    return folder


def check(service: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    done = subprocess.run(
        [sys.executable, str(SCRIPT), *arguments],
        cwd=service,
        env={**os.environ, "PATH": path},
        capture_output=True,
        text=True,
    )
    print(done.stdout + done.stderr)
    return done


def edit(service: Path, path: str, *, start: str = "", end: str = "") -> None:
    file = service / path
    file.write_text(start + file.read_text() + end)
    commit_all(service)


def new(path: str) -> str:
    return MOVES[path][0]


def unmerged(service: Path) -> dict[str, list[str]]:
    found: dict[str, list[str]] = {}
    for line in git(service, "ls-files", "-u").splitlines():
        head, _, path = line.partition("\t")
        found.setdefault(path, []).append(head.split()[2])
    return found


def test_what_nobody_edited_moves(service: Path) -> None:
    assert check(service, "update").returncode == 0
    assert (service / new(TEXT)).read_text().endswith(OURS)
    assert (service / TEXT).read_text() == STUB
    assert not (service / SMTP).exists()


@pytest.mark.parametrize("path", [TEXT, SMTP, BOOK])
def test_an_edit_comes_along(service: Path, path: str) -> None:
    edit(service, path, start=MINE)
    done = check(service, "update")
    assert done.returncode == 0
    assert f"Carried: your edit of {path} is in {new(path)} now." in done.stdout
    text = (service / new(path)).read_text()
    assert text.startswith(MINE)
    assert text.endswith(OURS)
    assert (service / path).exists() == MOVES[path][1]
    assert not (service / path).exists() or (service / path).read_text() == STUB
    assert unmerged(service) == {}
    assert not list(service.rglob("*.rej"))
    assert check(service, "carry").returncode == 0  # once more changes nothing
    assert (service / new(path)).read_text() == text


def test_an_edit_comes_along_when_the_update_is_committed_already(service: Path) -> None:
    """By Copier itself, or by a workflow of a release that knew no moves."""
    edit(service, TEXT, start=MINE)
    edit(service, SMTP, end=MINE)
    run_copier("update", "--defaults", cwd=service)
    commit_all(service)
    edit(service, "README.md", end="Mine, too.\n")
    assert check(service, "carry").returncode == 3
    assert (service / new(TEXT)).read_text().startswith(MINE)
    assert set(unmerged(service)) == {new(SMTP)}


def test_an_edit_comes_along_when_a_later_update_is_committed_too(
    moved: Path, service: Path
) -> None:
    """A test of the service asks for `carry` until it is there."""
    edit(service, SMTP, start=MINE)
    run_copier("update", "--defaults", cwd=service)
    commit_all(service)
    answers = service / ".copier-answers.yml"
    later = answers.read_text().replace(f"_commit: {NEXT}", f"_commit: {LATER}")
    git(moved, "tag", "--force", LATER, NEXT)
    answers.write_text(later)
    assert check(service, "carry").returncode == 0
    assert (service / new(SMTP)).read_text().startswith(MINE)
    commit_all(service)
    (service / new(SMTP)).write_text(MINE + (service / new(SMTP)).read_text())
    kept = (service / new(SMTP)).read_text()
    assert check(service, "carry").returncode == 0  # what is there is left alone
    assert (service / new(SMTP)).read_text() == kept


@pytest.mark.parametrize("path", [TEXT, SMTP])
def test_an_edit_where_we_changed_the_same_is_a_conflict_at_the_new_place(
    service: Path, path: str
) -> None:
    edit(service, path, end=MINE)
    mine = (service / path).read_text()
    done = check(service, "update")
    assert done.returncode == 3
    assert f"Conflict: your edit of {path} meets changes in {new(path)}" in done.stdout
    text = (service / new(path)).read_text()
    left, right = "<" * 7, ">" * 7
    assert f"{left} before updating\n{MINE}" in text
    assert f"{OURS}{right} after updating\n" in text
    assert check(service, "carry").returncode == 3  # until it is settled
    assert unmerged(service) == {new(path): ["1", "2", "3"]}
    assert git(service, "show", f":2:{new(path)}") == mine
    assert git(service, "show", f":3:{new(path)}").endswith(OURS)
    assert check(service, "judge").returncode == 3


def test_several_edits_at_once_and_the_same_change_on_both_sides(service: Path) -> None:
    edit(service, TEXT, start=MINE)
    edit(service, PUBLIC, end=OURS)  # what the release does, too
    edit(service, BOOK, end=MINE)
    assert check(service, "update").returncode == 3
    assert (service / new(PUBLIC)).read_text().count(OURS) == 1
    assert (service / "gatehouse/dropped.txt").read_text() == f"{PUBLIC}\n"
    assert (service / new(TEXT)).read_text().startswith(MINE)
    assert set(unmerged(service)) == {new(BOOK)}


def test_an_edited_binary_file_is_a_conflict(service: Path) -> None:
    (service / PACKED).write_bytes(b"\x1f\x8b\0mine")
    commit_all(service)
    done = check(service, "update")
    assert done.returncode == 3
    assert unmerged(service) == {new(PACKED): ["1", "2", "3"]}
    assert f"Conflict: {new(PACKED)}\n" in done.stdout


def test_a_deleted_file_that_comes_back_elsewhere_is_told(service: Path) -> None:
    (service / SMTP).unlink()
    commit_all(service)
    done = check(service, "update")
    assert done.returncode == 3
    assert f"You had deleted {SMTP}. It is {new(SMTP)} now" in done.stdout


def test_an_owned_file_moves_with_its_entry_and_is_told(service: Path) -> None:
    (service / "gatehouse/owned.txt").write_text(f"# Mine:\n{TEXT}\n{SMTP}\n")
    edit(service, TEXT, start=MINE)
    done = check(service, "update")
    assert done.returncode == 3
    assert f"{TEXT}, which is yours, is {new(TEXT)} now" in done.stdout
    owned = (service / "gatehouse/owned.txt").read_text()
    assert owned == f"# Mine:\n{new(TEXT)}\n{new(SMTP)}\n"
    assert (service / new(TEXT)).read_text().startswith(MINE)
    assert (service / TEXT).read_text() == STUB
    assert not (service / SMTP).exists()
    said = check(service, "pull-request", "--tests=passed")
    assert said.returncode == 3
    assert f"- `{TEXT}`" in said.stdout.partition("## Moved")[2]


@pytest.mark.parametrize("named", ["old", "new"])
def test_an_edit_can_be_given_up_after_an_update(service: Path, named: str) -> None:
    edit(service, TEXT, end=MINE)
    assert check(service, "update").returncode == 3
    assert check(service, "carry", "--drop", TEXT if named == "old" else new(TEXT)).returncode == 0
    assert (service / "gatehouse/dropped.txt").read_text() == f"{TEXT}\n"
    assert (service / new(TEXT)).read_text().endswith(OURS)
    assert MINE not in (service / new(TEXT)).read_text()
    assert check(service, "judge").returncode == 0
    assert unmerged(service) == {}


def test_an_edit_that_was_given_up_stays_away(service: Path) -> None:
    """The weekly workflow makes the same update anew until it is merged."""
    edit(service, TEXT, end=MINE)
    assert check(service, "carry", "--drop", f"./{TEXT}").returncode == 0
    assert check(service, "carry", "--drop", TEXT).returncode == 0
    assert (service / "gatehouse/dropped.txt").read_text() == f"{TEXT}\n"
    commit_all(service)
    done = check(service, "update")
    assert done.returncode == 0
    assert f"your edit of {TEXT} is not taken along" in done.stdout
    assert MINE not in (service / new(TEXT)).read_text()
    assert (service / TEXT).read_text() == STUB
    assert (service / "gatehouse/dropped.txt").read_text() == f"{TEXT}\n"
    for wrong in ("src/demo_service/main.py", "gatehouse/../x", "gatehouse/nothing.py"):
        assert check(service, "carry", "--drop", wrong).returncode == 1


def test_a_file_of_the_owners_at_the_new_place_is_a_conflict(service: Path) -> None:
    (service / new(TEXT)).parent.mkdir()
    (service / new(TEXT)).write_text("mine = True\n")
    edit(service, TEXT, start=MINE)
    done = check(service, "update")
    assert done.returncode == 3
    assert f"Conflict: {new(TEXT)} was there before." in done.stdout
    assert "mine = True" in (service / new(TEXT)).read_text()


def test_a_service_in_a_folder_of_a_repository_keeps_its_edits_too(
    moved: Path, tmp_path: Path
) -> None:
    service = render(moved, tmp_path / "all/services/one")
    commit_all(tmp_path / "all")
    edit_path = service / TEXT
    edit_path.write_text(edit_path.read_text() + MINE)
    (service / SMTP).write_text(MINE + (service / SMTP).read_text())
    commit_all(tmp_path / "all")
    assert check(service, "update").returncode == 3
    # By its whole path, as git has it in the index.
    assert set(unmerged(tmp_path / "all")) == {f"services/one/{new(TEXT)}"}
    assert (service / new(SMTP)).read_text().startswith(MINE)


@pytest.mark.parametrize(
    "line", ["gatehouse/a.py", f"{TEXT} ../x", f"/etc/x {TEXT}", f"{TEXT} src/x.py", "a b c"]
)
def test_a_list_of_moves_that_leads_elsewhere_is_refused(service: Path, line: str) -> None:
    with (service / "gatehouse/moved.txt").open("a") as file:
        file.write(f"{line}\n")
    done = check(service, "carry")
    assert done.returncode == 1
    assert "is no move" in done.stderr
