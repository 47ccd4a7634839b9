"""What owners do to a core file that a release moves: each kind, for each file that has moved."""

import math
import re
import subprocess
import sys
from collections.abc import Callable, Mapping
from pathlib import Path

from matrix.asking import ask
from matrix.edits_core import formatted, formatter, says
from matrix.model import CORE, Apply, Check, Edit
from matrix.moves import MOVED, OWNED, dotted, importing

MINE = "# Mine.\n"
Kind = Callable[[str], tuple[Apply, Check]]


def far(path: str) -> tuple[Apply, Check]:
    """A function more, at the end."""

    def apply(service: Path, package: str) -> None:
        with (service / path).open("a") as file:
            file.write("\n\ndef mine() -> int:\n    return 7\n")

    return apply, says(f"{importing(path)}print(module.mine())", "7")


def near_imports(path: str) -> tuple[Apply, Check]:
    """A line beside the imports of the core, which the move has changed."""

    def apply(service: Path, package: str) -> None:
        text = (service / path).read_text()
        place = re.search(r"^(from gatehouse|import|from) ", text, re.M)
        assert place, path
        start = place.start()
        if before := re.search(r"^from gatehouse", text, re.M):
            start = before.start()
        (service / path).write_text(f"{text[:start]}from math import tau as MINE\n{text[start:]}")

    return apply, says(f"{importing(path)}print(module.MINE)", str(math.tau))


def formatted_anew(path: str) -> tuple[Apply, Check]:
    def apply(service: Path, package: str) -> None:
        command = [sys.executable, "-m", *formatter(False, path)]
        subprocess.run(command, cwd=service, check=True)

    return apply, formatted(path)


def line_more(path: str) -> tuple[Apply, Check]:
    """In a file that is no module."""

    def apply(service: Path, package: str) -> None:
        with (service / path).open("a") as file:
            file.write(MINE)

    def check(service: Path) -> None:
        assert (service / MOVED[path]).read_text().endswith(MINE)

    return apply, check


def owned(path: str) -> tuple[Apply, Check]:
    """Edited, and named as the owner's."""

    def apply(service: Path, package: str) -> None:
        line_more(path)[0](service, package)
        (service / OWNED).write_text(f"{path}\n")

    def check(service: Path) -> None:
        assert (service / OWNED).read_text() == f"{MOVED[path]}\n"
        line_more(path)[1](service)

    return apply, check


def deleted(path: str) -> tuple[Apply, Check]:
    """It is there again, which the runner looks for in what `carry` says."""

    def apply(service: Path, package: str) -> None:
        (service / path).unlink()

    def check(service: Path) -> None:
        assert (service / MOVED[path]).is_file()

    return apply, check


def deep_import(path: str) -> tuple[Apply, Check]:
    """By code of the owner's. There is no shim: the import fails, and names the module."""
    name = dotted(path)
    code = f"try:\n    import {name}\nexcept ModuleNotFoundError as e:\n    print(e.name)"

    def apply(service: Path, package: str) -> None:
        (service / f"src/{package}/deep.py").write_text(f"import {name}\n")

    def check(service: Path) -> None:
        (deep,) = service.glob("src/*/deep.py")
        assert deep.read_text() == f"import {name}\n"
        assert ask(service, code) == name

    return apply, check


OF_MODULES = {
    "far": far,
    "near imports": near_imports,
    "formatted": formatted_anew,
    "owned": owned,
    "deleted": deleted,
    "deep import": deep_import,
}
OF_FILES = {"line more": line_more, "owned": owned, "deleted": deleted}


def moved_edits() -> dict[tuple[str, str], Edit]:
    """By path and kind."""
    found = {}
    for path in MOVED:
        kinds: Mapping[str, Kind] = OF_MODULES if path.endswith(".py") else OF_FILES
        for kind, make in kinds.items():
            apply, check = make(path)
            found[path, kind] = Edit(f"moved file, {kind}", CORE, apply, check)
    return found
