"""Lines of defence to take away, one at a time, and the tests that must notice."""

import os
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from sampling import TODAY

CORE = "gatehouse/src/gatehouse"
PARTS = 30  # a run takes one, another one each day


@dataclass(frozen=True)
class Mutation:
    """`old`, which is in `file` once, becomes `new`; then `tests` must fail.

    `tests` is a file, and after a blank what pytest's -k takes of it. `owner`: what guards an
    owner's application must also fail in the default suite, without the thorough tests: the same
    ones, or those named there. `of_template`: the tests are the template's own, and the paths
    those of a copy of this repository. `postgresql`: what SQLite, with its one writer, needs not.
    """

    file: str
    old: str
    new: str
    tests: str
    owner: bool | str = False
    of_template: bool = False
    postgresql: bool = False

    @property
    def owners_tests(self) -> str:
        """What must fail in an owner's default suite; nothing if it need not."""
        return self.tests if self.owner is True else self.owner or ""


@dataclass(frozen=True)
class Argued:
    """A removal that no test can see, since another line makes up for it.

    `line` of `made_up_in` is that line, and `red` names the mutation that takes it away.
    """

    removal: Mutation
    made_up_in: str
    line: str
    red: str


def asked() -> str:
    """Which of them are to be taken away: MUTANTS says it, "all" or a part such as "2/5"."""
    return os.environ.get("MUTANTS") or f"{TODAY % PARTS + 1}/{PARTS}"


def part_of(names: Sequence[str], which: str) -> list[str]:
    """All of the names, or a part of them: of "2/5" every fifth, from the second on."""
    if which == "all":
        return list(names)
    part, _, of = which.partition("/")
    if not (part.isdecimal() and of.isdecimal() and 1 <= int(part) <= int(of)):
        raise ValueError(f"MUTANTS is {which!r}: give all, or a part such as 2/5")
    return list(names[int(part) - 1 :: int(of)])


def in_words(outcomes: Iterable[tuple[str, bool]]) -> str:
    """What a run has shown. An outcome is a case's kind, and whether it was as it must be."""
    seen: dict[str, list[bool]] = {"core": [], "owner": [], "argued": []}
    for kind, good in outcomes:
        seen[kind].append(good)
    core, owner, argued = seen["core"], seen["owner"], seen["argued"]
    return (
        f"{len(core)} removed controls: {sum(core)} red with all tests, of these {sum(owner)} of "
        f"{len(owner)} also in an owner's default suite; {sum(argued)} of {len(argued)} argued.\n"
        f"MUTANTS={asked()}; unless told, a run takes another part of {PARTS} each day."
    )
