"""What a service may add of its own to the login: subclass `Hooks`, pass it to `install`."""

from collections.abc import Mapping
from email.message import EmailMessage
from typing import Any

from sqlmodel import Session

from gatehouse.store.tables import User


class Hooks:
    """Every method may be left out. Those with a `session` are part of its transaction.

    What they write is there if and only if the event is; what they raise undoes the event, and
    the request is answered with 500, or as a FastAPI `HTTPException` says. They are plain
    functions, called in a thread.
    """

    def extra_claims(self, session: Session, user: User) -> Mapping[str, Any]:
        """More claims for a new access token, readable by whoever holds it. Not the core's own."""
        return {}

    def on_registered(self, session: Session, user: User) -> None:
        """An account was made by registration, `user create` or `user import`."""

    def on_login(self, session: Session, user: User) -> None:
        """A password was right and a login session was opened."""

    def on_deleted(self, session: Session, user: User) -> None:
        """An account is about to be deleted, with all rows whose keys cascade."""

    def is_breached(self, password: str) -> bool:
        """Whether a new password is known from a breach, by a service of your choice.

        Called without a session, after the core's own checks. Set a timeout; an exception is
        logged and counts as "no", so that nobody is kept out by that service's failure.
        """
        return False

    def send_mail(self, message: EmailMessage) -> None:
        """Send a mail by another way than SMTP. An exception means: try again later."""
        raise NotImplementedError
