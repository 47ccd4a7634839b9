"""What REFERENCE.md says of limits, settings, ways in, events and logs is what the code does."""

import pkgutil
import re
from importlib import import_module
from pathlib import Path
from typing import get_args

import pytest
from fastapi import APIRouter
from fastapi.routing import APIRoute
from sqlmodel import SQLModel

import gatehouse
from gatehouse import Settings, routes
from gatehouse.accounts import audit, one_time
from gatehouse.accounts.logins import MOST_SESSIONS
from gatehouse.accounts.users import MOST_FAILURES
from gatehouse.store.tables import User
from gatehouse.throttling import throttle
from gatehouse.throttling.throttle import Limit
from gatehouse.web.problems import MAX_ERRORS

pytestmark = pytest.mark.thorough

REFERENCE = Path(gatehouse.__file__).parents[2] / "REFERENCE.md"


def section(title: str) -> str:
    """The part under a heading of the second level."""
    text = REFERENCE.read_text("utf-8")
    (found,) = re.findall(rf"^## {title}\n(.*?)(?=^## |\Z)", text, re.M | re.S)
    return str(found)


def rows(text: str) -> list[list[str]]:
    """The cells of each table row, without the head."""
    lines = [line for line in text.splitlines() if line.startswith("| ")]
    return [[cell.strip() for cell in line.strip("|").split(" | ")] for line in lines[1:]]


def in_words(limit: Limit) -> str:
    times = {60: "in a minute", 900: "in 15 minutes", 3600: "an hour"}
    return f"{limit.amount:,} {times[limit.seconds]}"


@pytest.mark.asvs("6.1.1", "6.3.1", "7.1.2")
def test_every_limit_is_documented_with_its_number() -> None:
    limits = {
        "failed logins, and wrong current passwords": throttle.LOGIN_PAIR,
        "the same": throttle.LOGIN_NETWORK,
        "right logins": throttle.LOGIN_RIGHT,
        "registrations": throttle.REGISTER,
        '"forgot password"; "send the link again"': throttle.FORGOT,
        "refreshes and log-outs": throttle.REFRESH,
        "tokens of mailed links": throttle.ONE_TIME,
        "mails of one kind": throttle.MAIL,
        "mails in all": throttle.MAIL_ADDRESS,
    }
    known = {limit for limit in vars(throttle).values() if isinstance(limit, Limit)}
    assert known == {*limits.values(), throttle.RESEND, throttle.MAIL_SHARE}
    assert in_words(throttle.RESEND) == in_words(throttle.FORGOT)  # they share a row
    wanted = {what: in_words(limit) for what, limit in limits.items()}
    wanted |= {
        "failed logins in a row": f"{MOST_FAILURES};",
        "live sessions": f"{MOST_SESSIONS:,};",
        "mistakes that a 422 names": f"{MAX_ERRORS},",
        "hashes under way and waiting": "half of `AUTH_HASH_QUEUE`",
    }
    documented = {what: most for what, _, most in rows(section("Limits"))}
    assert f"{throttle.MAIL_SHARE.amount} of them for one client" in documented["mails in all"]
    assert documented.keys() == wanted.keys()
    for what, most in documented.items():
        assert most.startswith(wanted[what]), what
    assert "Nobody can lock an owner out by failing" in section("Limits")


@pytest.mark.asvs("6.1.1", "7.1.1")
def test_every_setting_is_documented_with_its_default() -> None:
    documented = {name.strip("`"): default for name, default, _ in rows(section("Settings"))}
    fields = Settings.model_fields
    assert documented.keys() == {name.upper() for name in fields}
    for name, default in documented.items():
        if re.fullmatch(r"\d+|`true`|`false`", default):
            assert str(fields[name.lower()].default).lower() == default.strip("`"), name


