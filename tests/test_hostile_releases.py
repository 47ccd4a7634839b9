"""Tags of someone who wants to run code on an owner's machine: each refused, and none runs."""

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
import safe_render
from rendering import REPOSITORY, commit_all, files_of, git, render, replace, run_copier

pytestmark = pytest.mark.slow

NEXT = "99.0.0"
CORE = REPOSITORY / "template" / "gatehouse"
GITHUB = "{% if with_github %}.github{% endif %}"
SCRIPT = "#!/bin/sh\ntouch '{ran}'\n"
Hostile = Callable[[Path, str], None]


def put(path: Path, text: str, *, run: bool = False) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    path.chmod(0o755 if run else 0o644)


def stop_excluding(inside: Path, *names: str) -> None:
    """The list of what Copier leaves out comes with the release."""
    for name in names:
        replace(inside.parent / "copier.yml", f"  - {name}\n", "")


def git_hook(inside: Path, script: str) -> None:
    stop_excluding(inside, ".git")
    put(inside / "{{ '.git' }}/hooks/pre-commit", script, run=True)


def git_hook_in_capitals(inside: Path, script: str) -> None:
    stop_excluding(inside, ".git")
    put(inside / "{{ '.GIT' }}/hooks/pre-commit", script, run=True)


def git_repository_with_a_monitor(inside: Path, script: str) -> None:
    stop_excluding(inside, ".git")
    folder = inside / "{{ '.git' }}"
    put(folder / "HEAD", "ref: refs/heads/main\n")
    put(folder / "objects/x", "x")
    put(folder / "refs/x", "x")
    put(folder / "config", "[core]\nfileMode = false\nfsmonitor = gatehouse/run.sh\n")
    put(inside / "gatehouse/run.sh", script, run=True)


def nested_git_hook(inside: Path, script: str) -> None:
    stop_excluding(inside, ".git")
    put(inside / "gatehouse/{{ '.git' }}/hooks/pre-commit", script, run=True)


def python_of_the_environment(inside: Path, script: str) -> None:
    stop_excluding(inside, ".venv")
    put(inside / "{{ '.venv' }}/bin/python", script, run=True)
    put(inside / "{{ '.venv' }}/pyvenv.cfg", "home = /usr/bin\n")


def python_version_that_names_a_file(inside: Path, script: str) -> None:
    stop_excluding(inside, ".python-version")
    put(inside / ".python-version", "gatehouse/run.sh\n")
    put(inside / "gatehouse/run.sh", script, run=True)


def executable_core_file(inside: Path, script: str) -> None:
    put(inside / "gatehouse/run.sh", script, run=True)


def link(inside: Path, script: str) -> None:
    with (inside.parent / "copier.yml").open("a") as settings:
        settings.write("\n_preserve_symlinks: true\n")
    (inside / "gatehouse/notes.txt").symlink_to("../../elsewhere")


def link_to_a_folder(inside: Path, script: str) -> None:
    with (inside.parent / "copier.yml").open("a") as settings:
        settings.write("\n_preserve_symlinks: true\n")
    (inside / "gatehouse/more").symlink_to("src", target_is_directory=True)


def filter_in_attributes(inside: Path, script: str) -> None:
    put(inside / ".gitattributes", "* text=auto eol=lf\n*.py filter=lfs\n")


def submodule(inside: Path, script: str) -> None:
    put(inside / ".gitmodules", '[submodule "x"]\npath = x\nurl = ext::x\n')


def workflow_of_its_own(inside: Path, script: str) -> None:
    put(inside / GITHUB / "workflows/extra.yml", "on: push\njobs: {}\n")


def settings_of_uv(inside: Path, script: str) -> None:
    put(inside / "uv.toml", 'python-downloads-json-url = "x"\n')


def start_of_python(inside: Path, script: str) -> None:
    put(inside / "sitecustomize.py", "import os\n")


def compiled_module(inside: Path, script: str) -> None:
    stop_excluding(inside, "__pycache__", '"*.py[co]"')
    put(inside / "gatehouse/__pycache__/carry.cpython-311.pyc", "x")


def configuration_of_pytest(inside: Path, script: str) -> None:
    put(inside / "conftest.py", "import os\n")


