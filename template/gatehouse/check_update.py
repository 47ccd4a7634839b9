"""Looks after updates of this service: whether one waits, fixes a hole, is signed, went in cleanly.

It needs Python and git alone, so it runs before anything is installed and while a core file holds
conflict markers. Run it in the service's folder. Exit codes: 0 well, 1 it could not be done,
2 bad usage, 3 there is something left to do by hand.
"""

import argparse
import json
import re
import subprocess
import sys
from dataclasses import asdict
from pathlib import Path
from urllib.parse import quote

import carry
import propose
import safe_render
import template_releases
from carry import OWNED, entries
from template_releases import ANSWERS, Trouble, git, security_fixes, stored

WORKFLOWS = ".github/workflows"
SIGNERS = Path(".github/template_signers")
HERE = str(Path(__file__).resolve().parent)


def waiting(*, as_json: bool) -> int:
    found = template_releases.waiting()
    if as_json:
        print(json.dumps(asdict(found)))
        return 0
    if not found.waits:
        print(f"No newer release than {found.current} waits.")
        return 0
    fixes = ", ".join(found.security)
    print(f"{found.tag} waits; this service has {found.current}.")
    print(f"It fixes security holes (releases {fixes})." if fixes else "It fixes no security hole.")
    return 3


def conflicts() -> list[str]:
    """What an update left unsettled here. Copier exits with 0 in spite of it."""
    unmerged = {line.partition("\t")[2] for line in git("ls-files", "-u", "-z").split("\0")}
    rejected = set(git("ls-files", "-o", "-z", "--", "*.rej", ":!.venv").split("\0"))
    touched = {
        *git("diff", "--name-only", "--relative", "-z", "HEAD").split("\0"),
        *git("ls-files", "-o", "--exclude-standard", "-z").split("\0"),
    }
    files = [Path(name) for name in touched if name and Path(name).is_file()]
    marker = re.compile(rb"^(<{7}|>{7}) ", re.MULTILINE)
    marked = {path.as_posix() for path in files if marker.search(path.read_bytes())}
    return sorted((unmerged | rejected | marked) - {""})


def owed() -> list[str]:
    """The owned files that the release changed: their hash in the manifest is another one."""

    def names(manifest: str) -> set[str]:
        return {line for line in manifest.splitlines() if line}

    path = Path("gatehouse/manifest.sha256")
    try:
        before = names(git("show", f"HEAD:./{path.as_posix()}"))
        now = names(path.read_text("utf-8"))
    except (Trouble, OSError):
        return entries(OWNED)
    changed = {"gatehouse/" + line.partition("  ")[2] for line in before ^ now}
    return [name for name in entries(OWNED) if name in changed]


def update(reference: str | None) -> int:
    before, known = Path(ANSWERS).read_text("utf-8"), safe_render.untracked()
    commit = safe_render.check(stored(before, "_src_path"), reference, before)
    command = [*safe_render.copier(), "update", "--defaults"]
    command += [*safe_render.excludes(entries(OWNED)), f"--vcs-ref={commit}"]
    with safe_render.environment() as variables:
        if subprocess.run(command, env=variables).returncode:  # noqa: S603
            return 1
    safe_render.same_source(before, Path(ANSWERS).read_text("utf-8"))
    safe_render.refuse("What the update did", safe_render.changed(known=known))
    left = carry.carry()
    for name in owed():
        print(f"This release changes {name}, which is yours: bring the change over by hand.")
    return judge() or left


def judge() -> int:
    found = conflicts()
    for name in found:
        print(f"Conflict: {name}")
    return 3 if found else 0


def entries_at_head() -> list[str]:
    """What owned.txt named before the update."""
    try:
        lines = git("show", f"HEAD:./{OWNED.as_posix()}").splitlines()
    except Trouble:
        return []
    return [line.strip().strip("/") for line in lines if line.strip() and line[0] != "#"]


def page(source: str, tag: str, name: str) -> str:
    """A link to a file of the template at a release, where it lies on a host that is known."""
    place = re.sub(r"//[^/]*@", "//", template_releases.address(source)).removesuffix(".git")
    place = re.sub(r"^(?:ssh://)?git@(github\.com|gitlab\.com)[:/]", r"https://\1/", place)
    if not re.match(r"https://(github|gitlab)\.com/", place):
        return f"{name} of the template"
    blob = "-/blob" if "//gitlab" in place else "blob"
    return f"[{name}]({place}/{blob}/{quote(tag)}/{name})"


def withhold() -> str:
    """Take changed workflows out of the tree again: GitHub's own token may not push them."""
    if not Path(WORKFLOWS).is_dir():
        return ""
    git("add", "--all", "--", WORKFLOWS)
    options = ("--cached", "--no-ext-diff", "--no-textconv", "--full-index")
    change = git("diff", *options, "HEAD", "--", WORKFLOWS)
    if change:
        git("restore", "--source=HEAD", "--staged", "--worktree", "--", WORKFLOWS)
    return change


def fence(text: str) -> str:
    """One that no line of the text can close, as it lies there between two of these."""
    return "~" * max([7, *(len(run) + 1 for run in re.findall("~+", text))])


def code(name: str) -> str:
    """A path as code in Markdown, whatever it holds."""
    plain = "".join(letter if letter.isprintable() else "?" for letter in name)
    return f"`{plain.replace('`', '?')}`"


