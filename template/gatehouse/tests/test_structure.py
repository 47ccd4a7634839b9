"""The shape of the core: its public names, which way its files depend, what it knows nothing of."""

import ast
import re
import warnings
from collections import Counter
from graphlib import TopologicalSorter
from pathlib import Path

import pytest

import gatehouse
from gatehouse.core_files import changed_files

SOURCE = Path(gatehouse.__file__).parent
CORE = SOURCE.parents[1]

ROOMS_WITHOUT_A_FRAMEWORK = {"hashing", "signing"}
FRAMEWORKS = {"fastapi", "starlette", "sqlalchemy", "sqlmodel", "alembic", "uvicorn"}


def test_the_public_names_are_these() -> None:
    """A name that a service imports is never taken away."""
    assert gatehouse.__all__ == [
        "Caller",
        "CurrentUser",
        "Cursor",
        "Database",
        "Hooks",
        "PlainText",
        "Settings",
        "User",
        "UtcDateTime",
        "install",
        "page_of",
        "public",
        "recent_login",
        "requires",
        "run",
        "throttled",
        "utc_now",
    ]
    for name in gatehouse.__all__:
        assert hasattr(gatehouse, name)


def imports_of(path: Path, *, types: bool = False) -> set[str]:
    """Modules that a file imports when it runs, in full; and for `types` alone, if asked."""
    found: set[str] = set()

    def walk(node: ast.AST) -> None:
        for child in ast.iter_child_nodes(node):
            hidden = isinstance(child, ast.If) and "TYPE_CHECKING" in ast.unparse(child.test)
            if hidden and not types:
                continue
            if isinstance(child, ast.Import):
                found.update(alias.name for alias in child.names)
            elif isinstance(child, ast.ImportFrom) and child.module:
                found.add(child.module)
                found.update(f"{child.module}.{alias.name}" for alias in child.names)
            walk(child)

    walk(ast.parse(path.read_text()))
    return found


def modules() -> dict[str, Path]:
    paths = [path for path in SOURCE.rglob("*.py") if "migrations" not in path.parts]
    return {
        ".".join(path.relative_to(SOURCE).with_suffix("").parts): path
        for path in paths
        if path.name != "__init__.py"
    }


def rooms() -> dict[str, int]:
    """Each module on the map in the core's README, and on which line its room begins."""
    text = (CORE / "README.md").read_text("utf-8").partition("## The map")[2]
    found, room, begins = {}, "", 0
    for number, line in enumerate(text.split("```")[1].strip().splitlines()):
        name = line.split()[0]
        if not line.startswith(" "):
            room, begins = name.removesuffix("/") if name.endswith("/") else "", number
        if not name.endswith("/"):
            found[f"{room}.{name}".strip(".")] = begins
    return found


def arrows(*, types: bool) -> set[tuple[str, str]]:
    """Which module imports which; with `types`, also where only a type checker does."""
    known = modules()
    return {
        (module, name)
        for module, path in known.items()
        for imported in imports_of(path, types=types)
        if (name := imported.removeprefix("gatehouse.")) in known and name != module
    }


def test_every_module_is_on_the_map_and_none_else() -> None:
    assert rooms().keys() == modules().keys()
    sizes = Counter(name.partition(".")[0] for name in modules() if "." in name)
    assert max(sizes.values()) <= 14


def test_the_lists_of_files_on_the_map_name_modules_on_it() -> None:
    text = (CORE / "README.md").read_text("utf-8").partition("**A login**")[2]
    listed = re.findall(r"`(\w+)/(\w+)`", text.partition("\n## ")[0])
    assert len(listed) > 10
    assert {".".join(parts) for parts in listed} <= rooms().keys()


def test_no_module_imports_from_a_room_above_it() -> None:
    begins = rooms()
    assert not {(one, other) for one, other in arrows(types=True) if begins[one] > begins[other]}


def test_no_modules_import_each_other_in_a_circle() -> None:
    graph: dict[str, set[str]] = {}
    for one, other in arrows(types=True):
        graph.setdefault(one, set()).add(other)
    list(TopologicalSorter(graph).static_order())  # raises CycleError


# One meaning a name, and the field's word for it: job, enqueue, mail, handler, rate limit.
PRIVATE_WORDS = {
    *(
        "Errand",
        "errands",
        "leave",
        "knock",
        "tell",
        "Letter",
        "Terms",
        "Doing",
        "doors",
        "windows",
    ),
    *("Lives", "Seen"),
}


def test_names_are_the_field_s_words() -> None:
    paths = [
        path
        for folder in (SOURCE, Path(__file__).parent)
        for path in folder.rglob("*.py")
        if "versions" not in path.parts
    ]
    assert len(paths) > 100
    for path in paths:
        used = {path.stem}
        for node in ast.walk(ast.parse(path.read_text("utf-8"))):
            names = ("id", "attr", "arg", "name", "asname")
            used |= {value for name in names if isinstance(value := getattr(node, name, 0), str)}
        assert not used & PRIVATE_WORDS, path


def test_keys_tokens_and_passwords_know_no_database_and_no_framework() -> None:
    for module, path in modules().items():
        if module.partition(".")[0] in ROOMS_WITHOUT_A_FRAMEWORK:
            found = {name.split(".")[0] for name in imports_of(path)}
            assert not found & FRAMEWORKS, module


def test_nothing_authorises_by_the_url_of_a_request() -> None:
    """A malformed Host header poisons it (CVE-2026-48710); `scope["path"]` is what routes."""
    for path in modules().values():
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Attribute) and node.attr in ("url", "base_url"):
                assert ast.unparse(node.value) not in ("request", "connection"), path


def test_the_core_is_as_it_was_delivered() -> None:
    """Warns, and does not fail: you may edit the core, and should know what it costs."""
    if not (CORE / "manifest.sha256").is_file():
        pytest.skip("no manifest: it is written when the template is released")
    for change in changed_files(CORE):
        warnings.warn(f"{change}: fixes may not reach you", stacklevel=1)
