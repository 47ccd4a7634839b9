"""What the commands know of a service, before any of it is imported."""

import gc
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from pkgutil import resolve_name
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from gatehouse.settings import Settings


@dataclass(frozen=True, slots=True)
class Service:
    """`app` is an import string of its factory; `settings_class` may be one of its class."""

    app: str
    settings_class: "type[Settings] | str"
    migrations: Path | None
    command: str

    @property
    def settings(self) -> "type[Settings]":
        """The class of its settings, imported when a command first asks for it."""
        if not isinstance(self.settings_class, str):
            return self.settings_class
        with importing():
            found: type[Settings] = resolve_name(self.settings_class)
        return found


@contextmanager
def importing() -> Iterator[None]:
    """No garbage is collected meanwhile: what imports make stays, and is looked at in vain."""
    collects = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if collects:
            gc.enable()
