"""A check that could be taken away without a test turning red would be no check.

Each case takes one line of defence out of a copy and expects the named tests to fail.
"""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from mutations import Mutation, accounts, tokens
from mutations import service as owned
from rendering import REPOSITORY, replace

MUTATIONS: dict[str, Mutation] = {**tokens.MUTATIONS, **accounts.MUTATIONS, **owned.MUTATIONS}


def run_tests(service: Path, tests: str) -> subprocess.CompletedProcess[str]:
    paths = os.pathsep.join((str(service / "gatehouse" / "src"), str(service / "src")))
    return subprocess.run(
        [
            *(sys.executable, "-m", "pytest", "-q", "-x", "-p", "no:cacheprovider"),
            *("-o", "gatehouse_thorough=true", tests),
        ],
        cwd=service,
        env={**os.environ, "PYTHONPATH": paths},
        capture_output=True,
        text=True,
    )


@pytest.fixture
def service(default_render: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(default_render, tmp_path / "service"))


@pytest.mark.parametrize("tests", sorted({mutation.tests for mutation in MUTATIONS.values()}))
def test_unchanged_the_tests_are_green(service: Path, tests: str) -> None:
    done = run_tests(service, tests)
    assert done.returncode == 0, done.stdout


@pytest.mark.parametrize("name", MUTATIONS)
def test_without_it_a_test_is_red(service: Path, name: str) -> None:
    mutation = MUTATIONS[name]
    replace(service / mutation.file, mutation.old, mutation.new)
    done = run_tests(service, mutation.tests)
    assert done.returncode == 1, done.stdout
    assert " failed" in done.stdout, done.stdout


def test_the_mutations_name_files_of_the_repository() -> None:
    for mutation in MUTATIONS.values():
        if mutation.file.startswith("gatehouse/"):
            assert (REPOSITORY / "template" / mutation.file).is_file()
