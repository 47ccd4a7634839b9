"""The script `check_update.py`: what waits, whether it went in cleanly, who signed it."""

import json
import os
import re
import shutil
import socket
import subprocess
import sys
from collections.abc import Callable
from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path
from typing import Any

import pytest
from packaging.version import Version

CORE = Path(__file__).parents[1]
SCRIPT = CORE / "check_update.py"

pytestmark = [
    pytest.mark.thorough,
    pytest.mark.skipif(not shutil.which("git"), reason="git is not installed"),
]

LEFT, RIGHT = "<" * 7, ">" * 7  # spelt so, lest this file seem to hold a conflict

CHANGES = """# Changelog

## [Unreleased]

### Security

## [1.10.0] - 2026-04-01

### Security

- A hole.

## v1.9.0

### Fixed

- Not a ### Security fix.

## [1.2.0] - 2026-02-01

### Security

- Another.

## [1.0.0] - 2026-01-01

### Security
"""
Check = Callable[..., subprocess.CompletedProcess[str]]
BRANCH = "gatehouse-update"
NAMES = ("waiting", "update", "judge", "carry", "apply", "pull-request", "prepare", "propose")


@pytest.fixture(autouse=True)
def _plain_git(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    for name in ("GIT_CONFIG_GLOBAL", "GIT_CONFIG_SYSTEM"):
        monkeypatch.setenv(name, os.devnull)
    monkeypatch.setenv("HOME", str(tmp_path))


@pytest.fixture(scope="module")
def releases() -> Any:
    spec = spec_from_file_location("template_releases", CORE / "template_releases.py")
    assert spec
    assert spec.loader
    module = module_from_spec(spec)
    sys.modules[spec.name] = module  # where its dataclass looks for itself
    spec.loader.exec_module(module)
    return module


def git(folder: Path, *arguments: str, stdin: str = "") -> str:
    who = ["-c", "user.name=a", "-c", "user.email=a@example.com"]
    command = ["git", "-C", str(folder), *who, *arguments]
    done = subprocess.run(command, check=True, capture_output=True, text=True, input=stdin)
    return done.stdout.strip()


@pytest.fixture
def template(tmp_path: Path) -> Path:
    """A template's repository whose newest release is 1.10.0."""
    folder = tmp_path / "template"
    folder.mkdir()
    git(folder, "init", "-q", "-b", "main")
    for tag in ("1.0.0", "1.2.0", "v1.9.0", "1.10.0", "2.0.0rc1", "nightly"):
        (folder / "CHANGELOG.md").write_text(CHANGES)
        git(folder, "add", ".")
        git(folder, "commit", "-q", "--allow-empty", "-m", tag)
        git(folder, "tag", tag)
    return folder


@pytest.fixture
def service(template: Path, tmp_path: Path) -> Path:
    """A service of release 1.0.0, committed."""
    folder = tmp_path / "my service"
    (folder / "gatehouse").mkdir(parents=True)
    (folder / ".github/workflows").mkdir(parents=True)
    (folder / ".copier-answers.yml").write_text(f"# x\n_commit: 1.0.0\n_src_path: {template}\n")
    (folder / "gatehouse/one.py").write_text("one\n")
    (folder / "gatehouse/manifest.sha256").write_text("aa  one.py\nbb  two.py\n")
    (folder / ".github/workflows/ci.yml").write_text("old\n")
    (folder / ".gitignore").write_text("ignored\n*.rej\n")
    git(folder, "init", "-q", "-b", "main")
    git(folder, "add", ".")
    git(folder, "commit", "-q", "-m", "x")
    return folder


@pytest.fixture
def check(service: Path) -> Check:
    """Run the script as its user does, in the service's folder."""

    def call(*arguments: str | Path) -> subprocess.CompletedProcess[str]:
        command = [sys.executable, str(SCRIPT), *map(str, arguments)]
        done = subprocess.run(command, cwd=service, capture_output=True, text=True)
        assert "Traceback" not in done.stderr
        return done

    return call


def set_answers(service: Path, **values: str) -> None:
    path = service / ".copier-answers.yml"
    for key, value in values.items():
        path.write_text(re.sub(rf"(?m)^_{key}: .*$", f"_{key}: {value}", path.read_text()))


def test_every_command_has_help_and_bad_usage_is_two(check: Check) -> None:
    for command in ([], *([name] for name in NAMES)):
        assert check(*command, "--help").returncode == 0
    for wrong in ([], ["nothing"], ["verify", "a", "b"], ["pull-request"], ["propose", "a"]):
        assert check(*wrong).returncode == 2


# --- what waits


def test_versions_sort_as_copiers(releases: Any) -> None:
    names = ["2.0.0", "v0.10.0", "1.0.0rc1", "1.10.0", "v1.2", "1.0.0", "0.9", "2.0.0a1", "1.0.1"]
    assert sorted(names, key=releases.number) == sorted(names, key=Version)
    assert releases.number("v1.0") == releases.number("1.0.0") > releases.number("1.0.0rc1")
    assert releases.number("1.0.0-5-gabc1234") == releases.number("1.0.0")
    for none in ("7355619", "4cffff3", "HEAD", "", "nightly"):
        assert releases.number(none) == ()


def test_the_newest_release_waits_and_says_which_fix_holes(check: Check, template: Path) -> None:
    done = check("waiting")
    assert done.returncode == 3
    assert "1.10.0 waits; this service has 1.0.0.\n" in done.stdout
    assert "security holes (releases 1.10.0, 1.2.0)" in done.stdout
    found = json.loads(check("waiting", "--json").stdout)
    assert found["commit"] == git(template, "rev-parse", "1.10.0")
    assert (found["waits"], found["tag"], found["source"]) == (True, "1.10.0", str(template))


@pytest.mark.parametrize(
    ("current", "expected"),
    [
        ("1.2.0", ["1.10.0"]),
        ("v1.9.0-3-gabc1234", ["1.10.0"]),
        ("4cffff3", ["1.10.0", "1.2.0", "1.0.0"]),
        ("'1.0.0'", ["1.10.0", "1.2.0"]),
        ("1.10.0", []),
        ("2.0.0rc1", []),
    ],
)
def test_only_what_comes_after_the_services_own_release_counts(
    check: Check, service: Path, current: str, expected: list[str]
) -> None:
    set_answers(service, commit=current)
    found = json.loads(check("waiting", "--json").stdout)
    assert found["security"] == expected
    assert found["waits"] == bool(expected)


def test_a_release_that_was_taken_away_is_trouble(
    check: Check, service: Path, template: Path
) -> None:
    """Else whoever holds a fix back looks like nobody having made one."""
    git(service, "update-ref", "refs/remotes/origin/gatehouse-update", "HEAD")
    set_answers(service, commit="1.2.0")
    assert check("waiting").returncode == 3
    git(template, "tag", "-d", "1.0.0")  # the service is newer; the branch proposed this one
    done = check("waiting", "--json")
    assert (done.returncode, done.stdout) == (1, "")
    assert "no longer has the release 1.0.0" in done.stderr
    git(service, "update-ref", "-d", "refs/remotes/origin/gatehouse-update")
    assert check("waiting").returncode == 3
    for own in ("1.2.0", "1.2.0-3-gabc1234"):
        set_answers(service, commit=own)
        git(template, "tag", "-f", "1.2.0")
        assert check("waiting").returncode == 3
        git(template, "tag", "-d", "1.2.0")
        assert "no longer has the release 1.2.0" in check("waiting").stderr


def test_an_annotated_tag_is_known_by_its_commit(check: Check, template: Path) -> None:
    git(template, "tag", "-a", "1.11.0", "-m", "x")
    found = json.loads(check("waiting", "--json").stdout)
    assert (found["tag"], found["commit"]) == ("1.11.0", git(template, "rev-parse", "HEAD"))


def test_a_release_without_a_changelog_is_not_called_harmless(check: Check, template: Path) -> None:
    git(template, "rm", "-q", "CHANGELOG.md")
    git(template, "commit", "-q", "-m", "x")
    git(template, "tag", "1.11.0")
    done = check("waiting")
    assert (done.returncode, done.stdout) == (1, "")
    assert "CHANGELOG.md" in done.stderr


def test_answers_are_read_as_copier_writes_them(releases: Any) -> None:
    text = "# x\n_commit: 1.0.0\n_src_path: gh:a/b\nlong: a\n    text\nlist:\n- a\nname: ''\n"
    assert releases.stored(text, "_src_path") == "gh:a/b"
    assert releases.stored(text, "_commit") == "1.0.0"


@pytest.mark.parametrize(
    "text",
    [
        "{}_src_path: evil\n",
        "{}'_src_path': evil\n",
        '{}"_src\\x5fpath": evil\n',
        "{}? _src_path\n: evil\n",
        "{}_src_path : evil\n",
        "{}<<: {{_src_path: evil}}\n",
        "{}# a line to YAML alone\u2028_src_path: evil\n",
        "{}# likewise\x85_src_path: evil\n",
        "{}  -evil\n",
        "{}\n  evil\n",
        "x: '\n{}'\n_src_path: evil\n",
        "  x: 'y\n{}  '\n  _src_path: evil\n",
    ],
)
def test_answers_that_copier_may_read_in_another_way_are_trouble(releases: Any, text: str) -> None:
    """Else a release is looked at in one place, and the next one comes from another."""
    answers = text.format("_commit: 1.0.0\n_src_path: gh:a/b\n")
    with pytest.raises(releases.Trouble, match="two ways"):
        releases.stored(answers, "_src_path")


@pytest.mark.parametrize(
    "source", ["/nowhere", "https://u:secret@127.0.0.1:9/x", "--upload-pack=x"]
)
def test_a_template_out_of_reach_is_one_line_without_a_password(
    check: Check, service: Path, source: str
) -> None:
    set_answers(service, src_path=source)
    done = check("waiting")
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr.startswith("check_update: ")
    assert "secret" not in done.stderr


def test_an_address_is_never_an_option_of_git(
    check: Check, service: Path, template: Path, tmp_path: Path
) -> None:
    """With an `origin` of the service, git would need no other address."""
    git(service, "remote", "add", "origin", str(template))
    set_answers(service, src_path=f"--upload-pack=touch {tmp_path / 'ran'}; git-upload-pack")
    assert check("waiting").returncode == 1
    assert not (tmp_path / "ran").exists()


def test_an_answer_of_more_than_one_line_is_none(check: Check, service: Path) -> None:
    """It would be shown in a terminal, and be an address for git."""
    set_answers(service, src_path="/x\x1b[2J")
    done = check("waiting")
    assert (done.returncode, done.stdout) == (1, "")
    assert "does not say _src_path" in done.stderr


def test_what_git_says_draws_nothing_in_a_terminal_and_shows_no_password(
    releases: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It repeats what the other side says; and older ones the address with its password."""
    said = b"fatal: a\x1b[2Jb\nno access to 'https://u:s3cret@example.com/x'\n"
    failed = subprocess.CompletedProcess([], 128, b"", said)
    monkeypatch.setattr(releases, "run_git", lambda *_, **__: failed)
    with pytest.raises(releases.Trouble) as trouble:
        releases.git("fetch")
    assert str(trouble.value) == "fatal: a[2Jb\nno access to 'https://example.com/x'"


def test_a_template_that_does_not_answer_is_given_up(
    releases: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(releases, "NETWORK", 0.5)
    with socket.create_server(("127.0.0.1", 0)) as silent:
        address = f"git://127.0.0.1:{silent.getsockname()[1]}/x.git"
        with pytest.raises(releases.Trouble, match=r"within 0\.5 seconds"):
            releases.newest(address)


def test_copiers_short_names_are_known(releases: Any) -> None:
    github = "https://github.com/a/b.git"
    for short in ("gh:a/b", "gh:a/b.git", "gh:/a/b", f"git+{github}", github):
        assert releases.address(short) == github
    assert releases.address("gl:a/b") == "https://gitlab.com/a/b.git"
    assert releases.address("git@github.com:a/b.git") == "git@github.com:a/b.git"


# --- whether an update went in cleanly


def test_a_clean_tree_has_no_conflict(check: Check, service: Path) -> None:
    assert check("judge").returncode == 0
    (service / "gatehouse/one.py").write_text(f"two\n=======\n  {LEFT} indented\n")
    (service / "gatehouse/new.bin").write_bytes(bytes(range(256)))
    assert (check("judge").returncode, check("judge").stdout) == (0, "")


def test_markers_rejects_and_unmerged_files_are_conflicts(check: Check, service: Path) -> None:
    (service / "gatehouse/one.py").write_text(f"{LEFT} before updating\na\n=======\nb\n")
    (service / "new ünï.txt").write_text(f"a\n{RIGHT} after updating\n")
    (service / "gatehouse/two.py.rej").write_text("x\n")  # ignored by git
    git(service, "checkout", "-q", "-b", "other")
    (service / ".gitignore").write_text("theirs\n")
    git(service, "commit", "-q", "-m", "x", ".gitignore")
    git(service, "checkout", "-q", "main")
    (service / ".gitignore").write_text("ours\n")
    git(service, "commit", "-q", "-m", "x", ".gitignore")
    with pytest.raises(subprocess.CalledProcessError):
        git(service, "merge", "-q", "other")
    (service / ".gitignore").write_text("settled, but not for git\n")
    done = check("judge")
    assert done.returncode == 3
    assert done.stdout.splitlines() == [
        f"Conflict: {name}"
        for name in (".gitignore", "gatehouse/one.py", "gatehouse/two.py.rej", "new ünï.txt")
    ]


def test_a_service_in_a_folder_of_a_repository_is_judged_by_its_own_files(
    check: Check, service: Path, tmp_path: Path
) -> None:
    shutil.rmtree(service / ".git")
    git(tmp_path, "init", "-q")
    (tmp_path / "elsewhere").write_text("x\n")
    git(tmp_path, "add", "elsewhere", service.name)
    git(tmp_path, "commit", "-q", "-m", "x")
    (tmp_path / "elsewhere").write_text(f"{LEFT} not ours\n")
    assert check("judge").returncode == 0
    (service / "gatehouse/one.py").write_text(f"{RIGHT} after updating\n")
    assert check("judge").stdout == "Conflict: gatehouse/one.py\n"


# --- the update and its pull request


@pytest.fixture
def copier(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """In Copier's place: writes down what it was called with; updates the answers."""
    script = tmp_path / "bin/copier"
    script.parent.mkdir()
    script.write_text(
        '#!/bin/sh\ncase "$1" in --version) echo copier 99.0; exit ;; copy) exit ;; esac\n'
        f'for one; do echo "$one"; done > "{tmp_path}/called"\n'
        "sed -i s/1.0.0/1.10.0/ .copier-answers.yml\n"
        "sed -i s/aa/cc/ gatehouse/manifest.sha256\n"
        'test ! -f fails || exit 4\ntest ! -f marker || cat marker > "gatehouse/one.py"\n'
    )
    script.chmod(0o755)
    monkeypatch.setenv("PATH", f"{script.parent}{os.pathsep}{os.environ['PATH']}")
    return tmp_path / "called"


def test_an_update_leaves_owned_files_alone_and_names_what_they_miss(
    check: Check, service: Path, template: Path, copier: Path
) -> None:
    owned = "# mine\n\ngatehouse/one.py\n /gatehouse/two.py \n"
    (service / "gatehouse/owned.txt").write_text(owned)
    done = check("update", "--vcs-ref", "1.10.0")
    assert done.returncode == 0
    called = copier.read_text().splitlines()
    assert called[:3] == ["update", "--defaults", "--exclude=/*"]
    # Last, so that nothing takes them back; and the commit that was looked at, not its name.
    assert called[-3:] == [
        *("--exclude=/gatehouse/one.py", "--exclude=/gatehouse/two.py"),
        f"--vcs-ref={git(template, 'rev-parse', '1.10.0')}",
    ]
    assert "--trust" not in copier.read_text()
    assert "changes gatehouse/one.py, which is yours" in done.stdout
    assert "two.py" not in done.stdout


def test_a_failed_update_is_one_and_conflicts_are_three(
    check: Check, service: Path, copier: Path
) -> None:
    (service / "marker").write_text(f"{LEFT} before updating\n")
    git(service, "add", ".")
    git(service, "commit", "-q", "-m", "x")
    assert check("update").returncode == 3
    (service / "fails").touch()
    assert check("update").returncode == 1


@pytest.mark.parametrize(
    ("command", "said"),
    [
        ("touch conftest.py", "'conftest.py': a release has no such file"),
        ("mkdir .venv && touch .venv/x", "'.venv/x': a release has no such file"),
        ("ln -s one.py gatehouse/two.py", "'gatehouse/two.py': it is a link"),
        ("touch gatehouse/sitecustomize.py", "sitecustomize.py may not lie in gatehouse"),
        ("sed -i s/old/new/ pyproject.toml", "'pyproject.toml': a release has no such file"),
        ("sed -i 's|^_src_path: |&/else|' .copier-answers.yml", "changes _src_path"),
        ("sed -i 's|^_commit: .*|_commit: a b|' .copier-answers.yml", "no name of a release"),
    ],
)
def test_what_an_update_did_is_looked_at_as_well(
    check: Check, service: Path, copier: Path, command: str, said: str
) -> None:
    """Whatever the release showed when it was looked at first, and whatever Copier left out."""
    (service / "pyproject.toml").write_text("old\n")
    git(service, "add", ".")
    git(service, "commit", "-q", "-m", "x")
    with (copier.parent / "bin/copier").open("a") as script:
        script.write(f"{command}\n")
    done = check("update")
    assert done.returncode == 1
    assert "REFUSED" in done.stderr
    assert said in done.stderr


def test_a_pull_request_says_security_and_what_there_is_to_do(
    check: Check, service: Path, template: Path
) -> None:
    set_answers(service, commit="1.10.0")
    done = check("pull-request", "--tests=passed")
    assert done.returncode == 0
    title, blank, *body = done.stdout.splitlines()
    assert (title, blank) == ("Security: update Gatehouse from 1.0.0 to 1.10.0", "")
    text = "\n".join(body)
    assert "releases 1.10.0, 1.2.0" in text
    assert "The tests passed." in text
    assert "UPGRADING.md of the template" in text
    assert "Conflicts" not in text
    assert check("pull-request", "--tests=failed").returncode == 3


def test_a_pull_request_without_a_fix_does_not_say_so(check: Check, service: Path) -> None:
    set_answers(service, commit="1.2.0")
    git(service, "commit", "-qam", "x")
    set_answers(service, commit="v1.9.0")
    done = check("pull-request", "--tests=passed")
    assert done.stdout.startswith("Update Gatehouse from 1.2.0 to v1.9.0\n")
    assert "ecurity" not in done.stdout


def test_a_pull_request_with_conflicts_says_so_and_is_no_success(
    check: Check, service: Path
) -> None:
    set_answers(service, commit="1.10.0")
    (service / "gatehouse/one.py").write_text(f"{LEFT} before updating\n")
    done = check("pull-request", "--tests=passed")
    assert done.returncode == 3
    assert "## Conflicts" in done.stdout
    assert "- `gatehouse/one.py`" in done.stdout
    assert "The tests were not run" in done.stdout


def test_workflows_that_may_not_be_pushed_are_in_the_text_as_a_patch(
    check: Check, service: Path
) -> None:
    set_answers(service, commit="1.10.0")
    workflows = service / ".github/workflows"
    assert check("pull-request", "--tests=passed", "--withhold-workflows").returncode == 0
    (workflows / "ci.yml").write_text("new\n")
    (workflows / "more.yml").write_text("more\n")
    done = check("pull-request", "--tests=passed", "--withhold-workflows")
    assert done.returncode == 3
    assert git(service, "status", "--porcelain") == "M .copier-answers.yml"
    (patch,) = re.findall(r"^~{7}diff\n(.+?)^~{7}$", done.stdout, re.DOTALL | re.MULTILINE)
    (service / "a.patch").write_text(patch)
    git(service, "apply", "a.patch")
    assert (workflows / "ci.yml").read_text() == "new\n"
    assert (workflows / "more.yml").read_text() == "more\n"


def test_a_patch_in_the_text_cannot_leave_its_fence(check: Check, service: Path) -> None:
    workflow = service / ".github/workflows/ci.yml"
    workflow.write_text("a: 1\n~~~~~~~\n" + "~" * 12 + "\n")
    git(service, "commit", "-q", "-a", "-m", "x")
    set_answers(service, commit="1.10.0")
    workflow.write_text(workflow.read_text().replace("1", "2"))
    done = check("pull-request", "--tests=passed", "--withhold-workflows")
    opening = re.findall(r"^(~+)diff$", done.stdout, re.MULTILINE)
    lines = done.stdout.splitlines()
    closing = [line for line in lines if re.fullmatch(r" {0,3}~+ *", line)]
    assert [line for line in closing if len(line.strip()) >= len(opening[0])] == opening
    assert lines[-1] == opening[0]


def test_a_name_in_the_text_stays_a_name(check: Check, service: Path) -> None:
    set_answers(service, commit="1.10.0")
    odd = service / "gatehouse/a` [x](y)\n# Merged `b"
    odd.write_text(f"{LEFT} before updating\n")
    text = check("pull-request", "--tests=failed").stdout
    assert "- `gatehouse/a? [x](y)?# Merged ?b`\n" in text
    set_answers(service, commit="'1.10.0 [x](y)'")
    assert "no name of a release" in check("pull-request", "--tests=failed").stderr


# --- a patch of the job without the token


def patch_of(service: Path, path: Path) -> Path:
    git(service, "add", "--all", "--force")
    made = git(service, "diff", "--cached", "--binary", "--full-index", "HEAD") + "\n"
    path.write_text(made)
    git(service, "reset", "-q", "--hard")
    return path


def test_a_patch_is_applied_to_the_tree_and_the_index(
    check: Check, service: Path, tmp_path: Path
) -> None:
    (service / "gatehouse/one.py").write_text("new\n")
    (service / "gatehouse/added.py").write_text("added\n")
    (service / "uv.lock").write_text("lock\n")
    patch = patch_of(service, tmp_path / "a.patch")
    done = check("apply", patch)
    assert done.returncode == 0, done.stderr
    assert (service / "gatehouse/added.py").read_text() == "added\n"
    staged = git(service, "diff", "--cached", "--name-only").splitlines()
    assert staged == ["gatehouse/added.py", "gatehouse/one.py", "uv.lock"]
    assert check("apply", tmp_path / "nothing").returncode == 1


@pytest.mark.parametrize(
    "path",
    [
        "src/a.py",
        ".github/workflows/extra.yml",
        ".venv/bin/python",
        ".python-version",
        "gatehouse/.gitattributes",
        "gatehouse/OWNED.txt",
        ".gitmodules",
        "conftest.py",
        "pyproject.toml",
    ],
)
def test_a_patch_changes_nothing_but_what_an_update_may(
    check: Check, service: Path, tmp_path: Path, path: str
) -> None:
    (service / path).parent.mkdir(parents=True, exist_ok=True)
    (service / path).write_text("x\n")
    (service / "gatehouse/one.py").write_text("new\n")
    done = check("apply", patch_of(service, tmp_path / "a.patch"))
    assert done.returncode == 1
    assert "The patch is REFUSED" in done.stderr
    assert git(service, "status", "--porcelain") == ""
    assert (service / "gatehouse/one.py").read_text() == "one\n"


@pytest.mark.parametrize("kind", ["link", "executable", "mode"])
def test_a_patch_brings_no_link_and_nothing_that_is_run(
    check: Check, service: Path, tmp_path: Path, kind: str
) -> None:
    added = service / "gatehouse/added.py"
    if kind == "link":
        added.symlink_to("one.py")
    elif kind == "executable":
        added.write_text("x\n")
        added.chmod(0o755)
    else:
        (service / "gatehouse/one.py").chmod(0o755)
    done = check("apply", patch_of(service, tmp_path / "a.patch"))
    assert done.returncode == 1
    assert "it is a link" in done.stderr or "it is executable" in done.stderr
    assert git(service, "status", "--porcelain") == ""


def test_a_patch_brings_no_attributes_that_name_a_program(
    check: Check, service: Path, tmp_path: Path
) -> None:
    (service / ".gitattributes").write_text("*.py filter=lfs\n")
    patch = patch_of(service, tmp_path / "a.patch")
    done = check("apply", patch)
    assert done.returncode == 1
    assert "it asks for 'filter=lfs'" in done.stderr
    assert git(service, "status", "--porcelain") == ""


def test_git_runs_no_hook_for_a_patch(check: Check, service: Path, tmp_path: Path) -> None:
    (service / "gatehouse/one.py").write_text("new\n")
    patch = patch_of(service, tmp_path / "a.patch")
    hook = service / ".git/hooks/post-index-change"
    hook.parent.mkdir(exist_ok=True)
    hook.write_text(f"#!/bin/sh\ntouch '{tmp_path}/ran'\n")
    hook.chmod(0o755)
    shutil.copy(hook, tmp_path / "monitor")  # whose path goes through a shell
    git(service, "config", "core.fsmonitor", str(tmp_path / "monitor"))
    assert check("apply", patch).returncode == 0
    assert check("judge").returncode == 0
    assert not (tmp_path / "ran").exists()
    git(service, "add", "--all")  # else this would show nothing
    assert (tmp_path / "ran").exists()


def test_a_module_of_pythons_own_is_not_taken_from_the_core(
    check: Check, service: Path, copier: Path, tmp_path: Path
) -> None:
    """An update writes beside the script while it runs."""
    core = service / "gatehouse"
    for path in CORE.glob("*.py"):
        shutil.copy(path, core)
    git(service, "add", "--all")
    git(service, "commit", "-q", "-m", "x")
    (service / "gatehouse/probe.py").write_text(f"open({str(tmp_path / 'ran')!r}, 'w')\n")
    code = "import runpy, sys\nsys.argv = ['x', 'judge']\n"
    code += f"sys.path.insert(0, {str(core)!r})\n"
    code += f"try:\n    runpy.run_path({str(core / 'check_update.py')!r}, run_name='__main__')\n"
    code += "except SystemExit:\n    pass\ntry:\n    import probe\nexcept ImportError:\n    pass\n"
    subprocess.run([sys.executable, "-c", code], cwd=service, check=True)
    assert not (tmp_path / "ran").exists()


@pytest.mark.parametrize(
    ("source", "place"),
    [
        ("gh:a/b", "https://github.com/a/b/blob/1.0.0/UPGRADING.md"),
        ("https://u:secret@github.com/a/b", "https://github.com/a/b/blob/1.0.0/UPGRADING.md"),
        ("git@gitlab.com:a/b.git", "https://gitlab.com/a/b/-/blob/1.0.0/UPGRADING.md"),
    ],
)
def test_links_lead_to_the_release(
    releases: Any, monkeypatch: pytest.MonkeyPatch, source: str, place: str
) -> None:
    monkeypatch.syspath_prepend(str(CORE))
    spec = spec_from_file_location("check_update", SCRIPT)
    assert spec
    assert spec.loader
    module = module_from_spec(spec)
    spec.loader.exec_module(module)
    assert module.page(source, "1.0.0", "UPGRADING.md") == f"[UPGRADING.md]({place})"


# --- the weekly workflow


def test_what_waits_becomes_a_patch(
    check: Check,
    service: Path,
    copier: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    told = tmp_path / "told"
    monkeypatch.setenv("GITHUB_OUTPUT", str(told))
    patch = tmp_path / "a.patch"
    done = check("prepare", patch)
    assert done.returncode == 0, done.stderr
    assert told.read_text() == "waits=true\ncode=0\n"
    assert git(service, "rev-parse", "HEAD") == git(service, "rev-parse", "main")
    git(service, "reset", "-q", "--hard")
    assert check("apply", patch).returncode == 0
    assert "_commit: 1.10.0" in (service / ".copier-answers.yml").read_text()
    # A conflict is in the patch, and told.
    git(service, "reset", "-q", "--hard")
    (service / "marker").write_text(f"{LEFT} before updating\n")
    git(service, "add", "marker")
    git(service, "commit", "-q", "-m", "x")
    assert check("prepare", patch).returncode == 0
    assert told.read_text().endswith("waits=true\ncode=3\n")
    assert f"+{LEFT} before updating" in patch.read_text()
    # A failed update is none, and nothing is told of it.
    git(service, "reset", "-q", "--hard")
    (service / "fails").touch()
    before = told.read_text()
    assert check("prepare", tmp_path / "b.patch").returncode == 1
    assert told.read_text() == before
    assert not (tmp_path / "b.patch").exists()


def test_where_nothing_waits_nothing_is_prepared(
    check: Check, service: Path, copier: Path, tmp_path: Path
) -> None:
    set_answers(service, commit="1.10.0")
    done = check("prepare", tmp_path / "a.patch")
    assert (done.returncode, done.stdout) == (0, "waits=false\ncode=0\n")
    assert not (tmp_path / "a.patch").exists()
    assert not copier.exists()


def test_a_release_without_a_signature_is_not_prepared(
    check: Check, service: Path, copier: Path, tmp_path: Path
) -> None:
    (service / ".github/template_signers").write_text("")
    done = check("prepare", tmp_path / "a.patch")
    assert done.returncode == 1
    assert "1.10.0 is NOT signed" in done.stderr
    assert not copier.exists()


def test_a_lock_is_renewed_without_building_and_may_fail(
    check: Check, service: Path, copier: Path, tmp_path: Path
) -> None:
    (service / "uv.lock").write_text("old\n")
    git(service, "add", "uv.lock")
    git(service, "commit", "-q", "-m", "x")
    uv = copier.parent / "bin/uv"
    uv.write_text('#!/bin/sh\ntest "$*" = "lock --no-build" && echo new > uv.lock\n')
    uv.chmod(0o755)
    assert check("prepare", tmp_path / "a.patch").returncode == 0
    assert "+new" in (tmp_path / "a.patch").read_text()
    git(service, "reset", "-q", "--hard")
    uv.write_text("#!/bin/sh\nexit 2\n")
    done = check("prepare", tmp_path / "a.patch")
    assert done.returncode == 0
    assert "::warning::uv.lock was not renewed" in done.stdout
    assert "uv.lock" not in (tmp_path / "a.patch").read_text()


GH = """#!/bin/sh
echo "gh $*" >> calls
case "$1 $2" in
"pr list") test ! -f open || echo 7 ;;
"pr create") test "$3" != --draft || test ! -f no-drafts || { echo "no, $GH_TOKEN" >&2; exit 1; } ;;
"pr ready") test ! -f refuses || { echo "no, $GH_TOKEN" >&2; exit 1; } ;;
esac
for last; do :; done
test ! -f "$last" || cp "$last" body
"""


@pytest.fixture
def host(service: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The service's repository elsewhere; `gh` beside the service writes down what it is asked."""
    folder = tmp_path / "host.git"
    git(tmp_path, "clone", "-q", "--bare", str(service), str(folder))
    git(service, "remote", "add", "origin", str(folder))
    (service / ".git/info").mkdir(exist_ok=True)
    (service / ".git/info/exclude").write_text("calls\nbody\nopen\nno-drafts\nrefuses\n")
    tool = tmp_path / "tools/gh"
    tool.parent.mkdir()
    tool.write_text(GH)
    tool.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tool.parent}{os.pathsep}{os.environ['PATH']}")
    monkeypatch.setenv("GH_TOKEN", "a-secret-token")
    return folder


@pytest.fixture
def patch(service: Path, tmp_path: Path) -> Path:
    set_answers(service, commit="1.10.0")
    (service / "gatehouse/one.py").write_text("new\n")
    return patch_of(service, tmp_path / "a.patch")


def proposed(
    check: Check, service: Path, patch: Path, *, code: str = "0", tests: str = "passed"
) -> subprocess.CompletedProcess[str]:
    git(service, "switch", "-q", "main")
    (service / "calls").unlink(missing_ok=True)
    done = check("propose", patch, "--code", code, "--tests", tests)
    assert "a-secret-token" not in done.stdout + done.stderr
    return done


def test_a_patch_becomes_a_pull_request_once(
    check: Check, service: Path, host: Path, patch: Path
) -> None:
    done = proposed(check, service, patch)
    assert done.returncode == 0, done.stderr
    title = "Security: update Gatehouse from 1.0.0 to 1.10.0"
    assert git(host, "log", "-1", "--format=%s|%an", BRANCH) == f"{title}|github-actions[bot]"
    assert git(host, "rev-parse", f"{BRANCH}~") == git(host, "rev-parse", "main")
    assert git(host, "show", f"{BRANCH}:gatehouse/one.py") == "new"
    calls = (service / "calls").read_text()
    assert f"gh pr create --draft --head {BRANCH} --title {title} --body-file" in calls
    assert calls.endswith(f"gh pr ready {BRANCH}\n")
    assert (service / "body").read_text().startswith("**This fixes security holes**")
    (service / "open").touch()
    assert proposed(check, service, patch).returncode == 0  # a week later
    calls = (service / "calls").read_text()
    assert f"gh pr edit 7 --title {title} --body-file" in calls
    assert "pr create" not in calls


@pytest.mark.parametrize(("code", "tests"), [("3", "passed"), ("0", "failed")])
def test_what_leaves_something_to_do_stays_a_draft(
    check: Check, service: Path, host: Path, patch: Path, code: str, tests: str
) -> None:
    done = proposed(check, service, patch, code=code, tests=tests)
    assert done.returncode == 3
    assert "says what is left to do" in done.stdout
    assert f"gh pr ready --undo {BRANCH}\n" in (service / "calls").read_text()


def test_where_there_are_no_drafts_a_pull_request_is_opened_all_the_same(
    check: Check, service: Path, host: Path, patch: Path
) -> None:
    (service / "no-drafts").touch()
    assert proposed(check, service, patch).returncode == 0
    assert f"gh pr create --head {BRANCH}" in (service / "calls").read_text()
    (service / "refuses").touch()
    assert proposed(check, service, patch).returncode == 1
    assert proposed(check, service, patch, tests="failed").returncode == 3


def test_a_branch_with_commits_of_the_owner_is_not_overwritten(
    check: Check, service: Path, host: Path, patch: Path
) -> None:
    assert proposed(check, service, patch).returncode == 0
    git(service, "commit", "-q", "--allow-empty", "-m", "mine")
    git(service, "push", "-q", "origin", BRANCH)
    mine = git(host, "rev-parse", BRANCH)
    (service / "open").touch()
    done = proposed(check, service, patch)
    assert done.returncode == 1
    assert "waits until pull request 7, which has commits of yours" in done.stdout
    assert git(host, "rev-parse", BRANCH) == mine
    git(service, "reset", "-q", "--hard")
    (service / "open").unlink()  # closed without merging
    assert proposed(check, service, patch).returncode == 0
    assert git(host, "rev-parse", BRANCH) != mine


def test_the_job_with_the_token_runs_no_hook_and_commits_the_patch_alone(
    check: Check, service: Path, host: Path, patch: Path, tmp_path: Path
) -> None:
    for name in ("pre-commit", "commit-msg", "pre-push", "post-checkout", "post-index-change"):
        hook = service / ".git/hooks" / name
        hook.parent.mkdir(exist_ok=True)
        hook.write_text(f"#!/bin/sh\ntouch '{tmp_path}/ran'\n")
        hook.chmod(0o755)
    (service / "stray.py").write_text("x\n")
    assert check("propose", patch, "--code=0", "--tests=passed").returncode == 0
    assert not (tmp_path / "ran").exists()
    changed = git(host, "diff", "--name-only", "main", BRANCH).splitlines()
    assert changed == [".copier-answers.yml", "gatehouse/one.py"]


def test_a_patch_that_no_release_may_bring_is_not_proposed(
    check: Check, service: Path, host: Path, tmp_path: Path
) -> None:
    (service / "conftest.py").write_text("x\n")
    done = proposed(check, service, patch_of(service, tmp_path / "a.patch"))
    assert done.returncode == 1
    assert "The patch is REFUSED" in done.stderr
    assert git(host, "branch", "--list", BRANCH) == ""
    assert not (service / "calls").exists()


def test_without_gh_nothing_is_proposed(
    check: Check, service: Path, host: Path, patch: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    tools = host.with_name("few")
    tools.mkdir()
    (tools / "git").symlink_to(shutil.which("git") or "")
    monkeypatch.setenv("PATH", str(tools))
    done = check("propose", patch, "--code=0", "--tests=passed")
    assert done.returncode == 1
    assert "gh, GitHub's command, is not installed" in done.stderr


# --- who signed it

SIGNED = pytest.mark.skipif(not shutil.which("ssh-keygen"), reason="ssh-keygen is not installed")


@pytest.fixture
def signers(tmp_path: Path, template: Path) -> Path:
    """Two throw-away keys, and a file that allows the first."""
    for name in ("key", "other"):
        command = ["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", str(tmp_path / name)]
        subprocess.run(command, check=True)
    kind, key, *_ = (tmp_path / "key.pub").read_text().split()
    (tmp_path / "signers").write_text(f'releases@example.com namespaces="git" {kind} {key}\n')
    return tmp_path / "signers"


def sign(template: Path, tag: str, key: str = "key", what: str = "HEAD") -> None:
    options = ["-c", "gpg.format=ssh", "-c", f"user.signingkey={template.parent / key}"]
    git(template, *options, "tag", "-s", tag, "-m", f"Release {tag}", what)


@SIGNED
def test_a_signed_release_gives_the_commit_to_take(
    check: Check, template: Path, signers: Path
) -> None:
    sign(template, "1.11.0")
    done = check("verify", template, "1.11.0", "--signers", signers)
    assert done.returncode == 0
    assert done.stdout.strip() == git(template, "rev-parse", "1.11.0^{commit}")
    assert done.stdout.strip() == json.loads(check("waiting", "--json").stdout)["commit"]
    assert "Good signature" in done.stderr


def refused(check: Check, template: Path, tag: str, signers: Path) -> str:
    done = check("verify", template, tag, "--signers", signers)
    assert (done.returncode, done.stdout) == (1, "")
    return done.stderr


@SIGNED
def test_a_release_without_a_good_signature_is_refused(
    check: Check, template: Path, signers: Path
) -> None:
    git(template, "tag", "-a", "1.11.0", "-m", "unsigned")
    sign(template, "1.12.0", "other")
    for tag in ("1.10.0", "1.11.0", "1.12.0"):
        assert f"{tag} is NOT signed" in refused(check, template, tag, signers)
    assert refused(check, template, "9.9.9", signers)
    assert "no file" in refused(check, template, "1.12.0", signers.with_name("nothing"))
    signers.write_text("")
    sign(template, "1.13.0")
    assert "NOT signed" in refused(check, template, "1.13.0", signers)


@SIGNED
def test_a_tag_that_was_moved_is_refused(check: Check, template: Path, signers: Path) -> None:
    sign(template, "1.11.0")
    git(template, "commit", "-q", "--allow-empty", "-m", "evil")
    # To another commit; the old signature on a newer name; a tag of a signed tag.
    git(template, "tag", "-f", "1.10.0")
    git(template, "update-ref", "refs/tags/9.0.0", git(template, "rev-parse", "1.11.0"))
    git(template, "tag", "-a", "9.1.0", "-m", "x", "1.11.0")
    assert "NOT signed" in refused(check, template, "1.10.0", signers)
    assert "NOT what was signed" in refused(check, template, "9.0.0", signers)
    assert "NOT signed" in refused(check, template, "9.1.0", signers)
    sign(template, "9.2.0", what="1.11.0")
    assert "NOT what was signed" in refused(check, template, "9.2.0", signers)
    # A changed object keeps its signature, which then is no good.
    raw = git(template, "cat-file", "tag", "1.11.0").replace("Release", "Melease") + "\n"
    made = git(template, "hash-object", "-t", "tag", "-w", "--stdin", stdin=raw)
    git(template, "update-ref", "refs/tags/1.11.0", made)
    assert "NOT signed" in refused(check, template, "1.11.0", signers)


@SIGNED
def test_a_branch_of_the_same_name_changes_nothing(
    check: Check, template: Path, signers: Path
) -> None:
    sign(template, "1.11.0")
    commit = git(template, "rev-parse", "1.11.0^{commit}")
    git(template, "commit", "-q", "--allow-empty", "-m", "evil")
    git(template, "branch", "1.11.0")
    assert check("verify", template, "1.11.0", "--signers", signers).stdout.strip() == commit
