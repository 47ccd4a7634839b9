"""The judgement of a case. It compares bytes where nobody touched a file; else it asks."""

from collections import Counter
from pathlib import Path

import yaml
from rendering import files_of, git, owners

from matrix.asking import ask, ignores
from matrix.history import FIXED, FIXED_LINE, GREEN, IGNORED_BY_US, NEXT, NEXT_TOOL, PROBE
from matrix.model import Edit, Outcome
from matrix.moves import CAME_FROM, MOVED, OWNED

Files = dict[str, bytes]
FIX = MOVED.get(FIXED, FIXED)  # where the next version has it
ANSWERS_FILE = ".copier-answers.yml"
MIGRATIONS = "gatehouse/migrations/versions/"
MARKERS = {b"<<<<<<< before updating", b">>>>>>> after updating"}  # each alone in its line
# By its path: a conflict elsewhere may keep the package from being imported.
CHECK_FILES = """
import runpy
from pathlib import Path
changed_files = runpy.run_path("gatehouse/src/gatehouse/core_files.py")["changed_files"]
print("\\n".join(line for line in changed_files(Path("gatehouse")) if "missing" in line))
"""


def conflicts_in(service: Path, outcome: Outcome) -> list[str]:
    """Paths that git reports as unmerged. A marker or .rej that it does not report is wrong."""
    listed = git(service, "ls-files", "--unmerged", "-z").split("\0")
    found = sorted({line.partition("\t")[2] for line in listed if line})
    for path, content in files_of(service).items():
        if path.endswith(".rej"):
            outcome.wrong.append(f"{path} was left behind")
        if path not in found and MARKERS.intersection(map(bytes.rstrip, content.splitlines())):
            outcome.wrong.append(f"{path} has markers, and git does not know")
    return found


def judge(
    service: Path,
    edit: Edit,
    outcome: Outcome,
    before: Files,
    base: Files,
    fresh: Files,
    reached: str,
) -> None:
    """`before` the update, `base` before the edit, and a `fresh` service of the version reached."""
    after = files_of(service)
    judge_the_owners_files(outcome, before, base, after)
    judge_ours(outcome, before, base, after, fresh)
    judge_what_never_changes(outcome, before, base, after, reached)
    if outcome.conflicts:
        judge_the_edited_lines(outcome, before, base, after)
        has_fix = FIXED_LINE.encode() in after.get(FIX, b"")
        if reached == NEXT and FIX not in after:
            judge_what_is_gone(service, outcome)
        elif reached == NEXT and not has_fix and FIX not in outcome.conflicts:
            outcome.missed.append(f"the fix in {FIX}, with conflicts elsewhere")
        return
    try:
        edit.check(service)
    except Exception as error:
        outcome.lost.append(f"{edit.name}: {error}")
    judge_the_fix(service, outcome, after, fresh)
    judge_our_lines(service, outcome, before, after)


def judge_the_owners_files(outcome: Outcome, before: Files, base: Files, after: Files) -> None:
    """What is the owner's alone, by its folder or because the owner made it, is untouched."""
    names = owners(sorted({*before, *after}))
    for path, who in names.items():
        made = path in before and path not in base and path not in (ANSWERS_FILE, OWNED)
        if who != ["yours"] and not made:
            continue
        if path not in after:
            outcome.lost.append(f"{path} was deleted")
        elif path not in before:
            outcome.wrong.append(f"{path} came back, or was added to the owner's files")
        elif after[path] != before[path] and path not in outcome.conflicts:
            outcome.lost.append(f"{path} was changed")


def judge_ours(outcome: Outcome, before: Files, base: Files, after: Files, fresh: Files) -> None:
    """A core or merged file that the owner left alone is what a new service has."""
    names = owners(sorted({*base, *fresh}))
    touched = {path for path in {*base, *before} if before.get(path) != base.get(path)}
    for path, who in names.items():
        if who == ["yours"] or path == ANSWERS_FILE or {path, CAME_FROM.get(path)} & touched:
            continue
        if after.get(path) != fresh.get(path):
            state = "missing" if path not in after else "stale" if path in fresh else "left behind"
            outcome.missed.append(f"{path} is {state}")


def judge_what_never_changes(
    outcome: Outcome, before: Files, base: Files, after: Files, reached: str
) -> None:
    """The answers stay, whatever else is asked; a core migration that was released stays too."""
    old, new = (yaml.safe_load(files[ANSWERS_FILE]) for files in (before, after))
    for question, answer in old.items():
        if not question.startswith("_") and new.get(question) != answer:
            found = new.get(question)
            outcome.lost.append(f"the answer to {question}: {answer!r} became {found!r}")
    if new["_commit"] != reached:
        outcome.wrong.append(f"the answers file says {new['_commit']}")
    for path, content in base.items():
        if MIGRATIONS in path and before.get(path) == content != after.get(path):
            outcome.wrong.append(f"{path} was released, and is another one now")


def judge_the_edited_lines(outcome: Outcome, before: Files, base: Files, after: Files) -> None:
    """After a conflict: each line that the owner wrote is still there, between markers or not."""
    for path, content in before.items():
        if content == base.get(path):
            continue
        wanted = Counter(content.splitlines()) - Counter(base.get(path, b"").splitlines())
        if path == OWNED:  # whose paths `carry` brings up to date
            wanted = Counter(MOVED.get(line.decode(), line.decode()).encode() for line in wanted)
        there = after.get(path, after.get(MOVED.get(path, path), b""))
        absent = wanted - Counter(there.splitlines())
        if absent:
            outcome.lost.append(f"{path}: {next(iter(absent))!r}")
    for path in base.keys() - before.keys():
        if path in after and path not in outcome.conflicts:
            outcome.lost.append(f"{path} came back")
        elif MOVED.get(path) in after and not any(path in line for line in outcome.reports):
            outcome.lost.append(f"{path} came back at {MOVED[path]}, and nothing said so")


def judge_the_fix(service: Path, outcome: Outcome, after: Files, fresh: Files) -> None:
    """A core that is a new service's to the byte has been asked already, by `History.base`."""
    if FIX not in after:
        judge_what_is_gone(service, outcome)
    elif core_of(after) != core_of(fresh):
        try:
            found = ask(service, PROBE)
        except AssertionError as error:
            found = str(error)
        if found != GREEN:
            outcome.missed.append(f"the fix in {FIX}: the probe says {found}")


def core_of(files: Files) -> Files:
    return {path: content for path, content in files.items() if path.startswith("gatehouse/")}


def judge_our_lines(service: Path, outcome: Outcome, before: Files, after: Files) -> None:
    """What the version changes in merged files."""
    if ".gitignore" in before and not ignores(service, IGNORED_BY_US):
        outcome.missed.append("our line in .gitignore")
    for path in ("Dockerfile", ".github/workflows/ci.yml", ".github/workflows/update.yml"):
        if b"uv==" in before.get(path, b"") and NEXT_TOOL.encode() not in after[path]:
            outcome.missed.append(f"our version of uv in {path}")


def judge_what_is_gone(service: Path, outcome: Outcome) -> None:
    """Nobody can merge into a file that is gone; `doctor` and a generated test name it."""
    reports = ask(service, CHECK_FILES).splitlines()
    outcome.reports += [line for line in reports if FIX in line]
    if not outcome.reports:
        outcome.missed.append(f"the fix in {FIX}: the file is gone and nothing says so")
