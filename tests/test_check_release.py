"""The release check: a promise that a version breaks is refused in one line, and only that."""

import re
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path
from typing import Any, NamedTuple

import pytest
from check_release import refusals
from core import CORE, MIGRATIONS, check_moves
from rendering import REPOSITORY, commit_all, git, replace, take_snapshot
from trees import files, render
from versions import order
from write_manifest import manifest

pytestmark = pytest.mark.slow

RELEASES: dict[str, str] = tomllib.loads((REPOSITORY / "releases.toml").read_text())
OLDEST, NEWEST = min(RELEASES, key=order), max(RELEASES, key=order)
NEXT = "99.0.0"
FIRST_MIGRATION = f"{MIGRATIONS}/0001_users_and_sessions.py"


def set_version(tree: Path, version: str) -> None:
    """As a maintainer does it: the number, and a section in both documents."""
    project = tree / "pyproject.toml"
    text = project.read_text()
    project.write_text(re.sub(r'^version = ".*"', f'version = "{version}"', text, flags=re.M))
    if version not in RELEASES:
        for name, heading in (
            ("CHANGELOG", f"## [{version}] - 2099-12-31"),
            ("UPGRADING", f"### {version}"),
        ):
            with (tree / f"{name}.md").open("a") as document:
                document.write(f"\n{heading}\n\nNothing to do.\n")


def refresh_manifest(tree: Path) -> None:
    (tree / CORE / "manifest.sha256").write_text(manifest(tree / CORE))


def add_migration(tree: Path, name: str, follows: str) -> str:
    """A migration with a revision of its own; returns that."""
    path = tree / MIGRATIONS / f"{name}.py"
    path.write_text(
        f'"""More."""\n\nrevision = "{name}"\ndown_revision: str | None = "{follows}"\n'
    )
    refresh_manifest(tree)
    return name


def last_revision(tree: Path) -> str:
    last = max((tree / MIGRATIONS).glob("0*.py"))
    found = re.search(r'^revision = "(.+)"$', last.read_text(), re.M)
    assert found
    return found[1]


