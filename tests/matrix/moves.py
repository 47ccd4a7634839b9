"""Where a core file is, by the path under which it was first released."""

from pathlib import Path

from core import moves
from rendering import REPOSITORY

MOVED = moves(REPOSITORY)  # of today's version
CAME_FROM = {new: old for old, new in MOVED.items()}
OWNED = "gatehouse/owned.txt"


def place(root: Path, path: str) -> str:
    """The path in a service, of whatever version, or in the folder `template/`."""
    return path if (root / path).exists() or path not in MOVED else MOVED[path]


def dotted(path: str) -> str:
    """The name under which a module in `gatehouse/src` is imported."""
    return path.removeprefix("gatehouse/src/").removesuffix(".py").replace("/", ".")


def importing(path: str) -> str:
    """Code that binds the module to `module`, wherever a version has it."""
    names = [dotted(MOVED.get(path, path)), dotted(path)]
    return (
        "import importlib, importlib.util as found\n"
        "def there(name):\n"
        "    try: return found.find_spec(name) is not None\n"
        "    except ModuleNotFoundError: return False\n"
        f"module = importlib.import_module(next(filter(there, {names})))\n"
    )
