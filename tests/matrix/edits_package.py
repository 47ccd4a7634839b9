"""The shape of the owner's package: parts deleted, split, renamed, hooked in."""

import re
import shutil
from pathlib import Path

from rendering import git, replace

from matrix.asking import all_of, gone, holds, package_of, run_tests, serves
from matrix.model import EXTENSION, edit


def _no_notes(service: Path) -> None:
    gone(f"src/{package_of(service)}/notes", "tests/test_notes.py")(service)


def delete_notes(service: Path, package: str) -> None:
    source = service / "src" / package
    shutil.rmtree(source / "notes")
    (service / "tests/test_notes.py").unlink()
    replace(source / "main.py", f"from {package}.notes.routes import router as notes\n", "")
    replace(source / "main.py", "    app.include_router(notes)\n", "")


@edit(EXTENSION, all_of(_no_notes, serves("/notes", None, 404), serves("/healthz", "ok")))
def example_deleted(service: Path, package: str) -> None:
    delete_notes(service, package)


@edit(EXTENSION, all_of(gone("tests"), serves("/healthz", "ok")))
def tests_deleted(service: Path, package: str) -> None:
    shutil.rmtree(service / "tests")


def _own_test(service: Path) -> None:
    found = run_tests(service, "tests/test_mine.py")
    assert "1 passed" in found, found


@edit(EXTENSION, _own_test)
def own_test(service: Path, package: str) -> None:
    (service / "tests/test_mine.py").write_text(
        "from gatehouse.testing import SignIn\n\n\n"
        "def test_a_user_has_no_notes(sign_in: SignIn) -> None:\n"
        '    assert sign_in().get("/notes").json()["items"] == []\n'
    )


@edit(EXTENSION, holds("main.create_app.__module__.endswith('.building') and "
                       "client.get('/notes').status_code == 401"))  # fmt: skip
def main_split_in_two(service: Path, package: str) -> None:
    source = service / "src" / package
    shutil.copy(source / "main.py", source / "building.py")
    text = (source / "main.py").read_text()
    head, _, tail = text.partition("def create_app()")
    _, begins, rest = tail.partition("def main()")  # which has a file of its own since 0.7.0
    main = f"\n\n{begins}{rest}" if begins else ""
    (source / "main.py").write_text(
        f"from gatehouse import run\n\nfrom {package}.building import MIGRATIONS, create_app\n"
        f"from {package}.settings import Settings\n\n__all__ = ['MIGRATIONS', 'create_app']\n{main}"
    )
    assert head


@edit(EXTENSION, holds("main.__name__ == 'billing.main' and "
                       "client.get('/notes').status_code == 401"))  # fmt: skip
def package_renamed_by_hand(service: Path, package: str) -> None:
    git(service, "mv", f"src/{package}", "src/billing")
    for folder in ("src", "tests", "migrations"):
        for path in (service / folder).rglob("*.py"):
            path.write_text(re.sub(rf"\b{package}\b", "billing", path.read_text()))
    project = service / "pyproject.toml"
    project.write_text(re.sub(rf"\b{package}\b", "billing", project.read_text()))


@edit(EXTENSION, holds("importlib.import_module('worker').work() == 7"))
def second_package(service: Path, package: str) -> None:
    (service / "src/worker").mkdir()
    (service / "src/worker/__init__.py").write_text("def work() -> int:\n    return 7\n")
    project = service / "pyproject.toml"
    replace(project, f'packages = ["src/{package}"]', f'packages = ["src/{package}", "src/worker"]')


HOOKS = """from gatehouse import Hooks


class MyHooks(Hooks):
    def is_breached(self, password: str) -> bool:
        return password.startswith("seven")
"""


@edit(EXTENSION, holds("app.state.gatehouse.hooks.is_breached('seven x')"), since="0.3.0")
def own_hooks(service: Path, package: str) -> None:
    (service / f"src/{package}/hooks.py").write_text(HOOKS)
    main = service / f"src/{package}/main.py"
    replace(
        main, f"from {package}.roles", f"from {package}.hooks import MyHooks\nfrom {package}.roles"
    )
    replace(main, "        mail=MAIL,\n", "        mail=MAIL,\n        hooks=MyHooks(),\n")
