"""How many hashes may be computed at once: what the machine has, and what a container gives of it.

A quota is not seen in the count of cores: eight threads on two cores' worth of time stop the
event loop for most of each period, and eight hashes in 256 MiB end the process.
"""

import os
import sys
from collections.abc import Iterator
from pathlib import Path

HASH_BYTES = 64 * 1024 * 1024  # what one hash takes
CGROUPS = Path("/sys/fs/cgroup")
MEMBERSHIP = Path("/proc/self/cgroup")


def hash_threads(cgroups: Path = CGROUPS, membership: Path = MEMBERSHIP) -> int:
    """As many as there is processor time for, on at most half of the memory; 1 at the least.

    Reads the limits of control groups, version 2 and 1: the process's own and all above it.
    `cgroups` is where they are mounted, `membership` says which are the process's own.
    """
    if sys.platform != "linux":
        return os.cpu_count() or 1
    found = [len(os.sched_getaffinity(0))]
    for folder in _folders(cgroups, membership):
        found += (_whole_cores(folder), _hashes_in_memory(folder))
    return max(1, min(found))


def _folders(cgroups: Path, membership: Path) -> Iterator[Path]:
    """The process's groups. In a container the mount's own root is the group, whatever is told."""
    for line in _read(membership).splitlines() or [""]:
        _, _, rest = line.partition(":")
        controllers, _, path = rest.partition(":")
        parts = [part for part in path.split("/") if part]
        if ".." in parts:  # a group outside of what is mounted here
            parts = []
        for root in {cgroups / controllers, *(cgroups / one for one in controllers.split(","))}:
            yield from (root.joinpath(*parts[:depth]) for depth in range(len(parts) + 1))
    # Version 1, where the membership cannot be read or names other mounts.
    yield from (cgroups / name for name in ("cpu", "cpu,cpuacct", "memory"))


def _whole_cores(folder: Path) -> int:
    """Rounded down: what is left of a core is the event loop's."""
    quota, _, period = _read(folder / "cpu.max").partition(" ")
    if not quota:
        quota, period = (_read(folder / f"cpu.cfs_{name}_us") for name in ("quota", "period"))
    if quota.isdecimal() and period.isdecimal() and int(period):
        return int(quota) // int(period)
    return sys.maxsize


def _hashes_in_memory(folder: Path) -> int:
    limit = _read(folder / "memory.max") or _read(folder / "memory.limit_in_bytes")
    return int(limit) // 2 // HASH_BYTES if limit.isdecimal() else sys.maxsize


def _read(path: Path) -> str:
    try:
        return path.read_text("ascii").strip()
    except (OSError, UnicodeError):
        return ""
