"""Shared files again, as those change them who run the service: images, stacks, pipelines."""

import re
from pathlib import Path
from typing import Any

from rendering import git, replace

from matrix.asking import at, gone, ignores, load
from matrix.edits_merged import COMPOSE, DOCKER, below, built, composed
from matrix.edits_shared import WORKFLOW, attributed, ignored
from matrix.model import MERGED, Check, edit

FOLDER = ".github"


@edit(MERGED, built("ENV PATH=/app/.venv/bin:$PATH PYTHONUNBUFFERED=1 TZ=UTC "
                    "GLIBC_TUNABLES=glibc.malloc.hugetlb=1"), DOCKER)  # fmt: skip
def dockerfile_variable(service: Path, package: str) -> None:
    line = "    PYTHONUNBUFFERED=1 \\\n"
    replace(service / DOCKER, line, f"{line}    TZ=UTC \\\n")


@edit(MERGED, built("USER 20002"), DOCKER)
def dockerfile_user_changed(service: Path, package: str) -> None:
    path = service / DOCKER
    path.write_text(path.read_text().replace("10001", "20002"))


@edit(MERGED, built("EXPOSE 9000"), DOCKER)
def dockerfile_port_changed(service: Path, package: str) -> None:
    path = service / DOCKER
    path.write_text(path.read_text().replace("8000", "9000"))


@edit(MERGED, built("FROM build AS checks", "RUN uv run pytest"), DOCKER)
def dockerfile_stage_added(service: Path, package: str) -> None:
    with (service / DOCKER).open("a") as file:
        file.write("\nFROM build AS checks\nCOPY tests tests\nRUN uv run pytest\n")


@edit(MERGED, built("RUN --mount=type=cache,target=/cache uv sync --locked --no-dev"), DOCKER)
def dockerfile_cache(service: Path, package: str) -> None:
    line = "RUN uv sync --locked --no-dev\n"
    cached = line.replace("RUN ", "RUN --mount=type=cache,target=/cache ")
    replace(service / DOCKER, line, cached)


@edit(MERGED, composed("services", "cache", "image", equals="valkey/valkey:8"), COMPOSE)
def compose_cache_and_its_setting(service: Path, package: str) -> None:
    below(service, COMPOSE, "  cache:\n    image: valkey/valkey:8\n", 1)
    below(service, COMPOSE, "    AUTH_THROTTLE_STORAGE: redis://cache\n")


@edit(MERGED, composed("volumes", "data", "external", equals=True), COMPOSE)
def compose_volume_changed(service: Path, package: str) -> None:
    replace(service / COMPOSE, "volumes:\n  data:\n", "volumes:\n  data:\n    external: true\n")


@edit(MERGED, composed("networks", "default", "name", equals="shared"), COMPOSE)
def compose_network_added(service: Path, package: str) -> None:
    with (service / COMPOSE).open("a") as file:
        file.write("\nnetworks:\n  default:\n    name: shared\n")


@edit(MERGED, composed("services", "migrate", "profiles", equals=["tools"]), COMPOSE)
def compose_migration_by_hand(service: Path, package: str) -> None:
    line = "    healthcheck: { disable: true }\n"
    replace(service / COMPOSE, line, f"{line}    profiles: [tools]\n")


def _own_context(service: Path) -> None:
    assert (service / ".dockerignore").read_text() == ".git\n.env\n"


@edit(MERGED, _own_context, ".dockerignore")
def dockerignore_rewritten(service: Path, package: str) -> None:
    (service / ".dockerignore").write_text(".git\n.env\n")


def _commented(path: str) -> Check:
    def check(service: Path) -> None:
        text = (service / path).read_text()
        assert text.startswith("# Ours: ask the platform team.\n"), text[:80]

    return check


@edit(MERGED, _commented(DOCKER), DOCKER)
def dockerfile_header(service: Path, package: str) -> None:
    path = service / DOCKER
    path.write_text(f"# Ours: ask the platform team.\n{path.read_text()}")


@edit(MERGED, _commented(WORKFLOW), WORKFLOW)
def workflow_header(service: Path, package: str) -> None:
    path = service / WORKFLOW
    path.write_text(f"# Ours: ask the platform team.\n{path.read_text()}")


def in_workflow(*keys: Any, equals: Any) -> Check:
    return at(WORKFLOW, *keys, equals=equals)


@edit(MERGED, in_workflow("jobs", "checks", "strategy", "matrix", "python", equals=["3.13"]),
      WORKFLOW)  # fmt: skip
def workflow_one_python(service: Path, package: str) -> None:
    path = service / WORKFLOW
    path.write_text(re.sub(r"python: \[.*\]", 'python: ["3.13"]', path.read_text()))


