"""A check that could be taken away without a test turning red would be no check.

Each case takes one line of defence out of a copy and expects the named tests to fail.
"""

import os
import re
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
import trees
from mutations import (
    PARTS,
    Argued,
    Mutation,
    accounts,
    application,
    asked,
    between,
    keys,
    limits,
    mail,
    operating,
    part_of,
    passwords,
    sessions,
    tokens,
    updates,
)
from mutations import service as owned
from rendering import REPOSITORY, git

AREAS = (
    *(tokens, keys, application, accounts, passwords, sessions, limits, mail, between, operating),
    *(updates, owned),
)
MUTATIONS: dict[str, Mutation] = {}
ARGUED: dict[str, Argued] = {}
for _area in AREAS:
    MUTATIONS |= _area.MUTATIONS
    ARGUED |= getattr(_area, "ARGUED", {})

CHOSEN = part_of(list(MUTATIONS), asked())
OWNERS = [name for name in CHOSEN if MUTATIONS[name].owner]
CHOSEN_ARGUED = part_of(list(ARGUED), asked())


def unchanged() -> list[tuple[str, bool, bool, bool]]:
    """The tests as they are run where nothing was removed: whole files, but for the template's."""
    chosen = [MUTATIONS[name] for name in CHOSEN]
    own = {(found.tests, True, True, False) for found in chosen if found.of_template}
    core = {
        (found.tests.split()[0], True, False, found.postgresql)
        for found in chosen
        if not found.of_template
    }
    owners = {(MUTATIONS[name].owners_tests.split()[0], False, False, False) for name in OWNERS}
    return sorted(own | core | owners)


# A removal that breaks the code itself is noticed by any test, and so says nothing of this one.
BROKEN = re.compile(
    r"^E +(NameError|UnboundLocalError|ImportError|ModuleNotFoundError|SyntaxError)", re.MULTILINE
)

PATIENCE = 600  # seconds: a removal must not make a test wait for ever

Copies = Callable[[bool], Path]
Count = Callable[[str, object], None]


@pytest.fixture(scope="session")
def copies(default_render: Path, tmp_path_factory: pytest.TempPathFactory) -> Copies:
    """A service and, where it is asked for, a copy of this repository: one of each a worker."""
    folder = tmp_path_factory.mktemp("copies")
    service, repository = folder / "service", folder / "repository"

    def copy(of_template: bool) -> Path:
        if of_template and not repository.exists():
            trees.copy_working_tree(REPOSITORY, repository)
            git(repository, "init", "--quiet", "--initial-branch=main")
            git(repository, "add", "--all")
            git(repository, "commit", "--quiet", "--message=test")
        if not of_template and not service.exists():
            shutil.copytree(default_render, service)
        return repository if of_template else service

    return copy


@contextmanager
def without(copies: Copies, mutation: Mutation) -> Iterator[None]:
    """While it lasts, the copy lacks that line."""
    path = copies(mutation.of_template) / mutation.file
    text = path.read_text()
    assert text.count(mutation.old) == 1, f"{path} does not hold this once: {mutation.old!r}"
    path.write_text(text.replace(mutation.old, mutation.new))
    try:
        yield
    finally:
        path.write_text(text)


def run_tests(
    copies: Copies, tests: str, *, thorough: bool, of_template: bool, postgresql: bool = False
) -> subprocess.CompletedProcess[str]:
    folder = copies(of_template)
    own = ("template/gatehouse/src",) if of_template else ("gatehouse/src", "src")
    file, *selection = tests.split(maxsplit=1)
    options = ["-k", selection[0]] if selection else []
    # A folder of its own: pytest closes its usual one to other users at each start, and there
    # lies a PostgreSQL that root has started for the run beside this one.
    options += [f"--basetemp={folder.with_name('tmp')}"]
    if thorough and not of_template:
        options += ["-o", "gatehouse_thorough=true"]
    if postgresql:
        options += ["-o", "gatehouse_database=postgresql"]
    return subprocess.run(
        [*(sys.executable, "-m", "pytest", "-q", "-x", "-p", "no:cacheprovider"), file, *options],
        cwd=folder,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(str(folder / name) for name in own)},
        capture_output=True,
        text=True,
        timeout=PATIENCE,
    )


def is_red(done: subprocess.CompletedProcess[str]) -> None:
    assert done.returncode == 1, done.stdout
    assert " failed" in done.stdout, done.stdout
    assert not BROKEN.search(done.stdout), done.stdout


@pytest.mark.parametrize(("tests", "thorough", "of_template", "postgresql"), unchanged())
def test_unchanged_the_tests_are_green(
    copies: Copies, tests: str, thorough: bool, of_template: bool, postgresql: bool
) -> None:
    done = run_tests(
        copies, tests, thorough=thorough, of_template=of_template, postgresql=postgresql
    )
    assert done.returncode == 0, done.stdout


@pytest.mark.parametrize("name", CHOSEN)
def test_without_it_a_test_is_red(copies: Copies, record_property: Count, name: str) -> None:
    record_property("removed", "core")
    mutation = MUTATIONS[name]
    with without(copies, mutation):
        done = run_tests(
            copies,
            mutation.tests,
            thorough=True,
            of_template=mutation.of_template,
            postgresql=mutation.postgresql,
        )
    is_red(done)


@pytest.mark.parametrize("name", OWNERS)
def test_without_it_an_owners_default_suite_is_red(
    copies: Copies, record_property: Count, name: str
) -> None:
    record_property("removed", "owner")
    mutation = MUTATIONS[name]
    with without(copies, mutation):
        is_red(run_tests(copies, mutation.owners_tests, thorough=False, of_template=False))


@pytest.mark.parametrize("name", CHOSEN_ARGUED)
def test_what_is_argued_is_made_up_for(copies: Copies, record_property: Count, name: str) -> None:
    """By a line that is still there, and whose own removal is red."""
    record_property("removed", "argued")
    argued = ARGUED[name]
    made_up = MUTATIONS[argued.red]
    folder = REPOSITORY if made_up.of_template else REPOSITORY / "template"
    assert argued.line in (folder / argued.made_up_in).read_text()
    assert (made_up.file, argued.line in made_up.old) == (argued.made_up_in, True)
    with without(copies, argued.removal):
        removal = argued.removal
        done = run_tests(
            copies,
            removal.tests,
            thorough=True,
            of_template=removal.of_template,
            postgresql=removal.postgresql,
        )
        assert done.returncode == 0, f"a test sees it after all: move it.\n{done.stdout}"


def test_names_are_of_one_mutation_each() -> None:
    names = [*MUTATIONS, *ARGUED]
    assert len(names) == sum(
        len(area.MUTATIONS) + len(getattr(area, "ARGUED", {})) for area in AREAS
    )
    assert len(names) == len(set(names))


def test_the_mutations_name_files_of_the_repository() -> None:
    for mutation in MUTATIONS.values():
        if mutation.of_template:
            assert (REPOSITORY / mutation.file).is_file()
        elif mutation.file.startswith("gatehouse/"):
            assert (REPOSITORY / "template" / mutation.file).is_file()


@pytest.mark.parametrize("which", ["some", "0/5", "6/5", "1", "/", "-1/5"])
def test_a_part_that_is_none_is_refused(which: str) -> None:
    with pytest.raises(ValueError, match="MUTANTS"):
        part_of(["one"], which)


def test_the_parts_are_all_of_them_once() -> None:
    names = list(MUTATIONS)
    parts = [part_of(names, f"{part}/{PARTS}") for part in range(1, PARTS + 1)]
    assert sorted(name for part in parts for name in part) == sorted(names)
    assert part_of(names, "all") == names
