"""What a release may put into a service, and how Copier is run so that a hostile one runs nothing.

A tag is code: once merged, it runs. Until then none of it may, so an update is looked at first,
in a scratch folder where no git looks, and Copier is told to write nothing but what stands here.
Standard library and git alone.
"""

import os
import re
import shutil
import stat
import subprocess
from collections.abc import Iterable, Iterator, Mapping
from collections.abc import Set as AbstractSet
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory

from template_releases import ANSWERS, Trouble, clone, git, number, resolve, run_git, stored

# The newest that closes a hole: options in a release's name, deleting through a link. (9.19.0 has
# the same, and does not run with a Git older than 2.43.)
FLOOR = "9.19.1"

CORE = "gatehouse"
WORKFLOWS = tuple(f".github/workflows/{name}.yml" for name in ("ci", "dependencies", "update"))
AT_THE_ROOT = ("Dockerfile", "compose.yaml", ".dockerignore", ".gitignore", ".gitattributes")
MERGED = (*AT_THE_ROOT, ".github/renovate.json", *WORKFLOWS)
# Written by `copier copy` alone: an update never writes them, whatever its copier.yml says.
YOURS_FOLDERS = ("src", "migrations", "tests")
YOURS_FILES = ("pyproject.toml", "README.md", ".env.example")
# The owner's, although they lie in the core's folder.
NOTES = ("gatehouse/owned.txt", "gatehouse/dropped.txt")
# Python, uv or a shell would run or obey these where they lie, or no reader of a diff sees them.
STARTS = re.compile(
    r"\.|~|(sitecustomize|usercustomize)\b|(uv\.toml|uv\.lock|__pycache__|[^/]*\.(pth|py[cod]|so))\Z",
    re.IGNORECASE,
)
PLAIN = re.compile(r"[\w. {}+-]*[\w}+-]", re.ASCII)
GONE = "000000"  # git's mode of a file that is not there
# In a release's settings: what makes Copier read a file of the service, such as its `.env`, into
# what it renders; and tags and escapes, by which YAML could say that in other letters.
READS = re.compile(r"external_data|!(?!=)|\\[xuU\s]|\0")
ATTRIBUTES = ".gitattributes"
MARKS = (b"<" * 7 + b" ", b">" * 7 + b" ")  # of a conflict; for git, files of just that name
LINE_ENDS = re.compile(
    rb"[-!]?text|text=auto|eol=(lf|crlf)"
)  # the attributes that a release may set


def fault(path: str, *, update: bool = True) -> str:
    """Why a release may not hold a file of this path; nothing if it may."""
    first, *rest = path.split("/")
    for part in (first, *rest):
        if part in ("", ".", "..") or not PLAIN.fullmatch(part):
            return "its name is not a plain one"
    if path in (*MERGED, ANSWERS):
        return ""
    if path.lower() in NOTES:  # one file where the file system ignores case
        return "that file is the owner's"
    if not update and (path in YOURS_FILES or first in YOURS_FOLDERS):
        hidden = next((part for part in rest if STARTS.match(part)), "")
        return f"{hidden} may not lie there" if hidden else ""
    if first != CORE or not rest:
        return "a release has no such file"
    hidden = next((part for part in rest if STARTS.match(part)), "")
    return f"{hidden} may not lie in {CORE}" if hidden else ""


def mode_fault(mode: int) -> str:
    if stat.S_ISLNK(mode):
        return "it is a link"
    if not stat.S_ISREG(mode):
        return "it is no file"
    return "it is executable" if mode & 0o111 else ""


def excludes(own: Iterable[str] = ()) -> list[str]:
    """Options that make Copier write nothing but what a release may hold.

    The last pattern that matches decides. They come after those of the release's own copier.yml,
    and Copier matches them with the rendered path, so no name made by Jinja gets past them.
    """
    patterns = ["/*", f"!/{CORE}", f"!/{ANSWERS}", *(f"!/{name}" for name in AT_THE_ROOT)]
    patterns += ["!/.github", "/.github/*", "!/.github/renovate.json"]
    patterns += ["!/.github/workflows", "/.github/workflows/*", *(f"!/{one}" for one in WORKFLOWS)]
    patterns += [
        f"/{CORE}/**/.*",
        f"/{CORE}/.*",
        f"/{CORE}/**/__pycache__",
        f"/{CORE}/**/*.py[cod]",
    ]
    for name in (".git", ".venv", ".python-version"):
        any_case = "".join(f"[{c.lower()}{c.upper()}]" if c.isalpha() else c for c in name)
        patterns.append(any_case)
    return [f"--exclude={one}" for one in (*patterns, *(f"/{one}" for one in (*NOTES, *own)))]