@edit(MERGED, in_workflow("jobs", "checks", "services", "database", "image", equals="postgres:17"),
      WORKFLOW)  # fmt: skip
def workflow_database(service: Path, package: str) -> None:
    database = "    services:\n      database:\n        image: postgres:17\n"
    replace(service / WORKFLOW, "    strategy:\n", f"{database}    strategy:\n")


@edit(MERGED, in_workflow(True, "schedule", equals=[{"cron": "0 4 * * *"}]), WORKFLOW)
def workflow_every_night(service: Path, package: str) -> None:
    nightly = '  pull_request:\n  schedule:\n    - cron: "0 4 * * *"\n'
    replace(service / WORKFLOW, "  pull_request:\n", nightly)


@edit(MERGED, in_workflow("concurrency", "cancel-in-progress", equals=True), WORKFLOW)
def workflow_concurrency(service: Path, package: str) -> None:
    lines = "concurrency:\n  group: ${{ github.ref }}\n  cancel-in-progress: true\n\n"
    replace(service / WORKFLOW, "jobs:\n", f"{lines}jobs:\n")


@edit(MERGED, in_workflow("jobs", "checks", "steps", -1, equals={"run": "uv run pytest -n auto"}),
      WORKFLOW)  # fmt: skip
def workflow_command_changed(service: Path, package: str) -> None:
    replace(service / WORKFLOW, "run: uv run pytest\n", "run: uv run pytest -n auto\n")


def _papers(service: Path) -> None:
    assert (service / FOLDER / "CODEOWNERS").read_text() == "* @our/team\n"
    assert (service / FOLDER / "pull_request_template.md").read_text() == "What and why?\n"


@edit(MERGED, _papers, WORKFLOW)
def papers_for_reviewers(service: Path, package: str) -> None:
    (service / FOLDER / "CODEOWNERS").write_text("* @our/team\n")
    (service / FOLDER / "pull_request_template.md").write_text("What and why?\n")


def _another_forge(service: Path) -> None:
    gone(WORKFLOW)(service)
    assert load(service, ".gitlab-ci.yml") == {"checks": {"script": ["uv run pytest"]}}


@edit(MERGED, _another_forge, WORKFLOW)
def another_forge(service: Path, package: str) -> None:
    git(service, "rm", "-rq", FOLDER)
    (service / ".gitlab-ci.yml").write_text("checks:\n  script: [uv run pytest]\n")


def _grouped(service: Path) -> None:
    for path in ("a.orig", "node_modules/x", "data.parquet"):
        assert ignores(service, path), path


@edit(MERGED, _grouped, ".gitignore")
def gitignore_lines_in_each_group(service: Path, package: str) -> None:
    path = service / ".gitignore"
    replace(path, "*.db-*\n", "*.db-*\n*.parquet\n")
    replace(path, "__pycache__/\n", "__pycache__/\nnode_modules/\n")
    path.write_text(f"{path.read_text()}*.orig\n")


@edit(MERGED, ignored(".env.test", False), ".gitignore")
def gitignore_exception(service: Path, package: str) -> None:
    replace(service / ".gitignore", "!.env.example\n", "!.env.example\n!.env.test\n")


@edit(MERGED, attributed("a.psd", "filter: lfs"))
def gitattributes_large_files(service: Path, package: str) -> None:
    with (service / ".gitattributes").open("a") as file:
        file.write("*.psd filter=lfs diff=lfs merge=lfs -text\n")


UPDATES, RENOVATE = f"{FOLDER}/workflows/update.yml", f"{FOLDER}/renovate.json"


@edit(MERGED, at(UPDATES, True, "schedule", equals=[{"cron": "0 6 1 * *"}]), WORKFLOW,
      since="0.4.0")  # fmt: skip
def updates_every_month(service: Path, package: str) -> None:
    path = service / UPDATES
    path.write_text(re.sub(r'cron: ".*"', 'cron: "0 6 1 * *"', path.read_text()))


@edit(MERGED, gone(UPDATES, RENOVATE), WORKFLOW, since="0.4.0")
def updates_by_hand(service: Path, package: str) -> None:
    git(service, "rm", "-q", UPDATES, RENOVATE)


def _renovate(service: Path) -> None:
    found = load(service, RENOVATE)
    assert found["enabledManagers"] == ["copier", "pep621"]
    assert found["labels"] == ["gatehouse", "dependencies"]


@edit(MERGED, _renovate, WORKFLOW, since="0.4.0")
def renovate_for_more(service: Path, package: str) -> None:
    replace(service / RENOVATE, '["copier"]', '["copier", "pep621"]')
    replace(service / RENOVATE, '["gatehouse"]', '["gatehouse", "dependencies"]')
