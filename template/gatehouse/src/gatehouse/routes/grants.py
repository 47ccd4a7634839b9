"""The grant of a refresh token, and the words of a grant that is refused."""

import logging

from sqlalchemy.exc import SQLAlchemyError

from gatehouse.accounts import refresh
from gatehouse.accounts.cleaning import clean_some
from gatehouse.routes.shared import refuse_flood
from gatehouse.state import Gatehouse
from gatehouse.throttling.origin import Origin
from gatehouse.throttling.throttle import REFRESH
from gatehouse.web.problems import OAuthError

log = logging.getLogger("gatehouse.grants")


def no_login() -> OAuthError:
    return OAuthError("invalid_grant", "The e-mail address or the password is wrong.")


async def refresh_tokens(
    core: Gatehouse, origin: Origin, token: str, asked: frozenset[str] | None
) -> refresh.Granted:
    """The next refresh token of a session."""
    try:
        return await core.database.run(_refresh, core, origin, token, asked)
    except refresh.BadRefreshToken:
        raise OAuthError("invalid_grant", "The refresh token is not valid.") from None
    finally:
        if core.cleaning.is_due():
            await _clean(core)


def _refresh(
    core: Gatehouse, origin: Origin, token: str, asked: frozenset[str] | None
) -> refresh.Granted:
    refuse_flood(core, origin, REFRESH)
    return refresh.refresh(core, origin, token, asked)


async def _clean(core: Gatehouse) -> None:
    """Delete some expired rows on the way. The client does not see an error of this."""
    try:
        await core.database.run(clean_some, core.database, core.lifetimes.idle)
    except SQLAlchemyError as error:
        log.warning("expired rows were not deleted: %s", type(error).__name__)
