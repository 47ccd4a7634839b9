"""The login of this service. These names are all that a service imports; a test freezes them."""

from gatehouse.commands import run
from gatehouse.guards import Caller, CurrentUser, public, recent_login, requires
from gatehouse.hooks import Hooks
from gatehouse.install import install
from gatehouse.paging import Cursor, page_of
from gatehouse.rates import throttled
from gatehouse.settings import Settings
from gatehouse.state import Database
from gatehouse.tables import User, UtcDateTime, utc_now
from gatehouse.text import PlainText

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
