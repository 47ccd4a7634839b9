"""E-mail addresses: their grammar, and what makes two spellings one account."""

import unicodedata
from hashlib import sha256
from typing import Annotated

from email_validator import EmailNotValidError, validate_email
from pydantic import AfterValidator, Field

MAX_LENGTH = 320  # characters, before anything is parsed


class BadAddress(ValueError):
    """Not an e-mail address. The text says why and does not repeat the address."""


def _checked(text: str) -> str:
    normalise(text)
    return text


Address = Annotated[str, AfterValidator(_checked), Field(json_schema_extra={"format": "email"})]


def key_of(text: str) -> str:
    """What a text counts as, for throttling and for looking it up: its key, if it is an address.

    Any other text becomes a key that no account has and that every database can take.
    """
    try:
        return normalise(text)[1]
    except BadAddress:
        return f"no address {sha256(text.encode('utf-8', 'surrogatepass')).hexdigest()}"


def normalise(address: str) -> tuple[str, str]:
    """The address as kept, and the key by which it is one account.

    The key ignores letter case and compatibility forms (NFKC, full case folding) in the local
    part and is ASCII in the domain, so `Bob@X.org`, `bob@x.org` and full-width letters are one.
    Raises `BadAddress`.
    """
    if len(address) > MAX_LENGTH:
        raise BadAddress("the address is too long")
    try:
        # Compatibility forms first: folding can bring in characters that the grammar refuses.
        found = validate_email(
            unicodedata.normalize("NFKC", address.strip()), check_deliverability=False
        )
        folded = unicodedata.normalize("NFKC", found.local_part.casefold())
        return found.normalized, f"{folded}@{(found.ascii_domain or found.domain).lower()}"
    except (EmailNotValidError, UnicodeError):
        raise BadAddress("this is not an e-mail address") from None