def pull_request(tests: str, withhold_workflows: bool) -> tuple[str, str, int]:
    """Title, text and exit code for what `copier update` has changed here, before a commit."""
    now, before = Path(ANSWERS).read_text("utf-8"), git("show", f"HEAD:./{ANSWERS}")
    safe_render.same_source(before, now)
    source, tag, old = stored(now, "_src_path"), stored(now, "_commit"), stored(before, "_commit")
    fixes, left, owing = security_fixes(source, old, tag), conflicts(), owed()
    gone = sorted(set(entries_at_head()) - set(entries(OWNED)))
    change = withhold() if withhold_workflows else ""
    ran = f"The tests {tests}." if not left else "The tests were not run, because of conflicts."
    title = f"{'Security: update' if fixes else 'Update'} Gatehouse from {old} to {tag}"
    lines: list[str] = []
    say = lines.append
    if fixes:
        say(f"**This fixes security holes** (releases {', '.join(fixes)}). Take it soon.\n")
    say(f"What is new: {page(source, tag, 'CHANGELOG.md')}. What is yours to do, by version, and")
    say(f"how to update by hand: {page(source, tag, 'UPGRADING.md')}.\n\n{ran}")
    if left:
        say("\n## Conflicts\n\nDo not merge before these are settled on this branch:\n")
        say("\n".join(f"- {code(name)}" for name in left))
        left_mark, right_mark = "<" * 7, ">" * 7  # lest this file seem to hold a conflict
        say(f"\nAfter `{left_mark}` stands your text, before `{right_mark}` stands ours.")
        say("In a core file (`gatehouse/`) take ours first; put your edit back if it is needed.")
    if owing:
        say("\n## Yours\n\nThe release changes these; bring the change over by hand:\n")
        say("\n".join(f"- {code(name)}" for name in owing))
    if gone:
        say(f"\n## Moved\n\nThese of {OWNED} have moved, and it names their new places: read")
        say("what the release changed in them:\n")
        say("\n".join(f"- {code(name)}" for name in gone))
    if change:
        border = fence(change)
        say("\n## Workflows\n\nThis branch lacks the change below: GitHub lets no workflow push")
        say("it. Save it as `a.patch` on this branch, run `git apply a.patch`, commit, push. Or")
        say("run the workflow again with a secret `UPDATE_TOKEN` (see `update.yml`).\n")
        say(f"{border}diff\n{change}{border}")
    status = 3 if left or gone or change or tests != "passed" else 0
    return title, "\n".join(lines), status


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    commands = parser.add_subparsers(dest="command", metavar="COMMAND", required=True)
    wait = commands.add_parser("waiting", help="whether a newer release waits; 3 if so")
    wait.add_argument("--json", action="store_true", help="for a program; then always 0")
    up = commands.add_parser("update", help="update, safely and without the files you own; judge")
    up.add_argument("--vcs-ref", metavar="REF", help="a tag or commit (the newest release)")
    commands.add_parser("judge", help="name the conflicts that an update has left; 3 if any")
    take = commands.add_parser("carry", help="take your edits along to where files have moved")
    take.add_argument("--drop", metavar="PATH", help="give up the edit of that core file instead")
    put = commands.add_parser("apply", help="an update's patch, if it changes only what it may")
    put.add_argument("patch", metavar="PATCH", type=Path)
    ask = commands.add_parser("pull-request", help="title and text for an update, not committed")
    ask.add_argument("--tests", choices=("passed", "failed"), required=True, help="how they went")
    ask.add_argument("--withhold-workflows", action="store_true", help="put them into the text")
    plan = commands.add_parser("prepare", help="for the workflow: a patch of what waits, unapplied")
    plan.add_argument("patch", metavar="PATCH", type=Path, help="the file to write")
    plan.add_argument("--signers", type=Path, default=SIGNERS, help=f"if it is there ({SIGNERS})")
    push = commands.add_parser("propose", help="for the workflow: push that patch, as a request")
    push.add_argument("patch", metavar="PATCH", type=Path, help="what prepare wrote")
    push.add_argument("--code", type=int, choices=(0, 3), required=True, help="what prepare gave")
    push.add_argument("--tests", choices=("passed", "failed"), required=True, help="how they went")
    push.add_argument("--withhold-workflows", action="store_true", help="put them into the text")
    check = commands.add_parser("verify", help="that a release is signed; prints its commit")
    check.add_argument("source", metavar="URL-OR-PATH", help="the template's repository")
    check.add_argument("tag", metavar="TAG", help="the release")
    check.add_argument("--signers", type=Path, required=True, help="file of allowed signers")
    asked = parser.parse_args()
    # An update writes files beside this one: none of them may pass for a module of Python's own.
    sys.path[:] = [path for path in sys.path if path and str(Path(path).resolve()) != HERE]
    try:
        match asked.command:
            case "waiting":
                return waiting(as_json=asked.json)
            case "update":
                return update(asked.vcs_ref)
            case "judge":
                return judge()
            case "carry":
                return carry.drop(asked.drop) if asked.drop else carry.carry()
            case "apply":
                return safe_render.apply(asked.patch)
            case "pull-request":
                title, text, status = pull_request(asked.tests, asked.withhold_workflows)
                print(f"{title}\n\n{text}")
                return status
            case "prepare":
                return propose.prepare(asked.patch, asked.signers, update)
            case "propose":
                safe_render.apply(asked.patch)
                title, text, status = pull_request(asked.tests, asked.withhold_workflows)
                return propose.propose(title, text, ready=not (status or asked.code))
        return template_releases.verify(asked.source, asked.tag, asked.signers)
    except (Trouble, OSError, UnicodeError) as trouble:
        print(f"check_update: {trouble}", file=sys.stderr)
        return 1


if __name__ == "__main__":
    sys.exit(main())
