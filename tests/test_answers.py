"""The questions, and which answers they take."""

import ast
import keyword
import re
import sys
import tomllib
from importlib.metadata import PackageNotFoundError, packages_distributions, requires
from pathlib import Path

import pytest
import yaml
from jinja2 import Environment, FileSystemLoader
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name
from rendering import REPOSITORY, configuration, render, run_copier

QUESTIONS = [
    "project_name",
    "package_name",
    "description",
    "author",
    "python_min",
    "database",
    "ci",
    "containers",
]
COMPUTED = ["command", "with_github", "with_docker"]


def test_there_are_eight_questions_each_with_help_a_check_and_a_default() -> None:
    asked = {
        name: question
        for name, question in configuration().items()
        if not name.startswith("_") and question.get("when") is not False
    }
    assert list(asked) == QUESTIONS
    for name, question in asked.items():
        assert question["help"].endswith(("?", "."))
        assert question["validator"]
        assert isinstance(question["default"], str), name


def test_choices_are_never_narrowed() -> None:
    choices = {
        name: set(given.values() if isinstance(given, dict) else given)
        for name, question in configuration().items()
        if not name.startswith("_") and (given := question.get("choices"))
    }
    assert choices["python_min"] >= {"3.11", "3.12", "3.13"}
    assert choices["database"] >= {"sqlite", "postgresql"}
    assert choices["ci"] >= {"github", "none"}
    assert choices["containers"] >= {"docker", "none"}


def test_only_answers_are_stored(default_render: Path) -> None:
    stored = yaml.safe_load((default_render / ".copier-answers.yml").read_text())
    assert set(stored) == {*QUESTIONS, "_commit", "_src_path"}


@pytest.mark.parametrize(
    ("project", "command", "package"),
    [
        ("Demo Service", "demo-service", "demo_service"),
        ("X", "x", "x"),
        ("My API-2 go", "my-api-2-go", "my_api_2_go"),
        ("Queue", "queue", "queue_service"),
        ("Class", "class", "class_service"),
    ],
)
def test_names_follow_from_the_project_name(
    plain_template: Path, tmp_path: Path, project: str, command: str, package: str
) -> None:
    folder = render(plain_template, tmp_path, {"project_name": project})
    settings = tomllib.loads((folder / "pyproject.toml").read_text())["project"]
    assert settings["scripts"] == {command: f"{package}.__main__:main"}
    assert settings["name"] == command
    assert (folder / "src" / package / "main.py").is_file()


@pytest.mark.parametrize(
    ("question", "answer", "reason"),
    [
        ("project_name", "", "Start with a letter"),
        ("project_name", " Demo", "Start with a letter"),
        ("project_name", "Demo ", "Start with a letter"),
        ("project_name", "Demo\n", "Start with a letter"),
        ("project_name", "Demo  Service", "single blanks"),
        ("project_name", "2 Go", "Start with a letter"),
        ("project_name", "Café", "without accents"),
        ("project_name", "{{ 7 * 7 }}", "Start with a letter"),
        ("project_name", 'a"; import os #', "Start with a letter"),
        ("project_name", "../evil", "Start with a letter"),
        ("project_name", "a/b", "Start with a letter"),
        ("project_name", "a" * 41, "at most 40"),
        ("project_name", "FastAPI", "the service installs"),
        ("project_name", "Gatehouse Core", "the service installs"),
        ("project_name", "PyJWT", "the service installs"),
        ("project_name", "Python", "the service installs"),
        ("package_name", "", "small letter"),
        ("package_name", "Demo", "small letter"),
        ("package_name", "demo-service", "small letter"),
        ("package_name", "demo.service", "small letter"),
        ("package_name", "1demo", "small letter"),
        ("package_name", "_demo", "small letter"),
        ("package_name", "démo", "small letter"),
        ("package_name", "demo\n", "small letter"),
        ("package_name", "../evil", "small letter"),
        ("package_name", "{{ x }}", "small letter"),
        ("package_name", "a" * 41, "at most 40"),
        ("package_name", "class", "keyword"),
        ("package_name", "match", "keyword"),
        ("package_name", "type", "keyword"),
        ("package_name", "json", "standard library"),
        ("package_name", "secrets", "standard library"),
        ("package_name", "fastapi", "installs"),
        ("package_name", "jwt", "installs"),
        ("package_name", "pwdlib", "installs"),
        ("package_name", "gatehouse", "another part"),
        ("package_name", "tests", "another part"),
        ("package_name", "test", "another part"),
        ("package_name", "migrations", "another part"),
        ("description", "", "a few words"),
        ("description", " blank", "blanks"),
        ("description", "blank ", "blanks"),
        ("description", "two\nlines", "one line"),
        ("description", "tab\there", "one line"),
        ("description", "nul\0", "one line"),
        ("description", "turned \u202e round", "one line"),
        ("description", "half \ud800", "one line"),
        ("description", "line\u2028separator", "one line"),
        ("description", 'say "hello"', "double quotes"),
        ("description", "back\\slash", "backslashes"),
        ("description", "a `command`", "backticks"),
        ("description", "<script>alert(1)</script>", "angle brackets"),
        ("description", "{{ 7 * 7 }}", "braces"),
        ("description", "{% raw %}", "braces"),
        ("description", "{# comment", "braces"),
        ("description", "d" * 121, "at most 120"),
        ("author", "Jane <jane@example.com>", "angle brackets"),
        ("author", 'A"\nscripts = 1', "one line"),
        ("author", "a" * 81, "at most 80"),
        ("python_min", "3.10", "3.10"),
        ("database", "mysql", "mysql"),
        ("ci", "true", "true"),
        ("containers", "podman", "podman"),
        ("command", "other", "follows from"),
        ("with_github", "false", "follows from"),
        ("with_docker", "false", "follows from"),
    ],
)
def test_a_bad_answer_is_refused_in_words(
    plain_template: Path, tmp_path: Path, question: str, answer: str, reason: str
) -> None:
    with pytest.raises(ValueError, match=re.escape(reason)) as refusal:
        render(plain_template, tmp_path / "service", {question: answer})
    assert question in str(refusal.value)
    assert not (tmp_path / "service").exists()