@pytest.fixture(scope="module")
def releasable(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The whole history with the working tree on top, as a version that is still to come.

    The working tree itself has a new number only from the release commit on.
    """
    folder = tmp_path_factory.mktemp("releasable") / "template"
    git(REPOSITORY, "clone", "--quiet", "--no-tags", str(REPOSITORY), str(folder))
    git(folder, "rm", "-r", "--quiet", ".")
    take_snapshot(folder, "snapshot")
    set_version(folder, NEXT)
    commit_all(folder)
    return folder


@pytest.fixture(scope="module", autouse=True)
def _equal_trees_are_rendered_once(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """Most tests change nothing that a render could show, and each would render five times."""
    services: dict[str, Path] = {}

    def render_once(template: Path, _: Path, *how: Any, **more: Any) -> Path:
        key = repr((files(template, "copier.yml", "includes", "template"), how, more))
        if key not in services:
            services[key] = render(template, tmp_path_factory.mktemp("service"), *how, **more)
        return services[key]

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("check_release.render", render_once)
        yield


@pytest.fixture
def tree(releasable: Path) -> Iterator[Path]:
    """That clone. What a test changes in it is taken back."""
    yield releasable
    git(releasable, "reset", "--quiet", "--hard")
    git(releasable, "clean", "--quiet", "-fd")


def test_the_tree_may_be_released(tree: Path) -> None:
    assert refusals(tree) == []


class Edit(NamedTuple):
    """One place of one file, and the one refusal that its change must bring."""

    file: str
    old: str
    new: str
    refusal: str


REFUSED = {
    "no section for the version in the change log": Edit(
        "CHANGELOG.md",
        f"## [{NEXT}] - 2099-12-31",
        f"## [{NEXT}]",
        f"CHANGELOG.md: no section ## [{NEXT}] - DATE. Write what an owner will see.",
    ),
    "a released section gone from the change log": Edit(
        "CHANGELOG.md",
        f"## [{OLDEST}]",
        "## [Old]",
        f"CHANGELOG.md: no section ## [{OLDEST}] - DATE. Write what an owner will see.",
    ),
    "no section for the version in UPGRADING": Edit(
        "UPGRADING.md",
        f"### {NEXT}",
        f"### {NEXT}0",
        f"UPGRADING.md: no section ### {NEXT}. Write it, even if there is nothing to do.",
    ),
    "a released section gone from UPGRADING": Edit(
        "UPGRADING.md",
        f"### {NEWEST} (",
        "### Formerly (",
        f"UPGRADING.md: no section ### {NEWEST}. Write it, even if there is nothing to do.",
    ),
    "a commit that is not there": Edit(
        "releases.toml",
        RELEASES[OLDEST],
        "0123456789" * 4,
        f"releases.toml: {OLDEST} names {'0123456789' * 4}, which this clone does not hold. "
        "Fetch all of the history, or correct the row.",
    ),
    "a branch instead of a commit": Edit(
        "releases.toml",
        RELEASES[OLDEST],
        "HEAD",
        f"releases.toml: {OLDEST} names HEAD, which this clone does not hold. "
        "Fetch all of the history, or correct the row.",
    ),
    "the commit of another release": Edit(
        "releases.toml",
        RELEASES[OLDEST],
        RELEASES[NEWEST],
        f"releases.toml: {OLDEST} names a commit of {NEWEST}. Correct the row.",
    ),
    "a row that is no version": Edit(
        "releases.toml",
        f'"{OLDEST}"',
        f'"v{OLDEST}"',
        f"releases.toml: v{OLDEST} is no semantic version. Correct the row.",
    ),
    "a question renamed": Edit(
        "copier.yml",
        "\nauthor:\n",
        "\nwriter:\n",
        "copier.yml: the question author is gone. Put it back, under this id.",
    ),
    "a question that is computed now": Edit(
        "copier.yml",
        "\nauthor:\n",
        "\nauthor:\n  when: false\n",
        "copier.yml: the question author is gone. Put it back, under this id.",
    ),
    "a question of another type": Edit(
        "copier.yml",
        "\nci:\n  type: str\n",
        "\nci:\n  type: yaml\n",
        "copier.yml: ci has another type. Put str back.",
    ),
    "a choice taken away from a list": Edit(
        "copier.yml",
        'choices: ["3.11", "3.12", "3.13"]',
        'choices: ["3.11", "3.13", "3.14"]',
        "copier.yml: python_min has lost the choice 3.12. Put it back.",
    ),
    "a choice taken away by another value": Edit(
        "copier.yml",
        "    PostgreSQL: postgresql\n",
        "    PostgreSQL: postgres\n",
        "copier.yml: database has lost the choice postgresql. Put it back.",
    ),
    "choices where any answer was good": Edit(
        "copier.yml",
        "\nauthor:\n",
        '\nauthor:\n  choices: [""]\n',
        "copier.yml: author was free and has choices now. Take them away.",
    ),
    "a default taken away": Edit(
        "copier.yml",
        "  default: sqlite\n",
        "",
        "copier.yml: database has lost its default. Put one back.",
    ),
    "a stricter validator": Edit(
        "copier.yml",
        "  default: A FastAPI service with a secure login.\n  validator: |-\n",
        "  default: Short.\n  validator: |-\n"
        "    {% if description | length > 20 %}Too long.{% endif %}\n",
        "copier.yml: default answers are refused (Validation error for question 'description': "
        "Too long). Take them again.",
    ),
    "a file on two lists": Edit(
        "copier.yml",
        "    /.copier-answers.yml\n",
        "    /.copier-answers.yml\n    /compose.yaml\n",
        "copier.yml: compose.yaml is on the lists merged and copier of _owners. "
        "Put it on exactly one.",
    ),
    "a file off every list": Edit(
        "copier.yml",
        "    /.gitattributes\n",
        "",
        "copier.yml: .gitattributes is on no list of _owners. Put it on exactly one.",
    ),
    "a template that does not render": Edit(
        "template/README.md.jinja",
        "\n",
        "\n{{ nobody_asked }}\n",
        "template: does not render by default ('nobody_asked' is undefined). Mend it.",
    ),
    "an edited core file": Edit(
        f"{CORE}/README.md",
        "\n",
        "\n\n",
        f"{CORE}/manifest.sha256: stale. Run python hooks/write_manifest.py.",
    ),
    **{
        f"{key} that only a trusting user may run": Edit(
            "copier.yml",
            "\n_owners:\n",
            f'\n{key}: ["true"]\n_owners:\n',
            f"copier.yml: {key} needs --trust. Take it out.",
        )
        for key in ("_tasks", "_migrations", "_jinja_extensions")
    },
}


@pytest.mark.parametrize("name", REFUSED)
def test_it_is_refused(tree: Path, name: str) -> None:
    edit = REFUSED[name]
    replace(tree / edit.file, edit.old, edit.new)
    (refusal,) = refusals(tree)
    assert re.sub(r" For services of .*\.$", "", refusal) == edit.refusal


@pytest.mark.parametrize("version", ["99.0", "v99.0.0", "99.0.01", "99.0.0-01", "99.0.0-", "next"])
def test_a_number_that_is_not_semantic_is_refused(tree: Path, version: str) -> None:
    set_version(tree, version)
    assert refusals(tree) == [
        f"pyproject.toml: {version} is no semantic version. Give MAJOR.MINOR.PATCH."
    ]


@pytest.mark.parametrize("version", ["0.0.9", f"{NEWEST}-rc.1", f"{NEWEST}+build", OLDEST])
def test_a_number_that_is_not_above_every_release_is_refused(tree: Path, version: str) -> None:
    set_version(tree, version)
    assert refusals(tree) == [
        f"pyproject.toml: {version} is not above {NEWEST}, the newest. Raise the version."
    ]


def test_versions_are_in_the_order_of_the_standard() -> None:
    """The example of SemVer 11, and numbers that text would put in another order."""
    ordered = "1.0.0-alpha 1.0.0-alpha.1 1.0.0-alpha.beta 1.0.0-beta 1.0.0-beta.2 1.0.0-beta.11"
    versions = [*ordered.split(), "1.0.0-rc.1", "1.0.0", "1.9.0", "1.10.0", "10.0.0"]
    assert all(order(before) < order(after) for before, after in pairwise(versions))


def test_a_released_number_stays_only_with_the_released_files(tree: Path) -> None:
    set_version(tree, NEWEST)
    refused = f"pyproject.toml: {NEWEST} is released and held other files. Raise the version."
    replace(tree / "copier.yml", "\n_owners:\n", "\n# More.\n_owners:\n")
    assert refusals(tree) == [refused]
    parts = ("copier.yml", "includes", "template")
    git(tree, "rm", "-r", "-f", "--quiet", *parts)
    git(tree, "checkout", RELEASES[NEWEST], "--", *parts)
    assert refusals(tree) == []


def test_nothing_is_left_under_unreleased_at_the_moment_of_releasing(tree: Path) -> None:
    text = (tree / "CHANGELOG.md").read_text()
    before, _, rest = text.partition("## [Unreleased]\n")
    after = rest[rest.index("## [") :]
    for entries, refused in (("", False), ("\n### Added\n\n", False), ("\n- More.\n\n", True)):
        (tree / "CHANGELOG.md").write_text(f"{before}## [Unreleased]\n{entries}{after}")
        found = refusals(tree, final=True)
        assert found == refused * [
            f"CHANGELOG.md: entries under Unreleased. Move them to the section of {NEXT}."
        ]
    assert refusals(tree) == []


def test_a_released_migration_stays_to_the_byte(tree: Path) -> None:
    path = tree / FIRST_MIGRATION
    path.write_text(path.read_text() + "\n# More.\n")
    refresh_manifest(tree)
    assert refusals(tree) == [
        f"{FIRST_MIGRATION}: changed after its release. Put it back; write a new one. "
        f"For services of {', '.join(RELEASES)}."
    ]


@pytest.mark.parametrize("name", ["removed", "renamed"])
def test_a_released_migration_stays_under_its_name(tree: Path, name: str) -> None:
    path = tree / FIRST_MIGRATION
    content = path.read_bytes()
    path.unlink()
    if name == "renamed":
        path.with_name("0001_first.py").write_bytes(content)
    refresh_manifest(tree)
    assert refusals(tree) == [
        f"{FIRST_MIGRATION}: renamed or removed after its release. Put it back. "
        f"For services of {', '.join(RELEASES)}."
    ]


def test_new_migrations_follow_one_another(tree: Path) -> None:
    head = last_revision(tree)
    first = add_migration(tree, "9998_more", head)
    last = add_migration(tree, "9997_still_more", first)
    assert refusals(tree) == []
    for parent in ("gatehouse_0001", head, "9999_itself"):
        add_migration(tree, "9999_itself", parent)
        assert refusals(tree) == [
            f'{MIGRATIONS}/9999_itself.py: forks the history. Write down_revision = "{last}".'
        ]


def test_what_only_grows_is_not_refused(tree: Path) -> None:
    """A new choice, a new question with a default, a new text, a new file of the core."""
    questions = tree / "copier.yml"
    replace(questions, '["3.11", "3.12", "3.13"]\n', '["3.14", "3.13", "3.12", "3.11"]\n')
    replace(questions, "    None: none\n", "    Nothing of the kind: none\n")
    replace(questions, "help: Who is its author?", "help: By whom is it?")
    replace(questions, "\nauthor:\n", "\ncity:\n  type: str\n  default: Utrecht\n\nauthor:\n")
    (tree / CORE / "MORE.md").write_text("More.\n")
    refresh_manifest(tree)
    assert refusals(tree) == []


def test_a_new_question_has_a_default(tree: Path) -> None:
    replace(tree / "copier.yml", "\nauthor:\n", "\ncity:\n  type: str\n\nauthor:\n")
    assert refusals(tree) == [
        "copier.yml: the new question city has no default. Give it a safe one."
    ]


def test_a_path_that_an_update_would_delete_stays(tree: Path) -> None:
    (tree / "template/.gitattributes").unlink()
    assert refusals(tree) == [
        "template: .gitattributes is gone, and an update would delete it. Put it back. "
        f"For services of {', '.join(RELEASES)}."
    ]
    replace(tree / "copier.yml", "_exclude:\n", "_exclude:\n  - /.gitattributes\n")
    assert refusals(tree) == []


def test_a_path_of_the_owners_may_go(tree: Path) -> None:
    (tree / "template/src/{{ package_name }}/notes/routes.py.jinja").unlink()
    assert refusals(tree) == []


@pytest.mark.parametrize("name", ["src/gatehouse/hooks.py", "tests/test_login.py"])
def test_a_core_file_that_an_owner_may_have_edited_goes_nowhere_unsaid(
    tree: Path, name: str
) -> None:
    old, new = f"gatehouse/{name}", f"gatehouse/elsewhere/{name}"
    path, place = tree / "template" / old, tree / "template" / new
    place.parent.mkdir(parents=True)
    path.rename(place)
    refresh_manifest(tree)
    (refusal,) = refusals(tree)
    said = f"{CORE}/{name}: gone, and an edit with it. Name its new place in gatehouse/moved.txt."
    assert refusal.startswith(said)
    with (tree / CORE / "moved.txt").open("a") as moved:
        moved.write(f"{old} {new}\n")
    refresh_manifest(tree)
    assert refusals(tree) == []
    path.write_text('"""Its content went elsewhere."""\n')
    refresh_manifest(tree)
    (refusal,) = refusals(tree)
    assert f"{old} is still there. Take it away" in refusal


@pytest.mark.parametrize(
    "name", ["check_update.py", "src/gatehouse/testing.py", "src/gatehouse/migrations/env.py"]
)
def test_what_services_name_stays_where_it_is(tree: Path, name: str) -> None:
    old, new = f"gatehouse/{name}", f"gatehouse/elsewhere/{name}"
    (tree / "template" / new).parent.mkdir(parents=True)
    (tree / "template" / old).rename(tree / "template" / new)
    with (tree / CORE / "moved.txt").open("a") as moved:
        moved.write(f"{old} {new}\n")
    refresh_manifest(tree)
    assert any(f"{old} is imported or run by its path" in refusal for refusal in refusals(tree))


def test_a_move_that_was_released_stays_on_the_list(tree: Path, tmp_path: Path) -> None:
    released = tmp_path / "released/template/gatehouse"
    released.mkdir(parents=True)
    (released / "moved.txt").write_text("# Moved.\ngatehouse/a.md gatehouse/docs/a.md\n")
    (refusal,) = check_moves(tmp_path / "released", tree)
    assert refusal == (
        "template/gatehouse/moved.txt: the line gatehouse/a.md gatehouse/docs/a.md is gone. "
        "Put it back."
    )


BINARY = "src/gatehouse/common_passwords.txt.gz"


def test_a_released_binary_file_stays_to_the_byte(tree: Path) -> None:
    path = tree / CORE / BINARY
    path.write_bytes(path.read_bytes() + b"more")
    refresh_manifest(tree)
    assert refusals(tree) == [
        f"{CORE}/{BINARY}: changed, and no update brings that. Give the new one another name. "
        f"For services of {', '.join(RELEASES)}."
    ]


def test_a_binary_file_that_an_update_would_replace_is_refused(tree: Path) -> None:
    replace(tree / "copier.yml", f"_skip_if_exists:\n  - /gatehouse/{BINARY}\n", "")
    assert refusals(tree) == [
        f"{CORE}/{BINARY}: an update would replace it. Name it under _skip_if_exists."
    ]


def test_a_manifest_that_is_missing_is_refused(tree: Path) -> None:
    (tree / CORE / "manifest.sha256").unlink()
    assert refusals(tree) == [f"{CORE}/manifest.sha256: stale. Run python hooks/write_manifest.py."]


def test_the_command_says_it_in_lines_and_by_its_exit_code(tree: Path) -> None:
    command = [sys.executable, "hooks/check_release.py"]
    done = subprocess.run(command, cwd=tree, capture_output=True, text=True)
    listed = ", ".join(RELEASES)
    assert done.stdout == f"Nothing to refuse. Compared with the releases: {listed}.\n"
    assert (done.returncode, done.stderr) == (0, "")
    replace(tree / "copier.yml", "\nauthor:\n", "\nwriter:\n")
    replace(tree / "copier.yml", "  default: sqlite\n", "")
    replace(tree / "CHANGELOG.md", "## [Unreleased]\n", "## [Unreleased]\n\n- More.\n")
    done = subprocess.run([*command, "--final"], cwd=tree, capture_output=True, text=True)
    assert [line.split(":")[0] for line in done.stdout.splitlines()] == [
        "CHANGELOG.md",
        "copier.yml",
        "copier.yml",
    ]
    assert (done.returncode, done.stderr) == (1, "")
    done = subprocess.run([*command, "--help"], cwd=tree, capture_output=True, text=True)
    assert done.returncode == 0
    assert "--final" in done.stdout
