"""The command `token inspect`: what a token says, and each check that it passes or fails."""

import argparse
import json
import sys
import time
from datetime import UTC, datetime
from typing import Any

from jwt import PyJWTError
from pydantic import ValidationError

from gatehouse.cli.service import Service
from gatehouse.cli.serving import load
from gatehouse.signing.token_checks import CHECKS, STAMP, Candidate, Expected, read_segment
from gatehouse.state import Gatehouse

TIMES = ("iat", "nbf", "exp", "auth_time")


def inspect(service: Service, _: argparse.Namespace) -> int:
    """Explain the token on standard input. Exit code 1 if it would be refused."""
    core: Gatehouse = load(service).state.gatehouse
    if sys.stdin.isatty():
        print("Paste the token, then press Enter.", file=sys.stderr)
    text = sys.stdin.readline().strip()
    for line in explain(core.tokens.expected, text):
        print(line)
    return 1 if any(failure for _, failure in _results(core.tokens.expected, text)) else 0


def explain(expected: Expected, text: str) -> list[str]:
    """The lines that describe a token. Every sent character is escaped to plain ASCII."""
    lines: list[str] = []
    for title, index in (("Header", 0), ("Claims", 1)):
        lines += [title, *_members(text, index), ""]
    lines.append("Checks")
    for name, failure in _results(expected, text):
        mark = "FAIL" if failure else "ok"
        described = failure or next(check.passed for check in CHECKS if check.name == name)
        lines.append(f"  {mark:<5} {name:<10} {described}")
    return lines


def _results(expected: Expected, text: str) -> list[tuple[str, str | None]]:
    """Each check's name, with the reason if it failed. The same checks as at a guarded route."""
    candidate = Candidate(text)
    results: list[tuple[str, str | None]] = []
    for check in CHECKS:
        try:
            check.run(expected, candidate)
        except Exception as error:  # whatever a hostile token makes a parser raise
            results.append((check.name, _reason(error)))
        else:
            results.append((check.name, None))
    return results


def _reason(error: Exception) -> str:
    """The first line of an error, in ASCII and short. What a parser says of bytes helps nobody."""
    if isinstance(error, ValidationError):
        first = error.errors(include_url=False, include_input=False)[0]
        reason = f"{'.'.join(map(str, first['loc']))}: {first['msg']}"
    elif type(error) is ValueError or isinstance(error, PyJWTError):
        reason = str(error).partition("\n")[0]
    else:
        reason = "cannot be read: not base64url, not UTF-8 or not JSON"
    return ascii(reason)[1:-1][:120]


def _members(text: str, index: int) -> list[str]:
    try:
        members = read_segment(text.split(".")[index])
    except Exception:  # whatever it is, it cannot be shown
        return ["  cannot be read"]
    return [
        f"  {json.dumps(name)[1:-1]:<10} {_value(name, value)}" for name, value in members.items()
    ]


def _value(name: str, value: Any) -> str:
    shown = json.dumps(value)[:200]
    if name == STAMP and isinstance(value, list) and len(value) == 2:
        account, service = (json.dumps(part)[:20] for part in value)
        return f"{shown}  account {account}, service {service}"
    if name not in TIMES or isinstance(value, bool) or not isinstance(value, int | float):
        return shown
    try:
        moment = datetime.fromtimestamp(value, UTC).strftime("%Y-%m-%d %H:%M:%S UTC")
    except (OverflowError, ValueError, OSError):
        return f"{shown}  (no date that can be shown)"
    return f"{shown}  {moment}, {_distance(value - time.time())}"


def _distance(seconds: float) -> str:
    amount = abs(seconds)
    for unit, size in (("day", 86_400), ("hour", 3_600), ("minute", 60), ("second", 1)):
        if amount >= size or unit == "second":
            number = int(amount // size)
            words = f"{number} {unit}{'' if number == 1 else 's'}"
            return f"in {words}" if seconds > 0 else f"{words} ago"
    raise AssertionError("unreachable")
