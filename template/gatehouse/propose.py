"""The weekly workflow's two halves: a patch of the release that waits, and a pull request of it.

The first has no right to write and runs nothing of the release. The second has the token, and so
handles a patch alone: no Copier, no uv, no code of the release. Standard library, git and gh.
"""

import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from tempfile import TemporaryDirectory

import template_releases
from template_releases import Trouble, git, run_git

BRANCH = "gatehouse-update"
BOT = "github-actions[bot]"
ADDRESS = "41898282+github-actions[bot]@users.noreply.github.com"
SECRETS = ("GH_TOKEN", "GITHUB_TOKEN")
LONG = 300.0  # seconds for what talks to the repository's host


def prepare(patch: Path, signers: Path, update: Callable[[str], int]) -> int:
    """Write a patch of the release that waits, and tell the workflow `waits` and `code`.

    `code` is the update's exit code: 0, or 3 if something is left to do by hand. Where a file of
    signers is there, only a release that one of them has signed is taken.
    """
    found = template_releases.waiting()
    commit = found.commit
    if found.waits and signers.is_file():
        commit = template_releases.signed(found.source, found.tag, signers)
    code = 0
    if found.waits:
        code = update(commit)
        if code not in (0, 3):
            return code
        renew_lock()
        write_patch(patch)
    say(f"waits={str(found.waits).lower()}\ncode={code}", "GITHUB_OUTPUT")
    return 0


def write_patch(patch: Path) -> None:
    """All that differs from HEAD here."""
    git("add", "--all")
    options = ("--binary", "--full-index", "--no-renames", "--no-ext-diff", "--no-textconv")
    made = run_git("diff", "--cached", *options, "HEAD")
    if made.returncode:
        raise Trouble("git makes no patch of the update")
    patch.write_bytes(made.stdout)


def renew_lock() -> None:
    """Building a package would run its code, so none is. Conflicts in pyproject.toml fail here."""
    if not Path("uv.lock").is_file():
        return
    uv = shutil.which("uv")
    if not uv or subprocess.run([uv, "lock", "--no-build"]).returncode:  # noqa: S603
        print("::warning::uv.lock was not renewed", flush=True)


def propose(title: str, text: str, *, ready: bool) -> int:
    """Commit what is in the index on the branch, push it, and open or renew its pull request.

    3 if that stays a draft, because something is left to do. 1, and nothing is changed, where the
    branch has commits of somebody else while its pull request is open.
    """
    say(f"{title}\n\n{text}", "GITHUB_STEP_SUMMARY")
    gh("auth", "setup-git")
    listed = ("--head", BRANCH, "--state", "open", "--json", "number")
    number = gh("pr", "list", *listed, "--jq", ".[0].number // empty").strip()
    if number and others():
        print(
            f"::error::{title}. It waits until pull request {number}, which has commits of yours, "
            "is merged or closed."
        )
        return 1
    git("switch", "--quiet", "--force-create", BRANCH)
    who = ("-c", f"user.name={BOT}", "-c", f"user.email={ADDRESS}")
    # What the patch changed is in the index; nothing else is committed.
    git(*who, "commit", "--quiet", "--no-verify", "--message", title)
    git("push", "--quiet", "--force", "origin", f"HEAD:refs/heads/{BRANCH}", wait=LONG)
    with TemporaryDirectory() as folder:
        body = Path(folder, "message.md")
        body.write_text(text, "utf-8")
        told = ("--title", title, "--body-file", str(body))
        if number:
            gh("pr", "edit", number, *told)
        else:
            create = ("--head", BRANCH, *told)
            try:
                gh("pr", "create", "--draft", *create)
            except Trouble:  # where there are no drafts
                gh("pr", "create", *create)
    if ready:
        gh("pr", "ready", BRANCH)
        return 0
    try:
        gh("pr", "ready", "--undo", BRANCH)
    except Trouble as trouble:  # where there are no drafts
        print(f"It could not be made a draft: {trouble}", file=sys.stderr)
    print("::error::The pull request says what is left to do before it can be merged.")
    return 3


def others() -> bool:
    """Whether the proposed branch has commits that are not the workflow's."""
    git("fetch", "--quiet", "origin", BRANCH, wait=LONG)
    authors = git("log", "--format=%ae", "HEAD..FETCH_HEAD").splitlines()
    return any(author != ADDRESS for author in authors)


def gh(*arguments: str) -> str:
    """What GitHub's command prints. A refusal is a `Trouble`, without the token."""
    tool = shutil.which("gh")
    if not tool:
        raise Trouble("gh, GitHub's command, is not installed")
    try:
        done = subprocess.run(  # noqa: S603
            [tool, *arguments], capture_output=True, text=True, timeout=LONG
        )
    except subprocess.TimeoutExpired:
        raise Trouble(f"gh {arguments[0]} has not ended within {LONG:g} seconds") from None
    if done.returncode:
        why = done.stderr.strip() or f"it ended with {done.returncode}"
        raise Trouble(f"gh {' '.join(arguments[:2])}: {without_secrets(why)}")
    return done.stdout


def without_secrets(text: str) -> str:
    for name in SECRETS:
        if secret := os.environ.get(name):
            text = text.replace(secret, "***")
    return text


def say(text: str, variable: str) -> None:
    """To the file that GitHub names in a variable, which other steps or its pages read."""
    if name := os.environ.get(variable):
        with Path(name).open("a", encoding="utf-8") as file:
            file.write(f"{text}\n")
    else:
        print(text, flush=True)
