"""A row of an import: what makes an account, and why a row makes none.

Nothing that is said holds a value of the row: it is an address or a hash.
"""

import re
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime
from typing import Any

from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    PrivateAttr,
    ValidationError,
    ValidationInfo,
    field_validator,
)

from gatehouse.accounts.addresses import BadAddress, normalise
from gatehouse.hashing.foreign_hashes import check_hash

COLUMNS = ("email", "password_hash", "role", "email_verified", "created_at")
_MOMENT = re.compile(
    r"[0-9]{4}-[0-9]{2}-[0-9]{2}[Tt ][0-9]{2}:[0-9]{2}:[0-9]{2}(\.[0-9]+)?"
    r"([Zz]|[+-][0-9]{2}:[0-9]{2})"
)


class BadRow(ValueError):
    """Why a row is refused, without a value of it."""


class Row(BaseModel):
    """An account to make; its fields are the columns of a file."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    address: tuple[str, str] = Field("", alias="email", validate_default=True)
    password_hash: str = Field("", validate_default=True)
    role: str = Field("user", validate_default=True)
    verified: bool = Field(False, alias="email_verified")
    created_at: datetime | None = None
    _line: int = PrivateAttr(0)

    @property
    def email(self) -> str:
        """The address as it is kept."""
        return self.address[0]

    @property
    def key(self) -> str:
        """By what the address is one account."""
        return self.address[1]

    @property
    def line(self) -> int:
        """Where in the file the row begins."""
        return self._line

    @field_validator("address", mode="plain")
    @classmethod
    def _address(cls, text: str) -> tuple[str, str]:
        try:
            return normalise(text)
        except BadAddress:
            raise BadRow("its email is not an e-mail address") from None

    @field_validator("password_hash", mode="plain")
    @classmethod
    def _hash(cls, text: str) -> str:
        check_hash(text)
        return text

    @field_validator("role", mode="plain")
    @classmethod
    def _role(cls, text: str, info: ValidationInfo) -> str:
        roles = info.context["roles"] if info.context else ()
        if text not in roles:
            raise BadRow(f"its role is not one of {', '.join(sorted(roles))}")
        return text

    @field_validator("verified", mode="plain")
    @classmethod
    def _verified(cls, given: str | bool) -> bool:
        word = str(given).lower()
        if word not in ("true", "false"):
            raise BadRow("its email_verified is neither true nor false")
        return word == "true"

    @field_validator("created_at", mode="plain")
    @classmethod
    def _created_at(cls, text: str) -> datetime:
        try:
            if _MOMENT.fullmatch(text):
                return datetime.fromisoformat(text.upper()).astimezone(UTC)
        except (ValueError, OverflowError):
            pass
        raise BadRow(
            "its created_at is not an RFC 3339 time with a zone, such as 2024-05-06T07:08:09Z"
        )

    @field_validator("*", mode="before")
    @classmethod
    def _is_text(cls, value: Any, info: ValidationInfo) -> Any:
        if not isinstance(value, (str, bool) if info.field_name == "verified" else str):
            column = cls.model_fields[info.field_name or ""].alias or info.field_name
            raise BadRow(f"its {column} is not text")
        return value


def read_row(line: int, found: Mapping[str, Any], roles: Iterable[str]) -> Row:
    """The row of a line's cells. Raises `BadRow` with the first reason against it."""
    given = {
        name: value for name, value in found.items() if value is not None or name not in COLUMNS
    }
    try:
        row = Row.model_validate(given, context={"roles": roles})
    except ValidationError as refused:
        raise BadRow(_reason(refused)) from None
    row._line = line
    return row


def _reason(refused: ValidationError) -> str:
    errors = refused.errors(include_url=False, include_input=False)
    if any(error["type"] == "extra_forbidden" for error in errors):
        return f"it has a field that is not one of {', '.join(COLUMNS)}"
    return str(errors[0]["ctx"]["error"])
