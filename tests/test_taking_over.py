"""Owning a core file for good, and leaving the template, step by step as the core's README says."""

import os
import re
import subprocess
import sys
from hashlib import sha256
from pathlib import Path

import pytest
from rendering import commit_all, files_of, git, render, run_in_service

NEXT, LATER = "99.0.0", "99.1.0"
OWNED = "gatehouse/src/gatehouse/text.py"
OTHER = "gatehouse/src/gatehouse/mailer/smtp.py"
MINE = "# The owner's own line.\n"
OURS = "\n# A fix in a later version.\n"


@pytest.fixture(scope="session")
def later_versions(template: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two more releases: one changes two core files, the next drops one and changes the other."""
    folder = tmp_path_factory.mktemp("later") / "template"
    git(template, "clone", "--quiet", str(template), str(folder))
    inside = folder / "template"
    for version in (NEXT, LATER):
        for name in (OWNED, OTHER):
            (inside / name).write_text((inside / name).read_text() + OURS)
        if version == LATER:
            (inside / OWNED).unlink()
        write_manifest(inside / "gatehouse")
        commit_all(folder, version)
    return folder


def write_manifest(core: Path) -> None:
    lines = (
        f"{sha256(content).hexdigest()}  {path}\n"
        for path, content in files_of(core).items()
        if path != "manifest.sha256"
    )
    (core / "manifest.sha256").write_text("".join(lines))


def section(service: Path) -> str:
    text = (service / "gatehouse/README.md").read_text()
    return text.partition("\n## Take a file over\n")[2].partition("\n## ")[0]


def step(text: str, command: str) -> str:
    """A command, which must stand in the text."""
    assert command in text
    return command


def update(service: Path, command: str, version: str) -> subprocess.CompletedProcess[str]:
    """The command as it stands in the text, to a release; its `python3` and Copier are ours."""
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    return subprocess.run(
        [sys.executable, *command.split()[1:], f"--vcs-ref={version}"],
        cwd=service,
        env={**os.environ, "PATH": path},
        capture_output=True,
        text=True,
    )


def own(later_versions: Path, folder: Path) -> Path:
    """A service that owns one core file: edited, listed, committed."""
    service = render(later_versions, folder)
    commit_all(service)
    text = (service / OWNED).read_text()
    (service / OWNED).write_text(MINE + text)
    listed = step(section(service), "gatehouse/owned.txt")
    (service / listed).write_text(step(section(service), OWNED) + "\n")
    commit_all(service)
    return service


def test_updates_leave_an_owned_core_file_alone(later_versions: Path, tmp_path: Path) -> None:
    service = own(later_versions, tmp_path / "my service")
    mine = (service / OWNED).read_bytes()
    command = step(section(service), "python3 gatehouse/check_update.py update")
    for version in (NEXT, LATER):
        done = update(service, command, version)
        assert done.returncode == 0, done.stdout + done.stderr
        assert f"changes {OWNED}, which is yours" in done.stdout
        assert (service / OWNED).read_bytes() == mine
        assert (service / OTHER).read_text().endswith(OURS)
        assert (service / "gatehouse/owned.txt").read_text() == f"{OWNED}\n"
        assert f"_commit: {version}\n" in (service / ".copier-answers.yml").read_text()
        commit_all(service)


def test_without_that_an_edit_where_we_changed_the_same_is_a_conflict(
    later_versions: Path, tmp_path: Path
) -> None:
    """Else the test above would show nothing. A merge driver changes nothing of it."""
    service = render(later_versions, tmp_path / "service")
    commit_all(service)
    (service / OWNED).write_text((service / OWNED).read_text() + MINE)
    with (service / ".gitattributes").open("a") as attributes:
        attributes.write(f"{OWNED} merge=ours\n")
    git(service, "config", "merge.ours.driver", "true")
    commit_all(service)
    command = step(section(service), "python3 gatehouse/check_update.py update")
    done = update(service, command, NEXT)
    assert done.returncode == 3
    assert f"Conflict: {OWNED}\n" in done.stdout
    judge = step(section(service), "python3 gatehouse/check_update.py judge")
    asked = subprocess.run([sys.executable, *judge.split()[1:]], cwd=service, capture_output=True)
    assert asked.returncode == 3


@pytest.mark.slow
def test_the_cores_test_warns_of_an_owned_file(later_versions: Path, tmp_path: Path) -> None:
    service = own(later_versions, tmp_path / "service")
    command = step(section(service), "python3 gatehouse/check_update.py update")
    assert update(service, command, NEXT).returncode == 0
    text = section(service)
    run_in_service(service, "pytest", "-q", "gatehouse/tests/test_structure.py")
    warned = f"{OWNED} was edited"
    fails = ["-W", f"error:{warned}", "-k", "as_it_was_delivered"]
    with pytest.raises(AssertionError, match=re.escape(warned)):
        run_in_service(service, "pytest", "-q", *fails, "gatehouse/tests/test_structure.py")
    thorough = step(text, "uv run pytest -o gatehouse_thorough=true").split()[2:]
    run_in_service(service, *thorough, "-q", "-k", "structure or hooks")


@pytest.mark.slow
def test_a_service_that_leaves_the_template_works_and_can_come_back(
    later_versions: Path, tmp_path: Path
) -> None:
    service = own(later_versions, tmp_path / "service")
    text = section(service)
    for name in (
        ".copier-answers.yml",
        "gatehouse/manifest.sha256",
        "gatehouse/owned.txt",
        ".github/workflows/update.yml",
        ".github/renovate.json",
    ):
        (service / step(text, name)).unlink()
    commit_all(service)
    # Nothing that is left asks for what has gone.
    run_in_service(service, "sh", "-c", 'echo "AUTH_KEYS=$(demo-service keys new)" > .env')
    run_in_service(service, "demo-service", "migrate")
    started = "from demo_service.main import create_app; create_app()"
    run_in_service(service, "python", "-c", started)
    run_in_service(service, "pytest", "-q")
    run_in_service(service, "mypy")
    commit_all(service)
    git(service, "revert", "--no-edit", "HEAD~1")
    command = "python3 gatehouse/check_update.py update"
    done = update(service, command, NEXT)
    assert done.returncode == 0, done.stdout + done.stderr
    assert (service / OWNED).read_text().startswith(MINE)
    assert (service / OTHER).read_text().endswith(OURS)
