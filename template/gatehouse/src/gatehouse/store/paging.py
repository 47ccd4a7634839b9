"""Pages of rows, oldest first, by a cursor that holds its place while rows come and go."""

import re
from datetime import datetime, timedelta
from typing import Annotated, Any, Protocol, TypeVar
from uuid import UUID

from pydantic import AfterValidator, StringConstraints
from sqlalchemy import tuple_
from sqlmodel import Session, col
from sqlmodel.sql.expression import SelectOfScalar

from gatehouse.store.tables import UtcDateTime

_EPOCH = datetime.fromisoformat("1970-01-01T00:00:00+00:00")
_FORM = re.compile(r"([0-9a-f]{14})([0-9a-f]{32})")


class Paged(Protocol):
    """A table that can be paged: it has an id and the moment of its making."""

    id: Any
    created_at: Any


Row = TypeVar("Row", bound=Paged)


def _parse(text: str) -> tuple[datetime, UUID]:
    found = _FORM.fullmatch(text)
    if not found:
        raise ValueError("use the next value of an earlier page")
    try:
        moment = _EPOCH + timedelta(microseconds=int(found[1], 16))
    except OverflowError:
        raise ValueError("use the next value of an earlier page") from None
    return moment, UUID(found[2])


def _checked(text: str) -> str:
    _parse(text)
    return text


Cursor = Annotated[str, StringConstraints(max_length=64), AfterValidator(_checked)]


def page_of(
    session: Session,
    statement: SelectOfScalar[Row],
    table: type[Row],
    limit: int,
    after: str | None,
) -> tuple[list[Row], str | None]:
    """One page of at most `limit` rows, and the cursor of the next one (None at the end)."""
    if after is not None:
        moment, row_id = _parse(after)
        place = tuple_(col(table.created_at), col(table.id))
        statement = statement.where(place > tuple_(_moment(moment), row_id))
    statement = statement.order_by(col(table.created_at), col(table.id)).limit(limit + 1)
    rows = list(session.exec(statement))
    if len(rows) <= limit:
        return rows, None
    last = rows[limit - 1]
    age = (last.created_at - _EPOCH) // timedelta(microseconds=1)
    return rows[:limit], f"{age:014x}{last.id.hex}"


def _moment(moment: datetime) -> Any:
    from sqlalchemy import literal

    return literal(moment, UtcDateTime())
