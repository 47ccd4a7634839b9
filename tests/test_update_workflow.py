"""The weekly workflow and Renovate's file of a service: their rights, and their steps when run."""

import json
import os
import re
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path
from typing import Any

import pytest
import yaml
from rendering import CHOICES, REPOSITORY, commit_all, git, render, replace

NEXT = "99.0.0"
EDITED = "gatehouse/src/gatehouse/text.py"
BRANCH = "gatehouse-update"
OWN_TOKEN = "secrets.UPDATE_TOKEN"

STUBS = {
    "pipx": "exit 0",
    "uvx": f'test "$1 $2 $3" = "--from copier>=9.19.1 copier"; shift 3\n'
    f'exec "{sys.executable}" -m copier "$@"',
    # uv and pytest are tried elsewhere; `tests-fail` in the service makes these fail.
    "uv": 'echo "uv $*" >> "$CALLS"\ntest ! -f tests-fail || test "$1" != run',
    "gh": """echo "gh $*" >> "$CALLS"
case "$1 $2" in
"pr list") cat "$OPEN" ;;
"pr create") echo 7 > "$OPEN" ;;
esac
for one; do last=$one; done
test ! -f "$last" || cp "$last" "$BODY"
""",
}


@pytest.fixture(scope="session")
def next_version(template: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The template with a later release: a security fix in the core, and a workflow changed."""
    folder = tmp_path_factory.mktemp("next") / "template"
    git(template, "clone", "--quiet", str(template), str(folder))
    core = folder / "template" / EDITED
    core.write_text(core.read_text() + "\n# A fix.\n")
    changes = folder / "CHANGELOG.md"
    replace(changes, "## [Unreleased]", f"## [Unreleased]\n\n## [{NEXT}]\n\n### Security\n\n- x")
    commit_all(folder, NEXT)
    workflows = folder / "template/{% if with_github %}.github{% endif %}/workflows"
    replace(workflows / "update.yml", "name: update", "# Changed.\nname: update")
    commit_all(folder, "99.1.0")
    return folder


class Runner:
    """Runs the steps of the workflow's jobs as GitHub does, in clones of a service's repository."""

    def __init__(self, folder: Path, template: Path) -> None:
        self.folder = folder
        self.origin = render(template, folder / "service", version="0.1.0")
        commit_all(self.origin)
        git(self.origin, "config", "receive.denyCurrentBranch", "ignore")
        self.workflow: dict[str, Any] = yaml.safe_load(
            (self.origin / ".github/workflows/update.yml").read_text()
        )
        self.calls, self.open, self.body = (folder / name for name in ("calls", "open", "body"))
        self.open.touch()
        self.artifact = folder / "artifact"
        tools = folder / "bin"
        tools.mkdir()
        for name, script in STUBS.items():
            (tools / name).write_text(f"#!/bin/bash\nset -e\n{script}\n")
            (tools / name).chmod(0o755)
        (tools / "python3").symlink_to(sys.executable)
        self.values: dict[str, str] = {}
        self.said = ""

    def run(self, *, token: str = "") -> str:
        """One run; gives the step that failed it, or nothing."""
        self.calls.write_text("")
        self.said = ""
        self.values = {f"{OWN_TOKEN} || github.token": token or "weak"}
        self.values[f"{OWN_TOKEN} != ''"] = "true" if token else "false"  # until 0.6.0
        withheld = "" if token else "--withhold-workflows"
        self.values[f"{OWN_TOKEN} == '' && '--withhold-workflows' || ''"] = withheld
        self.artifact.unlink(missing_ok=True)
        for job in ("prepare", "try"):
            if failed := self.job(job):
                return failed
            for name, value in self.workflow["jobs"][job]["outputs"].items():
                self.values[f"needs.{job}.outputs.{name}"] = self.value(value)
            if self.values["needs.prepare.outputs.waits"] != "true":
                return ""
        passed = self.values["needs.try.outputs.tests"] == "success"
        tests = "needs.try.outputs.tests == 'success' && 'passed' || 'failed'"
        self.values[tests] = "passed" if passed else "failed"
        return self.job("propose")

    def job(self, name: str) -> str:
        clone = self.folder / f"{name}-{len(list(self.folder.iterdir()))}"
        git(self.folder, "clone", "--quiet", str(self.origin), str(clone))
        temporary = clone.with_suffix(".tmp")
        temporary.mkdir()
        for step in self.workflow["jobs"][name]["steps"]:
            if not self.wanted(step.get("if", "")):
                continue
            if "upload-artifact" in step.get("uses", ""):
                shutil.copy(temporary / "update.patch", self.artifact)
            if "download-artifact" in step.get("uses", ""):
                shutil.copy(self.artifact, temporary / "update.patch")
            if "run" not in step:
                continue
            output = temporary / "output"
            output.write_text("")
            variables = {key: self.value(str(text)) for key, text in step.get("env", {}).items()}
            done = subprocess.run(
                ["bash", "--noprofile", "--norc", "-eo", "pipefail", "-c", step["run"]],
                cwd=clone,
                env={
                    **os.environ,
                    **variables,
                    "PATH": f"{self.folder / 'bin'}:/usr/bin:/bin",
                    "CALLS": str(self.calls),
                    "OPEN": str(self.open),
                    "BODY": str(self.body),
                    "RUNNER_TEMP": str(temporary),
                    "GITHUB_OUTPUT": str(output),
                    "GITHUB_STEP_SUMMARY": str(temporary / "summary"),
                },
                capture_output=True,
                text=True,
            )
            self.said += done.stdout + done.stderr
            print(done.stdout + done.stderr)
            key = f"steps.{step.get('id')}"
            for line in output.read_text().splitlines():
                self.values[f"{key}.outputs.{line.partition('=')[0]}"] = line.partition("=")[2]
            self.values[f"{key}.outcome"] = "failure" if done.returncode else "success"
            if done.returncode and not step.get("continue-on-error"):
                return str(step.get("id", "last"))
        return ""

    def value(self, text: str) -> str:
        return re.sub(r"\$\{\{ (.+?) \}\}", lambda found: self.values.get(found[1], ""), text)

    def wanted(self, condition: str) -> bool:
        if not condition:
            return True
        name, sign, value = condition.split()
        return (self.values.get(name, "") == value.strip("'")) == (sign == "==")

    def proposed(self) -> str:
        """The title on the branch."""
        return git(self.origin, "log", "-1", "--format=%s", BRANCH).strip()


@pytest.fixture
def runner(next_version: Path, tmp_path: Path) -> Runner:
    folder = tmp_path / "template"
    git(next_version, "clone", "--quiet", str(next_version), str(folder))
    git(folder, "tag", "-d", "99.1.0")
    return Runner(tmp_path, folder)


def test_rights_are_few_and_nothing_is_put_into_a_shell(default_render: Path) -> None:
    workflow = yaml.safe_load((default_render / ".github/workflows/update.yml").read_text())
    checks = yaml.safe_load((default_render / ".github/workflows/ci.yml").read_text())
    (checkout,) = {step["uses"] for step in checks["jobs"]["checks"]["steps"] if "uses" in step}
    assert workflow["permissions"] == {}
    assert workflow["concurrency"]
    assert {name: job["permissions"] for name, job in workflow["jobs"].items()} == {
        "prepare": {"contents": "read"},
        "try": {"contents": "read"},
        "propose": {"contents": "write", "pull-requests": "write"},
    }
    for job in workflow["jobs"].values():
        assert job["timeout-minutes"] <= 20
        for step in job["steps"]:
            assert "${{" not in step.get("run", "")
            assert "--trust" not in step.get("run", "")
            if "uses" in step:
                assert re.search(r"^actions/[a-z-]+@[0-9a-f]{40}$", step["uses"])
            if "checkout" in step.get("uses", ""):
                assert step["uses"] == checkout
                assert step["with"]["persist-credentials"] is False
    # The new release's own code runs where there is no token, after the patch has been made.
    jobs = {name: str(job) for name, job in workflow["jobs"].items()}
    assert {name for name in jobs if "TOKEN" in jobs[name]} == {"propose"}
    assert {name for name in jobs if "uv run" in jobs[name]} == {"try"}
    assert {name for name in jobs if "upload-artifact" in jobs[name]} == {"prepare"}


def test_the_job_with_the_token_handles_a_patch_alone(default_render: Path) -> None:
    workflow = yaml.safe_load((default_render / ".github/workflows/update.yml").read_text())
    lines = "\n".join(step.get("run", "") for step in workflow["jobs"]["propose"]["steps"])
    lines = re.sub(r"\s#.*", "", lines)
    for tool in ("uv ", "uvx", "copier", "pip", "git add"):
        assert tool not in lines
    assert re.findall(r"check_update\.py\" ([a-z-]+)", lines) == ["propose"]
    assert 'cp gatehouse/*.py "$RUNNER_TEMP"\npython3 "$RUNNER_TEMP' in lines


def test_renovate_takes_the_template_alone_and_trusts_nothing(default_render: Path) -> None:
    settings = json.loads((default_render / ".github/renovate.json").read_text())
    assert settings["enabledManagers"] == ["copier"]
    assert settings["ignoreScripts"] is True


def test_neither_is_there_without_github(plain_template: Path, tmp_path: Path) -> None:
    folder = render(plain_template, tmp_path, CHOICES["sqlite-none-none"])
    assert not (folder / ".github").exists()


@pytest.mark.slow
def test_a_release_that_waits_becomes_a_pull_request(runner: Runner) -> None:
    assert runner.run() == ""
    assert runner.proposed() == f"Security: update Gatehouse from 0.1.0 to {NEXT}"
    assert git(runner.origin, "show", f"{BRANCH}:{EDITED}").endswith("# A fix.\n")
    calls = runner.calls.read_text()
    assert "uv run pytest\n" in calls
    assert f"gh pr create --draft --head {BRANCH} --title Security: update" in calls
    assert f"gh pr ready {BRANCH}\n" in calls
    assert "The tests passed." in runner.body.read_text()
    assert "UPGRADING.md" in runner.body.read_text()
    assert runner.run() == ""  # a week later
    assert "gh pr edit 7" in runner.calls.read_text()
    assert "gh pr create" not in runner.calls.read_text()
    assert git(runner.origin, "rev-parse", f"{BRANCH}~") == git(runner.origin, "rev-parse", "main")
    git(runner.origin, "merge", "--quiet", BRANCH)
    assert runner.run() == ""
    assert runner.calls.read_text() == ""


@pytest.mark.slow
def test_a_hostile_release_ends_red_before_the_token(runner: Runner, tmp_path: Path) -> None:
    template = tmp_path / "template"
    replace(template / "copier.yml", "  - .git\n", "")
    hook = template / "template/{{ '.git' }}/hooks/pre-commit"
    hook.parent.mkdir(parents=True)
    hook.write_text(f"#!/bin/sh\ntouch '{tmp_path}/ran'\n")
    hook.chmod(0o755)
    commit_all(template, "99.2.0")
    assert runner.run() == "prepare"
    assert "REFUSED" in runner.said
    assert runner.calls.read_text() == ""
    assert not (tmp_path / "ran").exists()
    assert git(runner.origin, "branch", "--list", BRANCH) == ""


@pytest.mark.slow
def test_a_release_that_was_proposed_and_is_gone_ends_red(runner: Runner, tmp_path: Path) -> None:
    assert runner.run() == ""
    git(tmp_path / "template", "tag", "-d", NEXT)
    assert runner.run() == "prepare"
    assert f"no longer has the release {NEXT}" in runner.said


@pytest.mark.slow
def test_what_the_tests_of_a_release_do_to_the_tree_goes_nowhere(runner: Runner) -> None:
    uv = runner.folder / "bin/uv"
    uv.write_text(
        uv.read_text() + 'if test "$1" = run; then echo x >> gatehouse/manifest.sha256; fi'
    )
    assert runner.run() == ""
    assert not git(runner.origin, "show", f"{BRANCH}:gatehouse/manifest.sha256").endswith("x\n")


@pytest.mark.slow
def test_a_renewed_lock_comes_in_the_patch(runner: Runner) -> None:
    (runner.origin / "uv.lock").write_text("old\n")
    commit_all(runner.origin)
    uv = runner.folder / "bin/uv"
    uv.write_text(uv.read_text() + 'if test "$1" = lock; then echo new > uv.lock; fi')
    assert runner.run() == ""
    assert git(runner.origin, "show", f"{BRANCH}:uv.lock") == "new\n"


@pytest.mark.slow
def test_a_conflict_is_a_draft_and_ends_red(runner: Runner) -> None:
    edited = runner.origin / EDITED
    edited.write_text(edited.read_text() + "# Mine.\n")
    commit_all(runner.origin)
    assert runner.run() == "propose"
    assert "::error::The pull request says what is left to do" in runner.said
    calls = runner.calls.read_text()
    assert "uv run" not in calls
    assert "gh pr create --draft" in calls
    assert f"gh pr ready --undo {BRANCH}" in calls
    assert f"- `{EDITED}`" in runner.body.read_text()
    assert "<<<<<<< before updating" in git(runner.origin, "show", f"{BRANCH}:{EDITED}")


@pytest.mark.slow
def test_failed_tests_are_a_draft_and_end_red(runner: Runner) -> None:
    (runner.origin / "tests-fail").touch()
    commit_all(runner.origin)
    assert runner.run() == "propose"
    assert "The tests failed." in runner.body.read_text()


@pytest.mark.slow
def test_a_branch_with_commits_of_the_owner_is_left_alone(runner: Runner) -> None:
    runner.run()
    git(runner.origin, "checkout", "--quiet", BRANCH)
    commit_all(runner.origin)
    mine = git(runner.origin, "rev-parse", BRANCH)
    git(runner.origin, "checkout", "--quiet", "main")
    assert runner.run() == "propose"
    assert "It waits until pull request 7, which has commits of yours" in runner.said
    assert git(runner.origin, "rev-parse", BRANCH) == mine
    runner.open.write_text("")  # closed without merging
    assert runner.run() == ""
    assert git(runner.origin, "rev-parse", BRANCH) != mine


@pytest.mark.slow
@pytest.mark.parametrize("token", ["", "strong"])
def test_a_changed_workflow_goes_in_only_by_a_token_that_may(
    next_version: Path, tmp_path: Path, token: str
) -> None:
    folder = tmp_path / "template"
    git(next_version, "clone", "--quiet", str(next_version), str(folder))
    runner = Runner(tmp_path, folder)
    assert runner.run(token=token) == ("" if token else "propose")
    changed = git(runner.origin, "diff", "--name-only", "main", BRANCH).splitlines()
    assert (".github/workflows/update.yml" in changed) == bool(token)
    assert ("+# Changed." in runner.body.read_text()) == (not token)


@pytest.mark.slow
def test_only_a_signed_release_is_taken_where_signers_are_named(
    runner: Runner, tmp_path: Path
) -> None:
    (runner.origin / ".github/template_signers").write_text("")
    commit_all(runner.origin)
    assert runner.run() == "prepare"
    assert "NOT signed" in runner.said
    assert runner.calls.read_text() == ""
    template = tmp_path / "template"
    key = tmp_path / "key"
    subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", str(key)], check=True)
    kind, public, *_ = key.with_suffix(".pub").read_text().split()
    (runner.origin / ".github/template_signers").write_text(f"a@example.com {kind} {public}\n")
    commit_all(runner.origin)
    signing = ["-c", "gpg.format=ssh", "-c", f"user.signingkey={key}"]
    git(template, *signing, "tag", "-f", "-s", NEXT, "-m", "x", f"{NEXT}^{{commit}}")
    assert runner.run() == ""
    assert NEXT in runner.proposed()


def released(path: str) -> str:
    """A file of the newest recorded release."""
    commits = tomllib.loads((REPOSITORY / "releases.toml").read_text())
    return git(REPOSITORY, "show", f"{list(commits.values())[-1]}:{path}")


@pytest.mark.slow
def test_the_workflow_of_the_last_release_works_with_the_scripts_of_this_one(
    runner: Runner,
) -> None:
    """As where GitHub's own token may not push the changed workflow, or the owner keeps theirs."""
    path = "template/{% if with_github %}.github{% endif %}/workflows/update.yml"
    runner.workflow = yaml.safe_load(released(path))
    assert runner.run() == ""
    assert runner.proposed() == f"Security: update Gatehouse from 0.1.0 to {NEXT}"
    assert f"gh pr ready {BRANCH}\n" in runner.calls.read_text()


@pytest.mark.slow
def test_this_workflow_with_scripts_of_an_older_release_ends_red(runner: Runner) -> None:
    """As where an owner has taken the workflow alone, or owns the script."""
    core = runner.origin / "gatehouse"
    for name in ("check_update", "carry", "safe_render", "template_releases"):
        (core / f"{name}.py").write_text(released(f"template/gatehouse/{name}.py"))
    (core / "propose.py").unlink()
    commit_all(runner.origin)
    assert runner.run() == "prepare"
    assert "invalid choice: 'prepare'" in runner.said
    assert runner.calls.read_text() == ""
