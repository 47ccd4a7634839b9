"""What the commands know of a service, before any of it is imported."""

import gc
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from pkgutil import resolve_name
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from gatehouse.settings import Settings


@dataclass(frozen=True, slots=True)
class Service:
    """`app` is an import string of its factory. The others may be import strings, too."""

    app: str
    settings_class: "type[Settings] | str"
    history: Path | str | None
    command: str

    @property
    def settings(self) -> "type[Settings]":
        """The class of its settings, imported when a command first asks for it."""
        found: type[Settings] = _imported(self.settings_class)
        return found

    @property
    def migrations(self) -> Path | None:
        """The folder of its own migrations; None says that there is none."""
        found: Path | None = _imported(self.history)
        return found


def _imported(given: object) -> Any:
    if not isinstance(given, str):
        return given
    with importing():
        return resolve_name(given)


@contextmanager
def importing() -> Iterator[None]:
    """The garbage collector is off meanwhile: what imports make stays, so it would find nothing."""
    collects = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if collects:
            gc.enable()
