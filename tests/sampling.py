"""What grows with releases or with cases: a run takes a part of it, another part each day."""

import os
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import TypeVar

Case = TypeVar("Case")
WHOLE = os.environ.get("WHOLE") == "1"  # before a release: nothing is left for another day
TODAY = datetime.now(UTC).toordinal()


def sample(cases: Sequence[Case], parts: int) -> list[Case]:
    """Every `parts`-th case, from another one on each day: after `parts` days each had its turn."""
    return list(cases if WHOLE else cases[TODAY % parts :: parts])
