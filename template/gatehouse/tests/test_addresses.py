"""An address that looks like another's makes no new account; one that is there still logs in."""

import unicodedata

import pytest
from pydantic import TypeAdapter, ValidationError

from gatehouse.accounts.addresses import (
    Address,
    BadAddress,
    KnownAddress,
    key_of,
    lenient_key,
    normalise,
)
from gatehouse.accounts.invisible import holds_invisible

pytestmark = pytest.mark.thorough

PLAIN = "bob@example.com"
# Each is Default_Ignorable_Code_Point, and the grammar of addresses lets it through.
LOOKALIKES = [
    "bob\ufe0f@example.com",
    "b\ufe00ob@example.com",
    "bob\u034f@example.com",
    "bo\u115fb@example.com",
    "bo\u3164b@example.com",
    "bo\uffa0b@example.com",
    "bob\U000e0100@example.com",
    "bob\u180b@example.com",
]
NONE = ["", "bob", "bob@", "@example.com", "b b@example.com", "bob\x07@example.com", "x" * 400]


@pytest.mark.parametrize("lookalike", LOOKALIKES)
def test_no_new_account_has_an_invisible_character_in_its_address(lookalike: str) -> None:
    with pytest.raises(BadAddress) as refused:
        normalise(lookalike)
    assert str(refused.value) == "the address holds a character that cannot be seen"
    with pytest.raises(ValidationError):
        TypeAdapter(Address).validate_python(lookalike)


@pytest.mark.parametrize("lookalike", LOOKALIKES)
def test_an_account_that_has_one_is_still_found(lookalike: str) -> None:
    key = lenient_key(lookalike)
    assert key.endswith("@example.com")
    assert key != PLAIN
    assert key_of(lookalike) == key
    assert TypeAdapter(KnownAddress).validate_python(lookalike) == lookalike


def test_the_key_of_such_an_account_is_what_it_was_before() -> None:
    assert key_of("Bob\ufe0f@Example.com") == "bob\ufe0f@example.com"
    assert key_of("bo\u3164b@example.com") == "bo\u1160b@example.com"  # NFKC


@pytest.mark.parametrize("text", NONE)
def test_what_is_no_address_is_none_for_anybody(text: str) -> None:
    for read in (normalise, lenient_key):
        with pytest.raises(BadAddress):
            read(text)
    for kind in (Address, KnownAddress):
        with pytest.raises(ValidationError):
            TypeAdapter(kind).validate_python(text)
    assert key_of(text).startswith("no address ")


@pytest.mark.parametrize(
    "address",
    [
        PLAIN,
        "Bob@X.org",
        "ｂｏｂ@example.com",
        "zażółć@example.com",
        "δοκιμή@παράδειγμα.δοκιμή",
        "क्षि@x.org",
    ],
)
def test_other_addresses_are_read_as_before(address: str) -> None:
    kept, key = normalise(address)
    assert lenient_key(address) == key_of(address) == key
    assert normalise(kept)[1] == key


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("STRASSE@x.org", "straße@x.org"),
        ("a@παράδειγμα.δοκιμή", "A@xn--hxajbheg2az3al.xn--jxalpdlp"),
        ("ｂｏｂ@x.org", "bob@x.org"),
    ],
)
def test_two_spellings_are_one_account(one: str, other: str) -> None:
    assert key_of(one) == key_of(other) == normalise(one)[1]
    assert key_of(one).isascii()
    assert normalise("ｂｏｂ@x.org") == ("bob@x.org", "bob@x.org")


def test_what_is_no_address_becomes_a_key_that_every_database_can_take() -> None:
    for text in ("bob\x00@example.com", "\ud800"):
        assert key_of(text).isascii()
        assert key_of(text).isprintable()


def test_the_invisible_are_unicodes_and_no_others() -> None:
    """The count is that of DerivedCoreProperties.txt; controls are the category Cc."""
    found = [code for code in range(0x110000) if holds_invisible(chr(code))]
    controls = [code for code in found if unicodedata.category(chr(code)) == "Cc"]
    assert len(controls) == 65
    assert len(found) - len(controls) == 4174
    assert {0xAD, 0x34F, 0x200B, 0x200F, 0xFE0F, 0xFEFF, 0xE0FFF} <= set(found)
    assert not {0x20, 0xAC, 0xAE, 0x2010, 0xFE10, 0xE1000} & set(found)
    assert holds_invisible("a\ufe0fb")
    assert not holds_invisible("")
