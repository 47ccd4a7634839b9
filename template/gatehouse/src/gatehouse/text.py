"""Text that every database and encoder can take."""

from typing import Annotated

from pydantic import AfterValidator


def _plain(value: str) -> str:
    # PostgreSQL stores no NUL; no encoder takes half a surrogate pair (JSON can carry one).
    if "\x00" in value or any("\ud800" <= character <= "\udfff" for character in value):
        raise ValueError("text may hold no NUL and no unpaired surrogate")
    return value


PlainText = Annotated[str, AfterValidator(_plain)]
