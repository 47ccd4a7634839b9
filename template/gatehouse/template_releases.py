"""The template's releases: the newest, those that fix holes, and who signed one.

Standard library and git alone; `check_update.py` beside it is the command.
"""

import os
import re
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

ANSWERS = ".copier-answers.yml"
NETWORK = 10  # seconds that the template's repository has for an answer
QUIET = {"GIT_TERMINAL_PROMPT": "0", "GIT_SSH_COMMAND": "ssh -oBatchMode=yes", "LC_ALL": "C"}
# Signatures by SSH keys alone: what lies in a keyring for other purposes says nothing here.
SSH_ONLY = ("gpg.openpgp.program=false", "gpg.x509.program=false", "gpg.minTrustLevel=fully")


@dataclass(frozen=True, slots=True)
class Waiting:
    """What there is to take, and which of the releases up to it fix security holes."""

    waits: bool
    current: str
    tag: str
    commit: str
    security: list[str]
    source: str


class Trouble(Exception):
    """Why something could not be found out; shown without a traceback."""


def git(*arguments: str, wait: float = 60) -> str:
    tool = shutil.which("git")
    if not tool:
        raise Trouble("git is not installed")
    command, variables = [tool, *arguments], {**QUIET, **os.environ}
    try:
        done = subprocess.run(command, env=variables, capture_output=True, timeout=wait)  # noqa: S603
    except subprocess.TimeoutExpired:
        raise Trouble(f"git gave no answer within {wait:g} seconds") from None
    if done.returncode:
        # Git repeats what the other side says, and an address with its password.
        said = "".join(filter(_is_plain, done.stderr.decode(errors="replace").strip()))
        said = re.sub(r"//[^/\s]*@", "//", said)
        raise Trouble(said or f"git ended with {done.returncode}")
    return done.stdout.decode(errors="surrogateescape")


def _is_plain(character: str) -> bool:
    return character.isprintable() or character == "\n"


def stored(answers: str, key: str) -> str:
    """A value of the answers file, which Copier writes one a line."""
    found = re.search(rf"^{key}: *(.+?) *$", answers, re.MULTILINE)
    if found and found[1].isprintable():
        return found[1].strip("'\"").replace("''", "'")
    raise Trouble(f"{ANSWERS} does not say {key}")


def number(version: str) -> tuple[int, ...]:
    """For comparing. A release (1.2.0, v1.2.0) has four numbers, what is no version none.

    As in PEP 440, by which Copier sorts: a pre-release is before its release, and commits after
    a tag (1.2.0-5-gabc1234) are not.
    """
    found = re.match(r"v?(\d+(?:\.\d+)+)", version, re.ASCII)
    if not found:
        return ()
    parts = ([int(part) for part in found[1].split(".")] + [0, 0])[:3]
    rest = version[found.end() :]
    return (*parts, 0 if not rest or re.fullmatch(r"-\d+-g[0-9a-f]+", rest) else -1)


def address(source: str) -> str:
    """What git calls the template's place; Copier has short names."""
    short = {"gh:": "https://github.com/", "gl:": "https://gitlab.com/"}
    if (path := Path(source).expanduser()).exists():
        return str(path.resolve())
    if source[:3] in short:
        return short[source[:3]] + source[3:].lstrip("/").removesuffix(".git") + ".git"
    return source.removeprefix("git+")


def newest(source: str) -> tuple[str, str]:
    """The tag that `copier update` would take, and its commit. Two empty texts if there is none."""
    lines = git("ls-remote", "--tags", "--", address(source), wait=NETWORK).splitlines()
    commits: dict[str, str] = {}
    for line in lines:  # an annotated tag comes twice, the second time with its commit
        commit, _, name = line.partition("\t")
        commits[name.removeprefix("refs/tags/").removesuffix("^{}")] = commit
    tags = [tag for tag in commits if re.fullmatch(r"v?\d+(\.\d+){1,2}", tag, re.ASCII)]
    tag = max(tags, key=number, default="")
    return tag, commits.get(tag, "")


def fetch(source: str, tag: str, folder: str) -> str:
    """That tag alone, into a new repository there."""
    git("init", "--quiet", "--bare", folder)
    name = f"refs/tags/{tag}"
    where = ("-C", folder, "fetch", "--quiet", "--depth=1", "--no-tags", "--")
    git(*where, address(source), f"{name}:{name}", wait=3 * NETWORK)
    return name


def security_fixes(source: str, current: str, tag: str) -> list[str]:
    """The releases after `current`, up to `tag`, whose part of CHANGELOG.md has "### Security"."""
    with TemporaryDirectory() as folder:
        name = fetch(source, tag, folder)
        changes = git("-C", folder, "show", f"{name}:CHANGELOG.md")
    parts = re.split(r"^## +\[?v?([\d.]+)\]?", changes, flags=re.MULTILINE)[1:]
    return [
        version
        for version, text in zip(parts[::2], parts[1::2], strict=True)
        if number(current) < number(version) <= number(tag)
        and re.search(r"^### +Security\b", text, re.MULTILINE)
    ]


def waiting() -> Waiting:
    """Ask the template's repository about the service in the working folder."""
    answers = Path(ANSWERS).read_text("utf-8")
    source, current = stored(answers, "_src_path"), stored(answers, "_commit")
    tag, commit = newest(source)
    waits = number(tag) > number(current)
    fixes = security_fixes(source, current, tag) if waits else []
    return Waiting(waits, current, tag, commit, fixes, source)


def verify(source: str, tag: str, signers: Path) -> int:
    """Print the commit of a tag that one of the signers has signed, under that name."""
    if not signers.is_file():
        raise Trouble(f"there is no file {signers}")
    trusted = [f"gpg.ssh.allowedSignersFile={signers.resolve()}", *SSH_ONLY]
    options = [part for one in trusted for part in ("-c", one)]
    with TemporaryDirectory() as folder:
        name = fetch(source, tag, folder)
        try:
            git(*options, "-C", folder, "verify-tag", name)
        except Trouble as trouble:
            raise Trouble(f"{tag} is NOT signed by one of {signers}: {trouble}") from None
        head = git("-C", folder, "cat-file", "tag", name).partition("\n\n")[0].splitlines()
        # A good signature of another release can be put under any name.
        if f"tag {tag}" not in head or "type commit" not in head:
            raise Trouble(f"{tag} is NOT what was signed: the signature is of {head[2:3]}")
        commit = git("-C", folder, "rev-parse", f"{name}^{{commit}}").strip()
    print(f"Good signature. To take exactly this: --vcs-ref={commit}", file=sys.stderr)
    print(commit)
    return 0