@contextmanager
def environment() -> Iterator[dict[str, str]]:
    """Variables for Copier: its git runs no hook and no monitor, and no setting trusts a template.

    Filters that the owner has set up stay, for `git status` of their own files needs them; what a
    release may say in .gitattributes cannot name one (see `check`).
    """
    off = {"core.hooksPath": os.devnull, "core.fsmonitor": "false", "commit.gpgSign": "false"}
    off |= {"init.templateDir": "", "core.attributesFile": os.devnull, "core.pager": "cat"}
    off |= {"protocol.ext.allow": "never"}
    variables = {**os.environ, "GIT_TERMINAL_PROMPT": "0"}
    count = int(variables.get("GIT_CONFIG_COUNT") or 0)
    for place, (key, value) in enumerate(off.items(), count):
        variables |= {f"GIT_CONFIG_KEY_{place}": key, f"GIT_CONFIG_VALUE_{place}": value}
    variables["GIT_CONFIG_COUNT"] = str(count + len(off))
    with TemporaryDirectory() as folder:
        settings = Path(folder, "settings.yml")
        settings.write_text("{}\n", "utf-8")
        yield {**variables, "COPIER_SETTINGS_PATH": str(settings)}


def copier() -> list[str]:
    """Copier as a command: of the floor or newer, never just whichever is installed."""
    if own := shutil.which("copier"):
        done = subprocess.run([own, "--version"], capture_output=True, text=True)  # noqa: S603
        found = done.stdout.split()[-1:] or [""]
        if not done.returncode and number(found[0]) >= number(FLOOR):
            return [own]
    if uvx := shutil.which("uvx"):
        return [uvx, "--from", f"copier>={FLOOR}", "copier"]
    raise Trouble(f"Copier {FLOOR} or newer is needed, or uvx to fetch it; neither is installed")


def check(source: str, reference: str | None, answers: str) -> str:
    """Render a release where nothing of it can run, and refuse what none may hold; its commit."""
    what = reference or "The newest release"
    with TemporaryDirectory() as folder:
        names = ("git", "plain", "service", "empty")
        bare, plain, service, empty = (Path(folder, name) for name in names)
        clone(source, bare)
        commit = resolve(bare, reference)
        plain.mkdir()
        git(f"--git-dir={bare}", f"--work-tree={plain}", "checkout", "--quiet", commit, "--", ".")
        refuse(what, [found for path in sorted(plain.glob("copier.*")) if (found := reads(path))])
        data = Path(folder, "answers.yml")
        kept = re.sub(r"^[_#].*\n(?:[ \t]+.*\n)*", "", answers, flags=re.MULTILINE)
        data.write_text(kept or "{}\n", "utf-8")
        command = [*copier(), "copy", "--defaults", "--quiet"]
        command += [f"--data-file={data}", str(plain), str(service)]
        with environment() as variables:
            # Copier asks git about the folder that it writes to. A release that brings a
            # repository of its own is not to answer, so git sees an empty one of ours.
            git("init", "--quiet", "--bare", str(empty))
            variables["GIT_DIR"] = str(empty)
            done = subprocess.run(  # noqa: S603
                command, env=variables, stdin=subprocess.DEVNULL, capture_output=True, text=True
            )
        if done.returncode:
            last = "".join(done.stderr.splitlines()[-1:])
            why = "".join(letter for letter in last if letter.isprintable())
            raise Trouble(f"{what} is refused: Copier does not render it. {why}")
        refuse(what, faults(service))
    return commit


def reads(settings: Path) -> str:
    """What is wrong with a release's settings for Copier, if they could read an owner's file."""
    try:
        found = READS.search(settings.read_text("utf-8"))
    except (OSError, UnicodeDecodeError):
        return f"{settings.name!r}: it is no UTF-8 text"
    return f"{settings.name!r}: it holds {found[0]!r}" if found else ""


