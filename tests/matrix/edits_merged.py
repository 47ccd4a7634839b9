"""Files that both sides change: those for containers."""

import re
from pathlib import Path
from typing import Any

from rendering import replace

from matrix.asking import all_of, at, gone, instructions, serves
from matrix.model import MERGED, Check, edit

DOCKER, COMPOSE = "Dockerfile", "compose.yaml"
BELOW = "# Your own below"


def below(service: Path, path: str, lines: str, place: int = 0) -> None:
    """Lines under one of the file's `Your own below` comments."""
    target = service / path
    parts = re.split(rf"(^ *{BELOW}[^\n]*\n)", target.read_text(), flags=re.MULTILINE)
    parts[2 * place + 1] += lines
    target.write_text("".join(parts))


def built(*wanted: str, without: str = "") -> Check:
    def check(service: Path) -> None:
        found = instructions(service)
        assert set(wanted) <= set(found), found
        assert not without or not any(without in line for line in found), found

    return check


def composed(*keys: str, equals: Any) -> Check:
    return at(COMPOSE, *keys, equals=equals)


@edit(MERGED, built("RUN apt-get update && apt-get install -y libpq5"), DOCKER)
def dockerfile_packages(service: Path, package: str) -> None:
    below(service, DOCKER, "RUN apt-get update \\\n    && apt-get install -y libpq5\n")


@edit(MERGED, built("FROM python:3.12-alpine AS build", "FROM python:3.12-alpine"), DOCKER)
def dockerfile_base_changed(service: Path, package: str) -> None:
    path = service / DOCKER
    path.write_text(re.sub(r"python:3\.\d+-slim-trixie", "python:3.12-alpine", path.read_text()))


@edit(MERGED, built('CMD ["./start.sh"]'), DOCKER)
def dockerfile_command_changed(service: Path, package: str) -> None:
    path = service / DOCKER
    path.write_text(re.sub(r"(?m)^CMD .*$", 'CMD ["./start.sh"]', path.read_text()))


@edit(MERGED, built("COPY assets assets", 'LABEL org="us"'), DOCKER)
def dockerfile_lines_added(service: Path, package: str) -> None:
    replace(service / DOCKER, "COPY src src\n", "COPY src src\nCOPY assets assets\n")
    replace(service / DOCKER, "EXPOSE 8000\n", 'EXPOSE 8000\nLABEL org="us"\n')


@edit(MERGED, built(without="HEALTHCHECK"), DOCKER)
def dockerfile_health_check_removed(service: Path, package: str) -> None:
    path = service / DOCKER
    path.write_text(re.sub(r"HEALTHCHECK .*\\\n.*\n", "", path.read_text()))


@edit(MERGED, built("FROM scratch", 'CMD ["/app"]'), DOCKER)
def dockerfile_rewritten(service: Path, package: str) -> None:
    (service / DOCKER).write_text('FROM scratch\nCOPY app /app\nCMD ["/app"]\n')


@edit(MERGED, all_of(gone(DOCKER, COMPOSE, ".dockerignore"), serves("/healthz", "ok")), DOCKER)
def containers_deleted(service: Path, package: str) -> None:
    for name in (DOCKER, COMPOSE, ".dockerignore"):
        (service / name).unlink()


@edit(MERGED, composed("services", "worker", "command", equals=["work"]), COMPOSE)
def compose_service(service: Path, package: str) -> None:
    below(service, COMPOSE, '  worker:\n    image: ours\n    command: ["work"]\n', 1)


@edit(MERGED, composed("x-service", "environment", "TEAM", equals="blue"), COMPOSE)
def compose_variable(service: Path, package: str) -> None:
    below(service, COMPOSE, "    TEAM: blue\n")


@edit(MERGED, composed("services", "api", "mem_limit", equals="2g"), COMPOSE)
def compose_limit_and_port(service: Path, package: str) -> None:
    replace(service / COMPOSE, "mem_limit: 512m", "mem_limit: 2g")
    replace(service / COMPOSE, "127.0.0.1:8000:8000", "127.0.0.1:9000:8000")


@edit(MERGED, composed("services", "app", "image", equals="ours"), COMPOSE)
def compose_rewritten(service: Path, package: str) -> None:
    (service / COMPOSE).write_text("services:\n  app:\n    image: ours\n")


def _uncommented(service: Path) -> None:
    composed("services", "api", "restart", equals="unless-stopped")(service)
    assert "#" not in (service / COMPOSE).read_text()


@edit(MERGED, _uncommented, COMPOSE)
def compose_comments_removed(service: Path, package: str) -> None:
    path = service / COMPOSE
    path.write_text(re.sub(r"(?m)^ *#.*\n", "", path.read_text()))


def _docker_context(service: Path) -> None:
    from pathspec import GitIgnoreSpec

    spec = GitIgnoreSpec.from_lines((service / ".dockerignore").read_text().splitlines())
    assert not spec.match_file("assets")
    assert spec.match_file(".env")


@edit(MERGED, _docker_context, ".dockerignore")
def dockerignore_line(service: Path, package: str) -> None:
    below(service, ".dockerignore", "!assets\n")
