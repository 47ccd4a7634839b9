"""One case: an old service, an owner's edit, an update, and the judgement."""

import shutil
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

from rendering import files_of, git, run_copier
from versions import order

from matrix.asking import run_tests
from matrix.history import ANSWERS, NEXT, RELEASES, History
from matrix.judging import conflicts_in, judge
from matrix.model import Edit, Outcome
from matrix.moves import OWNED

Way = tuple[str, ...]  # the version that the owner has, and those on the way to the next one


def ways_of(edit: Edit, turn: int = 0) -> list[Way]:
    """Straight from each release, and once step by step, from each but the newest in its turn."""
    versions = tuple(RELEASES)
    straight = [(version,) for version in versions]
    stepwise = [versions[number:] for number in range(len(versions) - 1)]
    can = [way for way in stepwise if applies(edit, way, "defaults")]
    one = can[turn % len(can) :][:1] if can else []
    return [way for way in straight if applies(edit, way, "defaults")] + one


def applies(edit: Edit, way: Sequence[str], answers: str) -> bool:
    """Whether an owner could have made the edit there, and each version on the way keeps it."""
    chosen = ANSWERS[answers]
    absent = {
        *(("Dockerfile", "compose.yaml", ".dockerignore") if chosen.get("containers") == "none"
          else ()),
        *((".github/workflows/ci.yml",) if chosen.get("ci") == "none" else ()),
    }  # fmt: skip
    known = order(way[0]) >= order(edit.since)
    kept = all(order(version) >= order(edit.kept_from) for version in way[1:])
    return known and kept and not absent.intersection(edit.needs)


def commit(service: Path) -> None:
    """Everything in the repository, which may begin above the service."""
    git(service, "add", "--all", ":/")
    git(service, "commit", "--quiet", "--allow-empty", "--message=test")


def update(service: Path, outcome: Outcome, version: str = "") -> None:
    """As the owner does: no trust, no version unless one on the way. Notes what is amiss."""
    reference = [f"--vcs-ref={version}"] if version else []
    owned = service / OWNED
    names = owned.read_text().split() if owned.is_file() else []
    left_out = [f"--exclude=/{name}" for name in names]
    done = run_copier("update", "--defaults", *reference, *left_out, cwd=service)
    if done.returncode:
        outcome.wrong.append(f"copier update: exit code {done.returncode}: {done.stderr[-800:]}")
    elif (service / "gatehouse/moved.txt").is_file():
        carry(service, outcome)
    outcome.conflicts += conflicts_in(service, outcome)


def carry(service: Path, outcome: Outcome) -> None:
    """Take edits along to where files have moved, as UPGRADING.md says; note what is told."""
    command = [sys.executable, "gatehouse/check_update.py", "carry"]
    done = subprocess.run(command, cwd=service, capture_output=True, text=True)
    if done.returncode not in (0, 3):
        outcome.wrong.append(f"carry: exit code {done.returncode}: {done.stderr[-800:]}")
    told = done.stdout.splitlines()
    outcome.reports += [line for line in told if not line.startswith(("Carried: ", "Conflict: "))]


def run_case(
    history: History, versions: Sequence[str], edit: Edit, answers: str, *, thorough: bool = True
) -> Outcome:
    """From the first version through the others to the next one. `answers` names a set."""
    outcome = Outcome(edit.name, edit.category, [*versions, NEXT], answers)
    base = history.base(versions[0], answers)
    package = ANSWERS[answers].get("package_name") or next((base / "src").iterdir()).name
    with tempfile.TemporaryDirectory(prefix="matrix-") as folder:
        service = Path(folder, "repository", "service")
        shutil.copytree(base, service, symlinks=True)
        edit.apply(service, package)
        commit(service)
        before = files_of(service)
        for version in (*versions[1:], ""):
            update(service, outcome, version)
            if outcome.conflicts or outcome.wrong:
                break  # from here on the owner resolves
            if version:
                commit(service)
        reached = version or NEXT
        fresh = files_of(history.base(reached, answers))
        judge(service, edit, outcome, before, files_of(base), fresh, reached)
        if thorough and not outcome.conflicts and not outcome.faults:
            check_the_services_own_tests(service, outcome)
            check_a_second_update(service, outcome)
    return outcome


def check_the_services_own_tests(service: Path, outcome: Outcome) -> None:
    """Red is a fault unless they were red before the update: some edits change what they test."""
    if not list(service.glob("tests/test_*.py")):
        return
    try:
        run_tests(service, "tests")
    except AssertionError as after:
        commit(service)
        git(service, "checkout", "--quiet", "HEAD~1")
        try:
            run_tests(service, "tests")
        except AssertionError:
            return
        finally:
            git(service, "checkout", "--quiet", "-")
        outcome.wrong.append(f"the service's own tests are red: {after}")


def check_a_second_update(service: Path, outcome: Outcome) -> None:
    commit(service)
    update(service, outcome)
    changed = git(service, "status", "--porcelain").splitlines()
    if changed:
        outcome.wrong.append(f"a second update changes {changed}")
