"""What a case is made of, and what came of it."""

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

Category = Literal["extension point", "merged file", "core in place"]
Apply = Callable[[Path, str], None]
Check = Callable[[Path], None]

EXTENSION: Category = "extension point"
MERGED: Category = "merged file"
CORE: Category = "core in place"


@dataclass(frozen=True)
class Edit:
    """What one owner did to a service, and what must still be so after an update."""

    name: str
    category: Category
    apply: Apply
    check: Check
    needs: tuple[str, ...] = ()  # paths without which nobody makes this edit
    since: str = "0.1.0"
    kept_from: str = "0.1.0"  # the first version to which an update keeps it


@dataclass
class Outcome:
    """What became of one case. Lost: an edit that is neither kept nor in a reported conflict.
    Missed: a change of ours that is neither there nor reported. Wrong: anything else."""

    edit: str
    category: str
    versions: list[str]
    answers: str
    conflicts: list[str] = field(default_factory=list)
    reports: list[str] = field(default_factory=list)  # what `doctor` says is missing
    lost: list[str] = field(default_factory=list)
    missed: list[str] = field(default_factory=list)
    wrong: list[str] = field(default_factory=list)

    @property
    def clean(self) -> bool:
        return not (self.conflicts or self.reports or self.faults)

    @property
    def reported(self) -> bool:
        return bool(self.conflicts or self.reports)

    @property
    def faults(self) -> list[str]:
        """What makes the case red. An edit at an extension point may not even conflict."""
        named = {"lost": self.lost, "missed": self.missed, "wrong": self.wrong}
        if self.category == EXTENSION:
            named["conflict"] = self.conflicts
        return [f"{kind}: {what}" for kind, found in named.items() for what in found]


EDITS: dict[str, Edit] = {}


def edit(
    category: Category,
    check: Check,
    *needs: str,
    since: str = "0.1.0",
    kept_from: str = "0.1.0",
) -> Callable[[Apply], Apply]:
    """Enter a function into the matrix under its own name."""

    def enter(function: Apply) -> Apply:
        name = function.__name__
        assert name not in EDITS, name
        EDITS[name] = Edit(name, category, function, check, needs, since, kept_from)
        return function

    return enter
