"""What a release may put into a service: by its path, its mode and what stands in it."""

import stat
from collections.abc import Iterator
from importlib import import_module
from pathlib import Path
from typing import Any

import pytest

CORE = Path(__file__).parents[1]

pytestmark = pytest.mark.thorough


@pytest.fixture
def safe_render() -> Iterator[Any]:
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(str(CORE))
        yield import_module("safe_render")


@pytest.mark.parametrize(
    "path",
    [
        "gatehouse/src/gatehouse/signing/keys.py",
        "gatehouse/README.md",
        "gatehouse/src/gatehouse/web/pages/docs.js",
        "Dockerfile",
        ".gitignore",
        ".copier-answers.yml",
        ".github/renovate.json",
        ".github/workflows/update.yml",
    ],
)
def test_an_update_may_write_this(safe_render: Any, path: str) -> None:
    assert safe_render.fault(path) == ""


@pytest.mark.parametrize(
    "path",
    [
        "",
        "gatehouse",
        "/gatehouse/a.py",
        "../a.py",
        "gatehouse/../a.py",
        "gatehouse/./a.py",
        "gatehouse//a.py",
        "gatehouse/a\nb.py",
        "gatehouse/a\u202eb.py",
        "gatehouse/a$(b).py",
        "gatehouse/a\\b.py",
        "gatehouse/a.py ",
        "gatehouse/.git",
        "gatehouse/.GIT/config",
        "gatehouse/src/.hidden",
        "gatehouse/~a.py",
        "gatehouse/sitecustomize.py",
        "gatehouse/tests/usercustomize/a.py",
        "gatehouse/SiteCustomize.py",
        "gatehouse/a.pth",
        "gatehouse/a.pyc",
        "gatehouse/a.pyd",
        "gatehouse/a.so",
        "gatehouse/__pycache__/a.txt",
        "gatehouse/uv.toml",
        "gatehouse/uv.lock",
        "gatehouse/owned.txt",
        "gatehouse/dropped.txt",
        "a.py",
        "uv.lock",
        "conftest.py",
        ".github/workflows/extra.yml",
        ".github/actions/a/action.yml",
        ".gitmodules",
        ".python-version",
        ".venv/bin/python",
        "src/my_service/main.py",
        "migrations/env.py",
        "tests/test_a.py",
        "pyproject.toml",
        "README.md",
        ".env",
    ],
)
def test_an_update_may_not_write_that(safe_render: Any, path: str) -> None:
    assert safe_render.fault(path) != ""


def test_a_first_copy_holds_the_owners_files_but_nothing_that_runs_by_itself(
    safe_render: Any,
) -> None:
    for good in ("src/my_service/main.py", "migrations/env.py", "pyproject.toml", ".env.example"):
        assert safe_render.fault(good, update=False) == ""
    for bad in ("src/.git/config", "tests/a.pth", "src/sitecustomize.py", "src/a.so", "a.py"):
        assert safe_render.fault(bad, update=False) != ""


@pytest.mark.parametrize(
    ("mode", "said"),
    [
        (stat.S_IFREG | 0o644, ""),
        (stat.S_IFREG | 0o755, "it is executable"),
        (stat.S_IFREG | 0o645, "it is executable"),
        (stat.S_IFLNK | 0o777, "it is a link"),
        (stat.S_IFLNK, "it is a link"),
        (stat.S_IFIFO | 0o644, "it is no file"),
        (0o160000, "it is no file"),
    ],
)
def test_a_file_of_a_release_is_a_plain_one(safe_render: Any, mode: int, said: str) -> None:
    assert safe_render.mode_fault(mode) == said


@pytest.mark.parametrize(
    "line",
    [
        "*.py filter=lfs",
        "*.py binary",
        "*.py -diff",
        "*.py text linguist-generated",
        '"a b.py" merge=x',
        "[attr]plain diff=x",
        "\x0b# diff=x",
    ],
)
def test_a_release_sets_no_attributes_but_of_line_ends(safe_render: Any, line: str) -> None:
    ours = b"# Mine.\n* text=auto eol=lf\n*.gz -text\n"
    assert safe_render.attributes_fault(ours) == ""
    assert safe_render.attributes_fault(ours + line.encode()) != ""


def test_attributes_that_were_there_and_marks_of_a_conflict_are_no_fault(safe_render: Any) -> None:
    mine = b"*.psd filter=lfs diff=lfs\n"
    marked = b"<" * 7 + b" before updating\n" + mine + b"=" * 7 + b"\n* text\n"
    assert safe_render.attributes_fault(marked + b">" * 7 + b" after updating\n", mine) == ""
    assert safe_render.attributes_fault(mine + b"*.py filter=lfs\n", mine) != ""
