"""How long an update takes: Copier renders three times, so three copies are what it may cost."""

import shutil
import statistics
import time
from pathlib import Path

import pytest
from rendering import run_copier

from matrix.history import NEWEST, NEXT, History


@pytest.mark.full
def test_an_update_takes_no_longer_than_three_copies(history: History, tmp_path: Path) -> None:
    ratios = []
    for turn in range(3):
        begin = time.perf_counter()
        options = ("--quiet", "--defaults", f"--vcs-ref={NEXT}")
        copied = run_copier("copy", *options, history.template, tmp_path / f"copy-{turn}")
        middle = time.perf_counter()
        assert copied.returncode == 0, copied.stderr
        service = tmp_path / f"service-{turn}"
        shutil.copytree(history.base(NEWEST, "defaults"), service, symlinks=True)
        start = time.perf_counter()
        updated = run_copier("update", "--quiet", "--defaults", cwd=service)
        assert updated.returncode == 0, updated.stderr
        ratios.append((time.perf_counter() - start) / (middle - begin))
    median = statistics.median(ratios)
    print(f"\nan update takes {median:.2f} times as long as a copy (median of 3 pairs)")
    assert median <= 3
