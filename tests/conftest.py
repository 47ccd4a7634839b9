"""One snapshot of the working tree for all tests, and one render of it for each answer set."""

import os
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
from mutations import in_words
from rendering import (
    ANSWER_SETS,
    NEXT,
    RELEASES,
    REPOSITORY,
    Answers,
    git,
    render,
    take_snapshot,
)


def pytest_configure(config: pytest.Config) -> None:
    config.addinivalue_line("markers", "slow: installs a rendered service and runs its tests")


@pytest.fixture(scope="session", autouse=True)
def _no_settings_of_the_developer(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """A developer's Copier may trust this folder or hold default answers: a user's does not."""
    settings = tmp_path_factory.mktemp("settings") / "settings.yml"
    settings.write_text("{}\n")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("COPIER_SETTINGS_PATH", str(settings))
        patch.setenv("GIT_CONFIG_GLOBAL", os.devnull)
        patch.setenv("GIT_CONFIG_SYSTEM", os.devnull)
        yield


@pytest.fixture(scope="session")
def template(tmp_path_factory: pytest.TempPathFactory, _no_settings_of_the_developer: None) -> Path:
    """The template as it lies in the working tree, committed and tagged. Tests leave it alone."""
    return take_snapshot(tmp_path_factory.mktemp("template"))


@pytest.fixture(scope="session")
def plain_template(template: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The same files without a repository, which saves Copier the clone where none matters."""
    folder = tmp_path_factory.mktemp("plain") / "template"
    shutil.copytree(template, folder, ignore=shutil.ignore_patterns(".git"))
    return folder


@pytest.fixture(scope="session", params=list(ANSWER_SETS.values()), ids=list(ANSWER_SETS))
def answers(request: pytest.FixtureRequest) -> Answers:
    """Each answer set in turn."""
    given: Answers = request.param
    return given


@pytest.fixture(scope="session")
def rendered(template: Path, answers: Answers, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The service of an answer set. Tests leave it as it is."""
    return render(template, tmp_path_factory.mktemp("rendered"), answers)


@pytest.fixture(scope="session")
def default_render(template: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The service of the default answers. Tests leave it as it is."""
    return render(template, tmp_path_factory.mktemp("default"))


@pytest.fixture(scope="session")
def every_version(
    tmp_path_factory: pytest.TempPathFactory, _no_settings_of_the_developer: None
) -> Path:
    """The history with a tag for each recorded release, and the working tree as the next one."""
    folder = tmp_path_factory.mktemp("history") / "template"
    git(REPOSITORY, "clone", "--quiet", "--no-tags", str(REPOSITORY), str(folder))
    for version, commit in RELEASES.items():
        git(folder, "tag", version, commit)
    git(folder, "rm", "-r", "--quiet", ".")
    take_snapshot(folder, NEXT)
    return folder


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """What the removed controls have shown, where they were run."""
    outcomes = [
        (kind, outcome == "passed")
        for outcome in ("passed", "failed", "error")
        for report in terminalreporter.getreports(outcome)
        for name, kind in getattr(report, "user_properties", ())
        if name == "removed" and (report.when == "call" or outcome == "error")
    ]
    if outcomes:
        terminalreporter.write_line(in_words(outcomes))
