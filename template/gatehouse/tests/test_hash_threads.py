"""How many hashes run at once where a container gives less than the machine has."""

import os
import sys
from pathlib import Path

import pytest

from gatehouse.hashing.hash_threads import hash_threads

pytestmark = [
    pytest.mark.thorough,
    pytest.mark.skipif(sys.platform != "linux", reason="control groups are Linux's"),
]

MIB = 1024 * 1024


@pytest.fixture(autouse=True)
def _eight_cores(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: set(range(8)))


def write(root: Path, name: str, content: str) -> None:
    (root / name).parent.mkdir(parents=True, exist_ok=True)
    (root / name).write_text(content + "\n")


def counted(root: Path, membership: str = "0::/\n") -> int:
    write(root, "membership", membership)
    return hash_threads(root, root / "membership")


@pytest.mark.parametrize(
    ("quota", "expected"),
    [
        ("max 100000", 8),
        ("200000 100000", 2),
        ("150000 100000", 1),
        ("50000 100000", 1),
        ("6400000 100000", 8),
        ("", 8),
        ("nonsense", 8),
        ("100000 0", 8),
    ],
)
def test_the_quota_of_version_two_bounds_the_threads(
    tmp_path: Path, quota: str, expected: int
) -> None:
    write(tmp_path, "cpu.max", quota)
    assert counted(tmp_path) == expected


@pytest.mark.parametrize(("quota", "expected"), [("-1", 8), ("300000", 3), ("20000", 1)])
@pytest.mark.parametrize("folder", ["cpu", "cpu,cpuacct"])
def test_the_quota_of_version_one_bounds_the_threads(
    tmp_path: Path, folder: str, quota: str, expected: int
) -> None:
    write(tmp_path, f"{folder}/cpu.cfs_quota_us", quota)
    write(tmp_path, f"{folder}/cpu.cfs_period_us", "100000")
    assert counted(tmp_path) == expected


@pytest.mark.parametrize("file", ["memory.max", "memory/memory.limit_in_bytes"])
@pytest.mark.parametrize(
    ("limit", "expected"),
    [
        (str(512 * MIB), 4),
        (str(511 * MIB), 3),
        (str(64 * MIB), 1),
        ("max", 8),
        ("9223372036854771712", 8),
    ],
)
def test_hashes_take_at_most_half_of_the_memory(
    tmp_path: Path, file: str, limit: str, expected: int
) -> None:
    write(tmp_path, file, limit)
    assert counted(tmp_path) == expected


def test_the_narrowest_of_all_limits_holds(tmp_path: Path) -> None:
    write(tmp_path, "cpu.max", "500000 100000")
    write(tmp_path, "memory.max", str(256 * MIB))
    assert counted(tmp_path) == 2


def test_the_groups_above_ones_own_bound_it_too(tmp_path: Path) -> None:
    """A systemd slice, say: the quota stands above the group that the process is in."""
    write(tmp_path, "system.slice/cpu.max", "300000 100000")
    write(tmp_path, "system.slice/notes.service/cpu.max", "max 100000")
    write(tmp_path, "other.slice/cpu.max", "100000 100000")
    assert counted(tmp_path, "0::/system.slice/notes.service\n") == 3


def test_a_group_of_version_one_is_found_by_its_controller(tmp_path: Path) -> None:
    write(tmp_path, "cpu,cpuacct/docker/abc/cpu.cfs_quota_us", "200000")
    write(tmp_path, "cpu,cpuacct/docker/abc/cpu.cfs_period_us", "100000")
    write(tmp_path, "memory/docker/abc/memory.limit_in_bytes", str(4096 * MIB))
    assert counted(tmp_path, "5:cpu,cpuacct:/docker/abc\n4:memory:/docker/abc\n") == 2


def test_a_path_out_of_the_tree_is_not_followed(tmp_path: Path) -> None:
    write(tmp_path, "outside/cpu.max", "100000 100000")
    (tmp_path / "root").mkdir()
    write(tmp_path, "membership", "0::/../outside\n")
    assert hash_threads(tmp_path / "root", tmp_path / "membership") == 8


def test_without_control_groups_the_cores_count(tmp_path: Path) -> None:
    assert hash_threads(tmp_path / "none", tmp_path / "nothing") == 8
