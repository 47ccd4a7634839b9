"""Where the workers meet: a folder for shared renders, and a file of outcomes for each worker."""

import json
import os
from dataclasses import asdict
from pathlib import Path

import pytest

from matrix.model import Outcome

FULL = os.environ.get("MATRIX") == "full"
RESULTS = "MATRIX_RESULTS"
WORKER = "PYTEST_XDIST_WORKER"


def shared_folder(factory: pytest.TempPathFactory, name: str) -> Path:
    """One folder for all workers of this run."""
    base = factory.getbasetemp()
    folder = (base.parent if WORKER in os.environ else base) / f"matrix-{name}"
    folder.mkdir(exist_ok=True)
    return folder


def record(outcome: Outcome) -> None:
    """For the table, when one is wanted."""
    if folder := os.environ.get(RESULTS):
        with Path(folder, f"{os.environ.get(WORKER, 'main')}.jsonl").open("a") as lines:
            judged = {"clean": outcome.clean, "reported": outcome.reported}
            lines.write(json.dumps({**asdict(outcome), **judged}) + "\n")
