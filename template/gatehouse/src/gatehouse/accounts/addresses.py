"""E-mail addresses: their grammar, and what makes two spellings one account."""

import unicodedata
from hashlib import sha256
from typing import Annotated

from email_validator import EmailNotValidError, validate_email
from pydantic import AfterValidator, Field

from gatehouse.accounts.invisible import holds_invisible

MAX_LENGTH = 320  # characters, before anything is parsed


class BadAddress(ValueError):
    """Not an e-mail address. The text says why and does not repeat the address."""


def normalise(address: str) -> tuple[str, str]:
    """The address of a new account as kept, and the key by which it is one account.

    Raises `BadAddress`, also for one with a character that cannot be seen: it would be an account
    of its own that looks like another's.
    """
    kept, key = _read(address)
    if holds_invisible(kept):
        raise BadAddress("the address holds a character that cannot be seen")
    return kept, key


def lenient_key(address: str) -> str:
    """The key of an address that an account may have from before `normalise` was so strict.

    Raises `BadAddress` only for what is no address at all.
    """
    return _read(address)[1]


def key_of(text: str) -> str:
    """What a text counts as, for throttling and for looking it up: its key, if it is an address.

    Any other text becomes a key that no account has and that every database can take.
    """
    try:
        return lenient_key(text)
    except BadAddress:
        return f"no address {sha256(text.encode('utf-8', 'surrogatepass')).hexdigest()}"


def _read(address: str) -> tuple[str, str]:
    """The address as kept, and its key.

    The key ignores letter case and compatibility forms (NFKC, full case folding) in the local
    part and is ASCII in the domain, so `Bob@X.org`, `bob@x.org` and full-width letters are one.
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


def _new(text: str) -> str:
    normalise(text)
    return text


def _known(text: str) -> str:
    lenient_key(text)
    return text


_SHOWN_AS = Field(json_schema_extra={"format": "email"})
# In the body of a request: of an account to be, and of one that may be there already.
Address = Annotated[str, AfterValidator(_new), _SHOWN_AS]
KnownAddress = Annotated[str, AfterValidator(_known), _SHOWN_AS]
