"""The owner's files around the code."""

import os
import subprocess
import tomllib
from pathlib import Path

from rendering import git, replace

from matrix.asking import all_of, gone, holds, ignores, load, package_of, serves
from matrix.model import EXTENSION, edit


def _dependency(service: Path) -> None:
    content = tomllib.loads((service / "pyproject.toml").read_text())
    assert {"packaging", "fastapi"} <= set(content["project"]["dependencies"])
    assert content["project"]["version"] == "4.5.6"
    assert content["tool"]["ruff"]["line-length"] == 79
    lock = tomllib.loads((service / "uv.lock").read_text())
    assert lock["package"][0]["name"] == "packaging"
    assert git(service, "ls-files", "uv.lock").strip() == "uv.lock"


@edit(EXTENSION, _dependency)
def own_dependencies_and_lock(service: Path, package: str) -> None:
    path = service / "pyproject.toml"
    replace(path, '    "fastapi",\n', '    "fastapi",\n    "packaging",\n')
    replace(path, 'version = "0.1.0"', 'version = "4.5.6"')
    replace(path, "line-length = 100", "line-length = 79")
    (service / "uv.lock").write_text('version = 1\n\n[[package]]\nname = "packaging"\n')


def _tool(service: Path) -> None:
    content = tomllib.loads((service / "pyproject.toml").read_text())
    assert content["tool"]["poe"]["tasks"] == {"serve": "x serve"}


@edit(EXTENSION, _tool)
def pyproject_rewritten(service: Path, package: str) -> None:
    (service / "pyproject.toml").write_text(
        '[project]\nname = "x"\nversion = "1"\ndependencies = ["gatehouse-core"]\n\n'
        '[tool.poe]\ntasks = { serve = "x serve" }\n\n'
        f'[tool.pytest.ini_options]\ngatehouse_app = "{package}.main:create_app"\n'
    )


def _env_example(service: Path) -> None:
    from dotenv import dotenv_values

    values = dotenv_values(service / ".env.example")
    assert values == {"TEAM": "blue", "AUTH_KEYS": "changeme"}, values


@edit(EXTENSION, _env_example)
def env_example_rewritten(service: Path, package: str) -> None:
    (service / ".env.example").write_text("TEAM=blue\nAUTH_KEYS=changeme\n")


@edit(EXTENSION, all_of(gone(".env.example", "README.md"), serves("/healthz", "ok")))
def papers_deleted(service: Path, package: str) -> None:
    (service / ".env.example").unlink()
    (service / "README.md").unlink()


def _readme(service: Path) -> None:
    assert (service / "README.md").read_text() == "# Ours\n\nAll of it <<<<<<< is ours.\n"


@edit(EXTENSION, _readme)
def readme_rewritten(service: Path, package: str) -> None:
    (service / "README.md").write_text("# Ours\n\nAll of it <<<<<<< is ours.\n")


MAIL = "Subject: Ours for $email\n\nConfirm:\n\n$link\n"


@edit(EXTENSION, holds("(main.MIGRATIONS.parent / 'src' / main.__package__ / 'mail' / "
                       f"'verify_email.txt').read_text() == {MAIL!r}"))  # fmt: skip
def own_mail_template(service: Path, package: str) -> None:
    (service / f"src/{package}/mail").mkdir()
    (service / f"src/{package}/mail/verify_email.txt").write_text(MAIL)


def _tree(service: Path) -> None:
    script = service / "scripts/say it.sh"
    assert subprocess.check_output([script], text=True) == "ja\n"
    assert os.readlink(service / "docs/START.md") == "../README.md"
    assert (service / "docs/Über uns.md").read_text() == "Wir.\n"
    logo = service / "src" / package_of(service) / "static/logo.png"
    assert logo.read_bytes() == PICTURE
    assert load(service, ".pre-commit-config.yaml") == {"repos": []}
    if (service / ".gitignore").exists():
        assert ignores(service, "local-notes/")


PICTURE = b"\x89PNG\r\n\x1a\n\x00\x00\xff\xfe" * 40


@edit(EXTENSION, _tree)
def own_files_of_all_kinds(service: Path, package: str) -> None:
    """A script, a link, a picture, names with blanks; and a line in a file that we share."""
    for folder in ("scripts", "docs", f"src/{package}/static"):
        (service / folder).mkdir()
    script = service / "scripts/say it.sh"
    script.write_text("#!/bin/sh\necho ja\n")
    script.chmod(0o755)
    (service / "docs/START.md").symlink_to("../README.md")
    (service / "docs/Über uns.md").write_text("Wir.\n")
    (service / f"src/{package}/static/logo.png").write_bytes(PICTURE)
    (service / ".pre-commit-config.yaml").write_text("repos: []\n")
    with (service / ".gitignore").open("a") as ignored:
        ignored.write("local-notes/\n")


def _subfolder(service: Path) -> None:
    top = Path(git(service, "rev-parse", "--show-toplevel").strip())
    assert top == service.parent.resolve(), top
    assert (top / "other/main.go").read_text() == "package main\n"
    assert not (top / "gatehouse").exists()
    assert not (top / ".copier-answers.yml").exists()


@edit(EXTENSION, all_of(_subfolder, serves("/healthz", "ok")))
def subfolder_of_a_monorepo(service: Path, package: str) -> None:
    (service / ".git").rename(service.parent / ".git")
    (service.parent / "other").mkdir()
    (service.parent / "other/main.go").write_text("package main\n")
    (service.parent / ".gitignore").write_text("*.log\n")


def _untouched_secrets(service: Path) -> None:
    assert (service / ".env").read_text() == "TEAM=blue\n"
    assert (service / "local.db").read_bytes() == b"data\x00"
    assert (service / ".venv/marker").exists()


@edit(EXTENSION, _untouched_secrets)
def ignored_files_in_the_folder(service: Path, package: str) -> None:
    (service / ".env").write_text("TEAM=blue\n")
    (service / "local.db").write_bytes(b"data\x00")
    (service / ".venv").mkdir()
    (service / ".venv/marker").touch()
