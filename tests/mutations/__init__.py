"""Lines of defence to take away, one at a time, and the tests that must notice."""

from dataclasses import dataclass

CORE = "gatehouse/src/gatehouse"


@dataclass(frozen=True)
class Mutation:
    """`old` becomes `new` in `file`; then `tests` must fail."""

    file: str
    old: str
    new: str
    tests: str
