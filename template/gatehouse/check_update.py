"""Looks after updates of this service: whether one waits, fixes a hole, is signed, went in cleanly.

It needs Python and git alone, so it runs before anything is installed and while a core file holds
conflict markers. Run it in the service's folder. Exit codes: 0 well, 1 it could not be done,
2 bad usage, 3 there is something left to do by hand.
"""

import argparse
import json
import re
import shutil
import subprocess
import sys
from dataclasses import asdict
from pathlib import Path
from urllib.parse import quote

import template_releases
from template_releases import ANSWERS, Trouble, git, security_fixes, stored

OWNED = Path("gatehouse/owned.txt")  # the owner's: core files that updates leave alone
WORKFLOWS = ".github/workflows"
COPIER = "copier>=9.19"


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


def owned() -> list[str]:
    lines = OWNED.read_text("utf-8").splitlines() if OWNED.is_file() else []
    return [line.strip().strip("/") for line in lines if line.strip() and line[0] != "#"]


def owed() -> list[str]:
    """The owned files that the release changed: their hash in the manifest is another one."""

    def names(manifest: str) -> set[str]:
        return {line for line in manifest.splitlines() if line}

    path = Path("gatehouse/manifest.sha256")
    try:
        before = names(git("show", f"HEAD:./{path.as_posix()}"))
        now = names(path.read_text("utf-8"))
    except (Trouble, OSError):
        return owned()
    changed = {"gatehouse/" + line.partition("  ")[2] for line in before ^ now}
    return [name for name in owned() if name in changed]


def update(reference: str | None) -> int:
    own = shutil.which("copier")
    command = [own] if own else [shutil.which("uvx") or "uvx", "--from", COPIER, "copier"]
    command += ["update", "--defaults", *(f"--exclude=/{name}" for name in owned())]
    command += [f"--vcs-ref={reference}"] if reference else []
    try:
        if subprocess.run(command).returncode:  # noqa: S603
            return 1
    except FileNotFoundError:
        raise Trouble("neither copier nor uvx is installed") from None
    for name in owed():
        print(f"This release changes {name}, which is yours: bring the change over by hand.")
    return judge()


def judge() -> int:
    found = conflicts()
    for name in found:
        print(f"Conflict: {name}")
    return 3 if found else 0


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
    change = git("diff", "--cached", "HEAD", "--", WORKFLOWS)
    if change:
        git("restore", "--source=HEAD", "--staged", "--worktree", "--", WORKFLOWS)
    return change


def pull_request(tests: str, *, withhold_workflows: bool) -> int:
    """Print a title and a body for what `copier update` has changed here, before a commit."""
    now, before = Path(ANSWERS).read_text("utf-8"), git("show", f"HEAD:./{ANSWERS}")
    source, tag, old = stored(now, "_src_path"), stored(now, "_commit"), stored(before, "_commit")
    fixes, left, owing = security_fixes(source, old, tag), conflicts(), owed()
    change = withhold() if withhold_workflows else ""
    ran = f"The tests {tests}." if not left else "The tests were not run, because of conflicts."
    print(f"{'Security: update' if fixes else 'Update'} Gatehouse from {old} to {tag}\n")
    if fixes:
        print(f"**This fixes security holes** (releases {', '.join(fixes)}). Take it soon.\n")
    print(f"What is new: {page(source, tag, 'CHANGELOG.md')}. What is yours to do, by version, and")
    print(f"how to update by hand: {page(source, tag, 'UPGRADING.md')}.\n\n{ran}")
    if left:
        print("\n## Conflicts\n\nDo not merge before these are settled on this branch:\n")
        print("\n".join(f"- `{name}`" for name in left))
        left_mark, right_mark = "<" * 7, ">" * 7  # lest this file seem to hold a conflict
        print(f"\nAfter `{left_mark}` stands your text, before `{right_mark}` stands ours.")
        print("In a core file (`gatehouse/`) take ours first; put your edit back if it is needed.")
    if owing:
        print("\n## Yours\n\nThe release changes these; bring the change over by hand:\n")
        print("\n".join(f"- `{name}`" for name in owing))
    if change:
        fence = "~" * 7
        print("\n## Workflows\n\nThis branch lacks the change below: GitHub lets no workflow push")
        print("it. Save it as `a.patch` on this branch, run `git apply a.patch`, commit, push. Or")
        print("run the workflow again with a secret `UPDATE_TOKEN` (see `update.yml`).\n")
        print(f"{fence}diff\n{change}{fence}")
    return 3 if left or change or tests != "passed" else 0


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    commands = parser.add_subparsers(dest="command", metavar="COMMAND", required=True)
    wait = commands.add_parser("waiting", help="whether a newer release waits; 3 if so")
    wait.add_argument("--json", action="store_true", help="for a program; then always 0")
    up = commands.add_parser("update", help=f"`copier update` without the files of {OWNED}; judge")
    up.add_argument("--vcs-ref", metavar="REF", help="a tag or commit (the newest release)")
    commands.add_parser("judge", help="name the conflicts that an update has left; 3 if any")
    ask = commands.add_parser("pull-request", help="title and text for an update, not committed")
    ask.add_argument("--tests", choices=("passed", "failed"), required=True, help="how they went")
    ask.add_argument("--withhold-workflows", action="store_true", help="put them into the text")
    check = commands.add_parser("verify", help="that a release is signed; prints its commit")
    check.add_argument("source", metavar="URL-OR-PATH", help="the template's repository")
    check.add_argument("tag", metavar="TAG", help="the release")
    check.add_argument("--signers", type=Path, required=True, help="file of allowed signers")
    asked = parser.parse_args()
    try:
        match asked.command:
            case "waiting":
                return waiting(as_json=asked.json)
            case "update":
                return update(asked.vcs_ref)
            case "judge":
                return judge()
            case "pull-request":
                return pull_request(asked.tests, withhold_workflows=asked.withhold_workflows)
        return template_releases.verify(asked.source, asked.tag, asked.signers)
    except (Trouble, OSError, UnicodeError) as trouble:
        print(f"check_update: {trouble}", file=sys.stderr)
        return 1


if __name__ == "__main__":
    sys.exit(main())
