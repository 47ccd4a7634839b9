"""The template's releases: the newest, those that fix holes, and who signed one.

Standard library and git alone; `check_update.py` beside it is the command.
"""

import os
import re
import shutil
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

ANSWERS = ".copier-answers.yml"
NETWORK = 10  # seconds that the template's repository has for an answer
QUIET = {"GIT_TERMINAL_PROMPT": "0", "GIT_SSH_COMMAND": "ssh -oBatchMode=yes", "LC_ALL": "C"}
NONE: Mapping[str, str] = {}
# No hook, no monitor of the file system, no attributes beside the tree's own, no foreign transport.
OFF = (
    *(f"core.hooksPath={os.devnull}", "core.fsmonitor=false", "core.pager=cat"),
    *(f"core.attributesFile={os.devnull}", "protocol.ext.allow=never", "init.templateDir="),
)
PROPOSED = "refs/remotes/origin/gatehouse-update"  # the branch of the weekly workflow
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


def run_git(
    *arguments: str, wait: float = 60, variables: Mapping[str, str] = NONE, said: bytes = b""
) -> subprocess.CompletedProcess[bytes]:
    """Git, without what a release or a tree could make it run."""
    tool = shutil.which("git")
    if not tool:
        raise Trouble("git is not installed")
    command = [tool, *(part for one in OFF for part in ("-c", one)), *arguments]
    given = {**QUIET, **os.environ, **variables}
    try:
        return subprocess.run(  # noqa: S603
            command, env=given, capture_output=True, timeout=wait, input=said
        )
    except subprocess.TimeoutExpired:
        raise Trouble(f"git gave no answer within {wait:g} seconds") from None


def git(
    *arguments: str, wait: float = 60, variables: Mapping[str, str] = NONE, said: bytes = b""
) -> str:
    """What git prints. Bytes that are no UTF-8 come as surrogates, as in names of files."""
    done = run_git(*arguments, wait=wait, variables=variables, said=said)
    if done.returncode:
        # Git repeats what the other side says, and an address with its password.
        why = "".join(filter(_is_plain, done.stderr.decode(errors="replace").strip()))
        why = re.sub(r"//[^/\s]*@", "//", why)
        raise Trouble(why or f"git ended with {done.returncode}")
    return done.stdout.decode(errors="surrogateescape")


def _is_plain(character: str) -> bool:
    return character.isprintable() or character == "\n"


def stored(answers: str, key: str) -> str:
    """A value of the answers file, which Copier writes one a line.

    There is no parser of YAML here, so what YAML could read in another way than this is refused:
    a name twice, one in quotes, a line after a value that goes on with it.
    """
    found: dict[str, str] = {}
    name = ""
    for line in answers.splitlines():  # also at ends of lines that are some to YAML alone
        if not line.strip() or line.startswith("#"):
            continue
        plain = re.match(r"(\w+):(?: +|$)", line, re.ASCII)
        if plain and plain[1] not in found:
            name = plain[1]
            found[name] = line[plain.end() :].strip()
        elif plain or name in ("", key) or line[0] not in " \t-":
            raise Trouble(f"{ANSWERS} can be read in two ways: it is not as Copier writes it")
    if (value := found.get(key, "")) and value.isprintable():
        return value.strip("'\"").replace("''", "'")
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


def tags(source: str) -> dict[str, str]:
    """Every tag of the template, and its commit."""
    lines = git("ls-remote", "--tags", "--", address(source), wait=NETWORK).splitlines()
    commits: dict[str, str] = {}
    for line in lines:  # an annotated tag comes twice, the second time with its commit
        commit, _, name = line.partition("\t")
        commits[name.removeprefix("refs/tags/").removesuffix("^{}")] = commit
    return commits


def newest(source: str, known: Mapping[str, str] = NONE) -> tuple[str, str]:
    """The tag that `copier update` would take, and its commit. Two empty texts if there is none."""
    commits = known or tags(source)
    releases = [tag for tag in commits if re.fullmatch(r"v?\d+(\.\d+){1,2}", tag, re.ASCII)]
    tag = max(releases, key=number, default="")
    return tag, commits.get(tag, "")


def proposed() -> str:
    """The release on the weekly workflow's branch, if this clone knows that branch."""
    try:
        return stored(git("show", f"{PROPOSED}:./{ANSWERS}"), "_commit")
    except Trouble:
        return ""


def missing(known: Mapping[str, str], *seen: str) -> str:
    """A release that was there once and is gone: who hides a fix keeps services without it."""
    for version in seen:
        release = re.sub(r"-\d+-g[0-9a-f]+\Z", "", version)
        if number(release) and release not in known:
            return release
    return ""


def clone(source: str, folder: Path) -> None:
    """All of the template's history, into a new repository there, with no file checked out."""
    git("clone", "--quiet", "--bare", "--", address(source), str(folder), wait=30 * NETWORK)


def resolve(bare: Path, reference: str | None) -> str:
    """The commit that Copier would take for a tag, branch or commit; the newest release's."""
    names = [reference] if reference else [newest(str(bare))[0] or "HEAD"]
    for name in names:
        asked = f"{name}^{{commit}}\n".encode()
        found = git("-C", str(bare), "cat-file", "--batch-check=%(objectname)", said=asked).strip()
        if re.fullmatch(r"[0-9a-f]{40,64}", found):  # else it repeats the name, and "missing"
            return found
    raise Trouble(f"the template has no release {names[0]}")


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
    known = tags(source)
    if gone := missing(known, current, proposed()):
        raise Trouble(
            f"the template's repository no longer has the release {gone}, which was there before: "
            "a newer one, and a fix, may be held back. Ask its maintainers."
        )
    tag, commit = newest(source, known)
    waits = number(tag) > number(current)
    fixes = security_fixes(source, current, tag) if waits else []
    return Waiting(waits, current, tag, commit, fixes, source)


def verify(source: str, tag: str, signers: Path) -> int:
    """Print the commit of a signed tag."""
    print(signed(source, tag, signers))
    return 0


def signed(source: str, tag: str, signers: Path) -> str:
    """The commit of a tag that one of the signers has signed, under that name."""
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
    return commit
