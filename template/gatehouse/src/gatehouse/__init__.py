"""The login of this service. These names are all that a service imports; a test freezes them.

Each is imported at its first use: a command that needs no database starts without one.
"""

import sys
from importlib import import_module
from threading import RLock
from types import ModuleType
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from gatehouse.cli.commands import run
    from gatehouse.hooks import Hooks
    from gatehouse.install import install
    from gatehouse.settings import Settings
    from gatehouse.state import Database
    from gatehouse.store.paging import Cursor, page_of
    from gatehouse.store.tables import User, UtcDateTime, utc_now
    from gatehouse.text import PlainText
    from gatehouse.web.guards import Caller, CurrentUser, public, recent_login, requires
    from gatehouse.web.rate_limits import throttled

__all__ = [
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

_ROOMS = {
    "cli.commands": ("run",),
    "hooks": ("Hooks",),
    "install": ("install",),
    "settings": ("Settings",),
    "state": ("Database",),
    "store.paging": ("Cursor", "page_of"),
    "store.tables": ("User", "UtcDateTime", "utc_now"),
    "text": ("PlainText",),
    "web.guards": ("Caller", "CurrentUser", "public", "recent_login", "requires"),
    "web.rate_limits": ("throttled",),
}
_MODULE_OF = {name: f"gatehouse.{module}" for module, names in _ROOMS.items() for name in names}
# Two threads that import parts of a package at once may each see the other's half made.
_ONE_IMPORTS = RLock()


class _Package(ModuleType):
    """`install` is the function, also once the module of that name has been imported."""

    def __getattr__(self, name: str) -> Any:
        if name not in _MODULE_OF:
            raise AttributeError(f"module {self.__name__!r} has no attribute {name!r}")
        with _ONE_IMPORTS:
            found = getattr(import_module(_MODULE_OF[name]), name)
        setattr(self, name, found)
        return found

    def __setattr__(self, name: str, value: Any) -> None:
        if name not in _MODULE_OF or not isinstance(value, ModuleType):
            super().__setattr__(name, value)


sys.modules[__name__].__class__ = _Package
