"""The shape of the core: its public names, which way its files depend, what it knows nothing of."""

import ast
import warnings
from pathlib import Path

import pytest

import gatehouse
from gatehouse.core_files import changed_files

SOURCE = Path(gatehouse.__file__).parent
CORE = SOURCE.parents[1]

# Lower layers first. A file may import from its own layer and from those before it.
LAYERS = (
    {"core_files", "moved_edits", "refusal", "text"},
    {
        "addresses",
        "foreign_hashes",
        "hash_queue",
        "hash_threads",
        "import_file",
        "invisible",
        "key_file",
        "key_weakness",
        "keys",
        "password_policy",
        "reloading",
        "passwords",
        "settings",
        "token_checks",
        "tokens",
    },
    {"tables", "database", "paging", "migrating", "readiness"},
    {"hooks", "request_ids", "throttle", "windows", "memory_store", "smtp", "mailing"},
    {
        "proxies",
        "audit",
        "stamps",
        "sessions",
        "users",
        "refresh",
        "revocation",
        "cleaning",
        "errands",
        "one_time",
        "registration",
        "recovery",
        "outbox",
    },
    {"state"},
    {"proving"},
    {"guards", "rates", "api_names", "problems", "openapi"},
    {"request_limits", "hardening", "docs", "logs"},
    {"routes"},
    {"install"},
    {
        "serving",
        "accounting",
        "administering",
        "importing",
        "inspecting",
        "rotating",
        "risks",
        "risky_settings",
        "diagnosing",
    },
    {"commands", "testing"},
)
PURE = {
    *(
        "refusal",
        "text",
        "addresses",
        "key_file",
        "key_weakness",
        "keys",
        "reloading",
        "password_policy",
        "passwords",
    ),
    *("token_checks", "tokens", "foreign_hashes", "import_file"),
    *("hash_queue", "hash_threads", "invisible"),
}
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


def imports_of(path: Path) -> set[str]:
    """Modules that a file imports when it runs, in full."""
    found: set[str] = set()

    def walk(node: ast.AST) -> None:
        for child in ast.iter_child_nodes(node):
            if isinstance(child, ast.If) and "TYPE_CHECKING" in ast.unparse(child.test):
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


def layer_of(module: str) -> int:
    first = module.split(".")[0]
    (index,) = [index for index, layer in enumerate(LAYERS) if first in layer]
    return index


def test_dependencies_point_one_way() -> None:
    known = modules()
    for module, path in known.items():
        for imported in imports_of(path):
            name = imported.removeprefix("gatehouse.")
            if imported.startswith("gatehouse.") and name in {*known, "routes"}:
                assert layer_of(name) <= layer_of(module), f"{module} imports {name}"


def test_keys_tokens_and_passwords_know_no_database_and_no_framework() -> None:
    for module in PURE:
        found = {name.split(".")[0] for name in imports_of(modules()[module])}
        assert not found & FRAMEWORKS, module


def test_every_module_has_a_place() -> None:
    assert {module.split(".")[0] for module in modules()} == set().union(*LAYERS)


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