def path_upwards(inside: Path, script: str) -> None:
    put(inside / "{{ '..' }}/run.sh", script)


def note_of_the_owner(inside: Path, script: str) -> None:
    put(inside / "gatehouse/dropped.txt", "gatehouse/check_update.py\n")


def task_where_the_template_is_trusted(inside: Path, script: str) -> None:
    with (inside.parent / "copier.yml").open("a") as settings:
        settings.write(f"\n_tasks:\n  - {script.splitlines()[1]}\n")


ALL = [
    git_hook,
    git_hook_in_capitals,
    git_repository_with_a_monitor,
    nested_git_hook,
    python_of_the_environment,
    python_version_that_names_a_file,
    executable_core_file,
    link,
    link_to_a_folder,
    filter_in_attributes,
    submodule,
    workflow_of_its_own,
    settings_of_uv,
    start_of_python,
    compiled_module,
    configuration_of_pytest,
    path_upwards,
    note_of_the_owner,
    task_where_the_template_is_trusted,
]


class Case:
    """A service, and a template whose next release is to be made."""

    def __init__(self, folder: Path, template: Path) -> None:
        self.folder, self.template = folder, folder / "template"
        git(template, "clone", "--quiet", str(template), str(self.template))
        self.service = render(self.template, folder / "service")
        commit_all(self.service)
        self.ran = folder / "ran"

    def release(self, hostile: Hostile) -> None:
        hostile(self.template / "template", SCRIPT.format(ran=self.ran))
        git(self.template, "add", "--all", "--force")
        commit_all(self.template, NEXT)

    def update(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        settings = self.folder / "settings.yml"  # an owner who trusts the template for all time
        settings.write_text(f"trust:\n  - {self.template}\n")
        path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
        return subprocess.run(
            [sys.executable, str(CORE / "check_update.py"), "update", *arguments],
            cwd=self.service,
            env={**os.environ, "PATH": path, "COPIER_SETTINGS_PATH": str(settings)},
            capture_output=True,
            text=True,
        )


@pytest.fixture
def case(template: Path, tmp_path: Path) -> Case:
    return Case(tmp_path, template)


@pytest.mark.parametrize("hostile", ALL, ids=lambda one: one.__name__)
def test_a_hostile_release_is_refused_and_nothing_of_it_runs(case: Case, hostile: Hostile) -> None:
    before = files_of(case.service)
    hooks = files_of(case.service / ".git/hooks")
    case.release(hostile)
    done = case.update()
    print(done.stdout + done.stderr)
    assert done.returncode == 1
    assert "REFUSED" in done.stderr or "is refused" in done.stderr
    assert "Traceback" not in done.stderr.partition("check_update:")[2]
    assert not case.ran.exists()
    assert files_of(case.service) == before
    assert files_of(case.service / ".git/hooks") == hooks
    assert git(case.service, "status", "--porcelain", "--ignored") == ""


def test_a_migration_does_not_run_where_the_template_is_trusted(case: Case) -> None:
    def hostile(inside: Path, script: str) -> None:
        with (inside.parent / "copier.yml").open("a") as settings:
            settings.write(f"\n_migrations:\n  - {script.splitlines()[1]}\n")

    case.release(hostile)
    done = case.update()
    assert done.returncode == 1
    assert "unsafe feature: migrations" in done.stderr
    assert not case.ran.exists()
    assert git(case.service, "status", "--porcelain") == ""


def test_copiers_git_runs_no_hook_and_no_monitor(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of the folder, of a template of repositories, and whatever was given this way before."""
    monkeypatch.setenv("GIT_CONFIG_COUNT", "1")
    monkeypatch.setenv("GIT_CONFIG_KEY_0", "user.name")
    monkeypatch.setenv("GIT_CONFIG_VALUE_0", "Before")
    folder = tmp_path / "folder"
    script = SCRIPT.format(ran=tmp_path / "ran")
    for name in ("pre-commit", "post-index-change"):
        put(tmp_path / "patterns/hooks" / name, script, run=True)
    git(tmp_path, "init", "-q", f"--template={tmp_path / 'patterns'}", str(folder))
    git(folder, "config", "core.fsmonitor", str(tmp_path / "patterns/hooks/pre-commit"))
    (folder / "a").touch()
    with safe_render.environment() as variables:
        variables["GIT_COMMITTER_EMAIL"] = variables["GIT_AUTHOR_EMAIL"] = "a@example.com"
        for command in (["status"], ["add", "a"], ["commit", "--quiet", "--message=x"]):
            subprocess.run(["git", *command], cwd=folder, env=variables, check=True)
    assert git(folder, "log", "--format=%an").strip() == "Before"
    assert not (tmp_path / "ran").exists()


def test_a_harmless_release_is_taken(case: Case) -> None:
    """Else the test above would show nothing."""
    case.release(lambda inside, script: put(inside / "gatehouse/new.py", '"""New."""\n'))
    done = case.update()
    assert done.returncode == 0, done.stdout + done.stderr
    assert (case.service / "gatehouse/new.py").is_file()
    assert f"_commit: {NEXT}\n" in (case.service / ".copier-answers.yml").read_text()


def test_plain_copier_runs_what_such_a_release_brings(case: Case) -> None:
    """What SECURITY.md says of it, and why `update` does not leave it at that."""
    case.release(git_hook)
    run_copier("update", "--defaults", cwd=case.service)
    assert case.ran.exists()


@pytest.mark.parametrize("hostile", [git_hook, workflow_of_its_own, settings_of_uv])
def test_what_the_first_look_does_not_see_is_not_written(case: Case, hostile: Hostile) -> None:
    """A name can depend on the folder that is rendered to; Copier's own exclusion cannot."""
    hooks = files_of(case.service / ".git/hooks")
    case.release(hostile)
    seen = "{% if 'plain' not in (_copier_conf.src_path | string) %}%s{% endif %}"
    for path in sorted((case.template / "template").iterdir()):
        if path.name in ("uv.toml", "{{ '.git' }}"):
            name = path.name.replace("{{ '.git' }}", ".{{ 'git' }}")
            path.rename(path.with_name(seen.replace("%s", name)))
    extra = case.template / "template" / GITHUB / "workflows/extra.yml"
    if extra.exists():
        extra.rename(extra.with_name(seen.replace("%s", "extra.yml")))
    git(case.template, "add", "--all", "--force")
    commit_all(case.template)
    git(case.template, "tag", "--force", NEXT)
    done = case.update()
    assert done.returncode == 0, done.stdout + done.stderr
    assert not case.ran.exists()
    assert git(case.service, "status", "--porcelain").split() == ["M", ".copier-answers.yml"]
    assert files_of(case.service / ".git/hooks") == hooks


def late_link(inside: Path, name: str, script: str) -> None:
    with (inside.parent / "copier.yml").open("a") as settings:
        settings.write("\n_preserve_symlinks: true\n")
    (inside / "gatehouse" / name).symlink_to("../../elsewhere")


def late_program(inside: Path, name: str, script: str) -> None:
    put(inside / "gatehouse" / name, script, run=True)


def late_start_of_python(inside: Path, name: str, script: str) -> None:
    put(inside / "gatehouse/src" / name.replace("late", "sitecustomize.py"), "import os\n")


def late_attributes(inside: Path, name: str, script: str) -> None:
    text = (inside / ".gitattributes").read_text()
    (inside / ".gitattributes").unlink()
    filters = name.replace("late", "*.py filter=lfs")
    put(inside / ".gitattributes.jinja", f"{text}{filters}\n")


@pytest.mark.parametrize("late", [late_link, late_program, late_start_of_python, late_attributes])
def test_what_the_first_look_does_not_see_is_found_although_it_is_ignored(
    case: Case, late: Callable[[Path, str, str], None]
) -> None:
    def hostile(inside: Path, script: str) -> None:
        name = "{% if 'plain' not in (_copier_conf.src_path | string) %}late{% endif %}"
        late(inside, name, script)
        with (inside / ".gitignore.jinja").open("a") as ignored:
            ignored.write("\nlate\nsitecustomize.py\n")

    case.release(hostile)
    done = case.update()
    assert done.returncode == 1
    assert "What the update did is REFUSED" in done.stderr


def test_a_release_that_takes_the_owners_files_does_not_get_them(case: Case) -> None:
    def hostile(inside: Path, script: str) -> None:
        settings = inside.parent / "copier.yml"
        for name in ("/pyproject.toml", "/src"):
            replace(settings, f"{{% if _copier_operation == 'update' %}}{name}{{% endif %}}", "x")
        replace(inside / "pyproject.toml.jinja", "[project]", "[project]\n# Ours now.")

    mine = (case.service / "pyproject.toml").read_bytes()
    case.release(hostile)
    assert case.update().returncode == 0
    assert (case.service / "pyproject.toml").read_bytes() == mine


@pytest.mark.parametrize(
    "asked",
    [
        "_external_data:\n  more: .env\n",
        '"_external\\x5fdata":\n  more: .env\n',
        '"_external\\\n  _data":\n  more: .env\n',
        "---\n!include more.yml\n",
    ],
)
def test_a_release_does_not_read_what_lies_in_the_service(case: Case, asked: str) -> None:
    def hostile(inside: Path, script: str) -> None:
        with (inside.parent / "copier.yml").open("a") as settings:
            settings.write(f"\n{asked}")
        put(inside.parent / "more.yml", "_external_data:\n  more: .env\n")
        seen = "{{ (_external_data.more or '') | b64encode }}"
        put(inside / "gatehouse/new.txt.jinja", seen)

    (case.service / ".env").write_text("AUTH_KEYS=kept\nDATABASE_URL=sqlite:///a.db\n")
    case.release(hostile)
    done = case.update()
    assert done.returncode == 1
    assert "REFUSED" in done.stderr
    assert "copier.yml" in done.stderr
    assert not (case.service / "gatehouse/new.txt").exists()


def test_a_release_that_names_another_template_is_refused(case: Case) -> None:
    def hostile(inside: Path, script: str) -> None:
        answers = inside / "{{ _copier_conf.answers_file }}.jinja"
        answers.write_text("_commit: 99.0.0\n_src_path: /elsewhere\n")

    case.release(hostile)
    done = case.update()
    assert done.returncode == 1
    assert "changes _src_path" in done.stderr


def test_a_core_that_wants_to_be_built_does_not_run_at_a_lock(case: Case) -> None:
    def hostile(inside: Path, script: str) -> None:
        project = inside / "gatehouse/pyproject.toml"
        replace(project, 'build-backend = "hatchling.build"', 'build-backend = "evil"')
        replace(project, "[build-system]", '[build-system]\nbackend-path = ["."]')
        replace(project, 'version = "0+vendored"', 'dynamic = ["version"]')
        replace(project, 'requires = ["hatchling>=1.27"]', "requires = []")
        put(inside / "gatehouse/evil.py", f"open({str(case.ran)!r}, 'w')\n")

    case.release(hostile)
    assert case.update().returncode == 0  # it is code, and in the diff
    assert '[uv, "lock", "--no-build"]' in (case.service / "gatehouse/propose.py").read_text()
    done = subprocess.run(
        ["uv", "lock", "--no-build", "--offline"], cwd=case.service, capture_output=True, text=True
    )
    assert done.returncode
    assert not case.ran.exists()


def test_an_older_copier_is_not_used(case: Case, tmp_path: Path) -> None:
    """Whichever is installed; `uvx` then fetches the floor or newer."""
    case.release(lambda inside, script: None)
    tools = tmp_path / "bin"
    for name, script in {
        "copier": 'echo "copier 9.19.0"; echo "$*" >> "$0.called"',
        "uvx": 'echo "$*" > "$0.called"; exit 9',
    }.items():
        put(tools / name, f"#!/bin/sh\n{script}\n", run=True)
    path = f"{tools}{os.pathsep}/usr/bin{os.pathsep}/bin"
    command = [sys.executable, str(CORE / "check_update.py"), "update"]
    done = subprocess.run(
        command, cwd=case.service, env={**os.environ, "PATH": path}, capture_output=True, text=True
    )
    assert done.returncode == 1
    assert (tools / "copier.called").read_text() == "--version\n"
    assert (tools / "uvx.called").read_text().startswith("--from copier>=9.19.1 copier copy ")
    (tools / "uvx").unlink()
    done = subprocess.run(
        command, cwd=case.service, env={**os.environ, "PATH": path}, capture_output=True, text=True
    )
    assert done.returncode == 1
    assert "Copier 9.19.1 or newer is needed" in done.stderr
