"""Files that both sides change: for git and for the checks on every push."""

import re
from pathlib import Path
from typing import Any

from rendering import git, replace

from matrix.asking import gone, ignores, load
from matrix.model import MERGED, Check, edit

WORKFLOW = ".github/workflows/ci.yml"


def ignored(path: str, yes: bool = True) -> Check:
    def check(service: Path) -> None:
        assert ignores(service, path) is yes, path

    return check


@edit(MERGED, ignored("our-folder/x"), ".gitignore")
def gitignore_line_at_the_end(service: Path, package: str) -> None:
    with (service / ".gitignore").open("a") as file:
        file.write("our-folder/\n")


@edit(MERGED, ignored("our-folder/x"), ".gitignore")
def gitignore_line_at_the_top(service: Path, package: str) -> None:
    path = service / ".gitignore"
    path.write_text("our-folder/\n" + path.read_text())


@edit(MERGED, ignored("key.pem", False), ".gitignore")
def gitignore_line_removed(service: Path, package: str) -> None:
    replace(service / ".gitignore", "*.pem\n", "")


@edit(MERGED, ignored("notes.db", False), ".gitignore")
def gitignore_rewritten(service: Path, package: str) -> None:
    (service / ".gitignore").write_text(".env\n.venv\n__pycache__\n*.swp\n")


def attributed(path: str, wanted: str) -> Check:
    """Git gives the path this attribute (`name: value`), and our line endings still hold."""

    def check(service: Path) -> None:
        assert wanted in git(service, "check-attr", wanted.partition(":")[0], path)
        assert "eol: lf" in git(service, "check-attr", "eol", "a.py")

    return check


@edit(MERGED, attributed("a.sql", "diff: set"))
def gitattributes_line(service: Path, package: str) -> None:
    with (service / ".gitattributes").open("a") as file:
        file.write("*.sql diff\n")


@edit(MERGED, gone(".gitattributes"))
def gitattributes_deleted(service: Path, package: str) -> None:
    (service / ".gitattributes").unlink()


def workflow(service: Path) -> dict[Any, Any]:
    loaded: dict[Any, Any] = load(service, WORKFLOW)
    return loaded


def _step(service: Path) -> None:
    assert workflow(service)["jobs"]["checks"]["steps"][-1] == {"run": "make deploy"}


@edit(MERGED, _step, WORKFLOW)
def workflow_step(service: Path, package: str) -> None:
    with (service / WORKFLOW).open("a") as file:
        file.write("      - run: make deploy\n")


def _branches(service: Path) -> None:
    found = workflow(service)
    assert found[True]["push"]["branches"] == ["main", "develop"]
    assert found["jobs"]["checks"]["timeout-minutes"] == 40
    assert found["jobs"]["checks"]["runs-on"] == "our-runner"


@edit(MERGED, _branches, WORKFLOW)
def workflow_branches_and_runner(service: Path, package: str) -> None:
    path = service / WORKFLOW
    replace(path, "[main]", "[main, develop]")
    path.write_text(re.sub(r"timeout-minutes: \d+", "timeout-minutes: 40", path.read_text()))
    path.write_text(re.sub(r"runs-on: .*", "runs-on: our-runner", path.read_text()))


def _job(service: Path) -> None:
    found = workflow(service)
    assert found["jobs"]["publish"]["needs"] == "checks"
    assert all(step.get("run") != "uv run mypy" for step in found["jobs"]["checks"]["steps"])


@edit(MERGED, _job, WORKFLOW)
def workflow_job_added_and_step_removed(service: Path, package: str) -> None:
    replace(service / WORKFLOW, "      - run: uv run mypy\n", "")
    with (service / WORKFLOW).open("a") as file:
        file.write("  publish:\n    needs: checks\n    runs-on: x\n    steps: [{run: x}]\n")


@edit(MERGED, gone(WORKFLOW), WORKFLOW)
def workflow_deleted(service: Path, package: str) -> None:
    (service / WORKFLOW).unlink()


def _renamed(service: Path) -> None:
    gone(WORKFLOW)(service)
    assert "checks" in load(service, ".github/workflows/tests.yaml")["jobs"]


@edit(MERGED, _renamed, WORKFLOW)
def workflow_renamed(service: Path, package: str) -> None:
    git(service, "mv", WORKFLOW, ".github/workflows/tests.yaml")


def _own_workflow(service: Path) -> None:
    assert load(service, ".github/workflows/deploy.yml")["jobs"]["deploy"]
    assert load(service, ".github/dependabot.yml")["version"] == 2


@edit(MERGED, _own_workflow, WORKFLOW)
def own_workflow_beside_ours(service: Path, package: str) -> None:
    job = "on: push\njobs:\n  deploy:\n    runs-on: x\n    steps: [{run: x}]\n"
    (service / ".github/workflows/deploy.yml").write_text(job)
    (service / ".github/dependabot.yml").write_text("version: 2\nupdates: []\n")