def core_routes() -> list[APIRoute]:
    found = []
    for module in pkgutil.iter_modules(routes.__path__, "gatehouse.routes."):
        router = getattr(import_module(module.name), "router", None)
        if isinstance(router, APIRouter):
            found += [route for route in router.routes if isinstance(route, APIRoute)]
    return found


@pytest.mark.asvs("6.1.3", "6.3.4")
def test_every_way_in_is_documented() -> None:
    """Each route that takes something from the public, or asks for a password."""
    ways = section("Ways in")
    named = set(re.findall(r"`((?:POST|PATCH|PUT|DELETE) /[^`,]+)`", ways))
    named |= {f"POST {path}" for path in re.findall(r"`POST (/[^`,]+)`,", ways)}
    found = set()
    for route in core_routes():
        public = getattr(route.endpoint, "__gatehouse_public__", False)
        body = route.body_field.field_info.annotation if route.body_field else None
        members = getattr(body, "model_fields", {})
        if public or any("password" in member for member in members):
            found |= {f"{method} {route.path}" for method in (route.methods or set()) - {"GET"}}
    assert found == named
    assert len(found) == 10


@pytest.mark.asvs("6.4.2")
def test_nothing_else_is_asked_of_a_user_and_nothing_else_kept() -> None:
    """No hint, no secret question: what a body may name, and the columns of an account."""
    bodies = [route.body_field.field_info.annotation for route in core_routes() if route.body_field]
    asked = {member for body in bodies for member in getattr(body, "model_fields", {})}
    assert asked == {
        *("email", "password", "token", "current_password", "new_password", "new_email"),
        *("is_active", "role"),  # an administrator
    }
    assert set(User.model_fields) == {
        *("id", "email", "email_key", "password_hash", "role", "is_active", "created_at"),
        *("email_verified_at", "failed_logins", "stamp"),
    }


@pytest.mark.asvs("6.1.2")
def test_the_words_of_the_context_are_documented() -> None:
    (text,) = re.findall(r"words of the context\*\*:(.*?)\.", section("Ways in"), re.S)
    for word in ("address", "before and after the\n`@`", "service's name"):
        assert word in text


@pytest.mark.asvs("6.5.5", "7.1.1")
def test_how_long_links_and_sessions_live_is_documented() -> None:
    ways = section("Ways in")
    minutes = int(one_time.LIVES["reset"].total_seconds()) // 60
    hours = int(one_time.LIVES["verify"].total_seconds()) // 3600
    assert one_time.LIVES["change_email"] == one_time.LIVES["verify"]
    assert f"good once, for {minutes} minutes" in ways
    assert f"good once, for {hours} hours" in ways
    fields = Settings.model_fields
    days, idle = fields["auth_session_days"].default, fields["auth_session_idle_days"].default
    assert f"{days} days after their login" in ways
    assert f"{idle} days after their last refresh" in ways
    assert "NIST SP 800-63B-4" in ways


def test_every_event_and_every_logger_is_documented() -> None:
    text = section("Logs and stored personal data")
    documented = {name for first, *_ in rows(text) for name in re.findall(r"`([\w.]+)`", first)}
    loggers = set()
    for path in Path(gatehouse.__file__).parent.rglob("*.py"):
        loggers |= set(re.findall(r'getLogger\("(gatehouse[\w.]*)"\)', path.read_text("utf-8")))
    assert len(loggers) > 10
    loggers.discard("gatehouse")  # the parent of all
    wanted = loggers | set(get_args(audit.Event)) | {"uvicorn.access", "uvicorn.error"}
    tables = {name for name in documented if name.startswith("gatehouse_")}
    assert documented - tables == wanted
    ours = {name for name in SQLModel.metadata.tables if name.startswith("gatehouse_")}
    assert tables == ours


def test_the_readme_stays_short_enough_to_be_read() -> None:
    """What it grows by belongs into REFERENCE.md."""
    assert len(REFERENCE.with_name("README.md").read_text("utf-8").split()) <= 2_000
