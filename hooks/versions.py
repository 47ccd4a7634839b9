"""Semantic Versioning 2.0.0: which text is a version, and which of two is the later."""

import re

PART = r"(?:0|[1-9][0-9]*|[0-9]*[A-Za-z-][0-9A-Za-z-]*)"
SEMVER = re.compile(
    r"(0|[1-9][0-9]*)\.(0|[1-9][0-9]*)\.(0|[1-9][0-9]*)"
    rf"(?:-({PART}(?:\.{PART})*))?(?:\+[0-9A-Za-z-]+(?:\.[0-9A-Za-z-]+)*)?"
)
Order = tuple[tuple[int, ...], bool, list[tuple[bool, int, str]]]


def order(version: str) -> Order:
    """What sorts versions as item 11 wants. Raises ValueError if the text is no version."""
    match = SEMVER.fullmatch(version)
    if not match:
        raise ValueError(f"{version} is no semantic version")
    *numbers, before = match.groups()
    parts = before.split(".") if before else []
    rank = [(not part.isdigit(), int(part) if part.isdigit() else 0, part) for part in parts]
    return tuple(map(int, numbers)), not parts, rank