def test_the_command_shows_a_refusal_without_a_stack(template: Path, tmp_path: Path) -> None:
    target = tmp_path / "service"
    done = run_copier("copy", "--defaults", "--data", "package_name=json", template, target)
    assert done.returncode != 0
    assert "json is a module of Python's standard library." in done.stderr + done.stdout
    assert not target.exists()


def test_text_means_the_same_in_every_file(plain_template: Path, tmp_path: Path) -> None:
    description = "It's *bold*, 100% & [odd](x): # 世界 | $HOME ~ _x_ !"
    folder = render(
        plain_template, tmp_path, {"description": description, "author": "Zoë O'Hara: #1, %s & co"}
    )
    project = tomllib.loads((folder / "pyproject.toml").read_text())["project"]
    assert project["description"] == description
    assert project["authors"] == [{"name": "Zoë O'Hara: #1, %s & co"}]
    main = ast.parse((folder / "src/demo_service/main.py").read_text())
    assert description in {node.value for node in ast.walk(main) if isinstance(node, ast.Constant)}
    shown = (folder / "README.md").read_text().splitlines()[2]
    assert shown == (r"It's \*bold\*, 100% \& \[odd\](x): \# 世界 \| $HOME \~ \_x\_ \!")


def reserved(name: str) -> list[str]:
    module = Environment(loader=FileSystemLoader(REPOSITORY)).get_template(
        "includes/reserved.jinja"
    )
    words: list[str] = getattr(module.module, name)
    return words


def could_be_typed(name: str) -> bool:
    return re.fullmatch("[a-z][a-z0-9_]*", name) is not None


def test_no_keyword_and_no_module_of_python_can_be_taken() -> None:
    keywords = {*keyword.kwlist, *keyword.softkwlist}
    assert {name for name in keywords if could_be_typed(name)} <= {*reserved("keywords")}
    modules = {name for name in sys.stdlib_module_names if could_be_typed(name)}
    assert modules <= {*reserved("stdlib"), *reserved("ours")}


def test_no_name_of_what_a_service_installs_is_its_default(default_render: Path) -> None:
    installed = closure(declared(default_render) | declared(default_render / "gatehouse"))
    assert "pydantic-core" in installed  # the closure does follow dependencies
    imported = {
        name
        for name, distributions in packages_distributions().items()
        if {canonicalize_name(distribution) for distribution in distributions} & installed
    }
    names = imported | {name.replace("-", "_") for name in installed}
    missing = {name for name in names if could_be_typed(name)} - {*reserved("reserved")}
    assert missing == set()


def declared(folder: Path) -> set[str]:
    """The requirements of a project, with all its extras and groups."""
    settings = tomllib.loads((folder / "pyproject.toml").read_text())
    project = settings["project"]
    groups = [
        project["dependencies"],
        *project.get("optional-dependencies", {}).values(),
        *settings.get("dependency-groups", {}).values(),
    ]
    return {text for group in groups for text in group}


def closure(texts: set[str]) -> set[str]:
    """The distributions that these requirements bring, as far as they are installed here."""
    found: dict[tuple[str, frozenset[str]], None] = {}
    waiting = [Requirement(text) for text in texts]
    while waiting:
        wanted = waiting.pop()
        key = (canonicalize_name(wanted.name), frozenset(wanted.extras))
        if key in found:
            continue
        found[key] = None
        try:
            needed = requires(wanted.name) or []
        except PackageNotFoundError:
            continue
        for requirement in map(Requirement, needed):
            extras = ("", *wanted.extras)
            if not requirement.marker or any(
                requirement.marker.evaluate({"extra": extra}) for extra in extras
            ):
                waiting.append(requirement)
    return {name for name, _ in found}


def test_computed_values_are_no_questions() -> None:
    for name in COMPUTED:
        assert configuration()[name]["when"] is False
