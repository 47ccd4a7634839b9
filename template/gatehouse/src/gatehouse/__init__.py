"""The login of this service. These names are all that a service imports; a test freezes them."""

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