def faults(folder: Path) -> list[str]:
    """What a rendered release holds and may not."""
    found = []
    for parent, folders, names in os.walk(folder):
        links = [name for name in folders if Path(parent, name).is_symlink()]
        for name in (*names, *links):
            path = Path(parent, name)
            relative = path.relative_to(folder).as_posix()
            why = fault(relative, update=False) or mode_fault(path.lstat().st_mode)
            if not why and relative == ATTRIBUTES:
                why = attributes_fault(path.read_bytes())
            found += [f"{relative!r}: {why}"] if why else []
    return sorted(found)


def attributes_fault(text: bytes, before: bytes = b"") -> str:
    """Attributes can name programs that this machine has set up (filters, diffs and merges), and
    keep a change out of the diff that its owner reads. Lines of `before` were there already."""
    known = {line.strip() for line in before.split(b"\n")}
    for line in text.split(b"\n"):
        if line.strip() in known or line.strip(b" \t\r").startswith((b"#", *MARKS)):
            continue
        for asked in line.split()[1:]:
            if not LINE_ENDS.fullmatch(asked):
                return f"it asks for {asked.decode(errors='replace')!r}"
    return ""


def refuse(what: str, found: list[str]) -> None:
    if found:
        lines = "\n".join(f"  {one}" for one in found)
        raise Trouble(f"{what} is REFUSED. A release of this template never holds:\n{lines}")


def untracked() -> set[str]:
    """What git does not have where an update writes; also what it ignores, as a release may say."""
    places = (CORE, ".github", *AT_THE_ROOT)
    return set(filter(None, git("ls-files", "-o", "-z", "--", *places).split("\0")))


def changed(index: Path | None = None, known: AbstractSet[str] | None = None) -> list[str]:
    """What has been changed here against HEAD, or in that index, that no update may change.

    `known` is what was `untracked` before.
    """
    found = []
    options = ["--raw", "--no-renames", "--no-ext-diff", "--no-textconv", "-z", "--abbrev=40"]
    options += ["--cached"] if index else ["--relative"]
    aside = {"GIT_INDEX_FILE": str(index)} if index else {}
    parts = git("diff", *options, "HEAD", variables=aside).split("\0")
    for head, path in zip(parts[::2], parts[1::2], strict=False):
        before, after, *_ = head.lstrip(":").split(" ")
        why = "" if path in (*NOTES, "uv.lock") else fault(path)
        if not why and after not in (GONE, before):
            why = mode_fault(int(after, 8))
        found += [f"{path!r}: {why}"] if why else []
    if not index:
        seen = set(filter(None, git("ls-files", "-o", "--exclude-standard", "-z").split("\0")))
        for name in sorted(seen | (set() if known is None else untracked() - known)):
            why = fault(name.removesuffix(".rej")) or mode_fault(Path(name).lstat().st_mode)
            found += [f"{name!r}: {why}"] if why and name not in NOTES else []
    why = new_attributes_fault(aside)
    return found + ([f"{ATTRIBUTES!r}: {why}"] if why else [])


def new_attributes_fault(aside: Mapping[str, str]) -> str:
    """What is wrong with the attributes that HEAD lacks, in that index or, without one, here."""
    before = run_git("cat-file", "blob", f"HEAD:./{ATTRIBUTES}").stdout
    if aside:
        return attributes_fault(
            run_git("cat-file", "blob", f":./{ATTRIBUTES}", variables=aside).stdout, before
        )
    here = Path(ATTRIBUTES)
    return attributes_fault(here.read_bytes(), before) if here.is_file() else ""


def apply(patch: Path) -> int:
    """Apply an update's patch to the index and the tree, if it changes what updates may change."""
    if not patch.is_file() or not patch.read_bytes().strip():
        raise Trouble(f"there is no patch in {patch}")
    with TemporaryDirectory() as folder:
        index = Path(folder, "index")
        aside = {"GIT_INDEX_FILE": str(index)}
        git("read-tree", "HEAD", variables=aside)
        git("apply", "--cached", "--whitespace=nowarn", str(patch.resolve()), variables=aside)
        refuse("The patch", changed(index))
    git("apply", "--index", "--whitespace=nowarn", str(patch.resolve()))
    return 0


def same_source(before: str, after: str) -> None:
    """A release renders the answers, and so could name another place for the next update."""
    if stored(before, "_src_path") != stored(after, "_src_path"):
        raise Trouble(f"the update is REFUSED: it changes _src_path in {ANSWERS}")
    if not re.fullmatch(r"[\w.+-]+", stored(after, "_commit"), re.ASCII):
        raise Trouble(f"the update is REFUSED: _commit in {ANSWERS} is no name of a release")
