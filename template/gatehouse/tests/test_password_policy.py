"""Which new passwords are refused, with which reason, at what cost."""

import contextlib
import random
import string
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gatehouse.common_words import load_list
from gatehouse.hashing.password_policy import check_new_password
from gatehouse.hashing.passwords import WeakPassword, normalise_password

pytestmark = pytest.mark.thorough

LETTERS = st.characters(exclude_categories=["Cs"])


def check(password: str, **changes: Any) -> str:
    context = {"email": "anna.smith@mail.example", "service_name": "Demo Service", "min_length": 15}
    return check_new_password(password, **{**context, **changes})


@pytest.mark.asvs("6.2.5")
@pytest.mark.parametrize(
    "password",
    [
        "correct horse battery staple",
        "dragon monkey shadow tiger",  # each is listed, but four are a passphrase
        "tidal-ochre-lantern-9",
        "password!#%&@$^*~?",
        "Ваш ключ под ковриком",
        "   leading and trailing   ",
        "skeletonwashstandsandbank",
    ],
)
def test_a_password_without_a_pattern_is_accepted_unchanged(password: str) -> None:
    assert check(password) == password


@pytest.mark.asvs("6.2.5")
def test_random_lower_case_letters_are_accepted() -> None:
    source = random.Random(15)  # noqa: S311 - the same ones in each run
    for _ in range(300):
        check("".join(source.choices(string.ascii_lowercase, k=15)))


@pytest.mark.asvs("6.2.4", "6.2.12")
@pytest.mark.parametrize(
    "password",
    [
        "counterproposal",  # listed
        "CounterProposal",
        "１２３４５６７８９０１２３４５",
        "passwordpasswordpassword",
        "Password Password Password",
        "password12345678",
        "dragonmonkeyshadow",
        "letmein-letmein!!",
        "aaaaaaaaaaaaaaa",
        "ababababababababa",
        "Summer2024Summer2024",
        "monkey1monkey2monkey3",
        "123456789012345678",
        "543210987654321098",
        "a-b-c-d-e-f-g-h-i",
        "qwertyuiopasdfgh",
        "lkjhgfdsapoiuytrewq",
        "!@#$%^&*()!@#$%",
        "DemoServicePassword1",
    ],
)
def test_a_common_password_or_one_joined_of_them_is_refused(password: str) -> None:
    with pytest.raises(WeakPassword, match="common"):
        check(password)


@pytest.mark.asvs("6.1.2", "6.2.11")
@pytest.mark.parametrize(
    "password",
    [
        "anna.smith@mail.example",
        "Anna_Smith_Anna_Smith",
        "AnnaSmith1990!!!!",
        "anna1990smith1990",
        "demoservicedemoservice",
        "Demo-Service-2026-01",
    ],
)
def test_a_password_made_of_the_address_or_the_service_name_is_refused(password: str) -> None:
    with pytest.raises(WeakPassword, match="address or service name"):
        check(password)


def test_initials_in_the_address_make_no_other_password_of_it() -> None:
    for password in ("jsmith2024jsmith1987", "j.smith-2024-j.smith-1987"):
        with pytest.raises(WeakPassword, match="address or service name"):
            check(password, email="j.smith@mail.example")


def test_the_bundled_list_is_used_for_short_passwords_too() -> None:
    assert check("hq7wn2vx", min_length=8)
    with pytest.raises(WeakPassword, match="list"):
        check("Sunshine1", min_length=8)


@pytest.mark.asvs("6.2.4")
def test_the_list_holds_3000_passwords_that_are_long_enough() -> None:
    blocks = load_list()
    assert sum(len(block) // size for size, block in blocks.items() if size >= 15) >= 3000
    for size, block in blocks.items():
        entries = [block[start : start + size] for start in range(0, len(block), size)]
        assert entries == sorted(set(entries))
        if 15 <= size <= 256:
            with pytest.raises(WeakPassword, match="list"):
                check(entries[0].decode())


@pytest.mark.asvs("6.2.1")
def test_length_is_counted_after_normalisation() -> None:
    assert len(check("e\u0301" * 14 + "kz")) == 16
    with pytest.raises(WeakPassword, match="at least 15"):
        check("e\u0301" * 14)
    with pytest.raises(WeakPassword, match="at most 256"):
        check("\ufdfa" * 15)  # one code point of 18
    check("kzq".join("\ufdfa" * 10))


@pytest.mark.parametrize(
    "password", ["x" * 257, "x" * 100_000, "\ud800 and fifteen more", "a NUL \0 among fifteen"]
)
def test_what_cannot_be_hashed_or_stored_is_refused(password: str) -> None:
    with pytest.raises(WeakPassword):
        check(password)


@settings(max_examples=30, deadline=None)
@given(st.text(LETTERS | st.sampled_from("abc123 \0-"), max_size=40))
def test_a_reason_is_one_sentence_and_never_repeats_the_password(password: str) -> None:
    try:
        assert check(password) == normalise_password(password)
        reason = "."
    except WeakPassword as error:
        reason = str(error)
    assert reason.endswith(".")
    assert len(password) < 5 or password not in reason


@settings(max_examples=30, deadline=None)
@given(st.text(LETTERS, max_size=60))
def test_normalising_twice_changes_nothing(password: str) -> None:
    assert normalise_password(normalise_password(password)) == normalise_password(password)


@pytest.mark.parametrize("piece", ["a", "ab1", "123", "1234321", "password", "annaq", "zzzzy"])
def test_a_pattern_of_256_characters_takes_few_look_ups(
    piece: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    looked_up: list[str] = []

    def unlisted(text: str) -> bool:
        looked_up.append(text)
        return False

    monkeypatch.setattr("gatehouse.hashing.password_policy.is_common", unlisted)
    text = (piece * 256)[:255] + "~"
    with contextlib.suppress(WeakPassword):
        check(text)
    assert len(looked_up) < 256 * 16
