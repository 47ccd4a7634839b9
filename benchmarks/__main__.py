"""Measure a rendered service against bare FastAPI and a raw Argon2 loop, in paired rounds.

Takes under four minutes, with --quick under 90 seconds. Everything stays on this machine, in a
temporary folder; the service is installed there by uv.
"""

import argparse
import os
import sys
import tempfile
import time
from pathlib import Path

from benchmarks import ended_sessions, logins, refreshing, requests_per_second, starting
from benchmarks.plan import FULL, QUICK
from benchmarks.report import as_markdown, as_text
from benchmarks.servers import cores
from benchmarks.service import Command, Service, make_service, plain_environment, run, take_snapshot

BEGAN = time.monotonic()
VERSIONS = (
    "import importlib.metadata as m;"
    "print(*(f'{n} {m.version(n)}' for n in ('FastAPI', 'uvicorn', 'argon2-cffi')), sep=', ')"
)


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument("--quick", action="store_true", help="fewer rounds, rougher figures")
    parser.add_argument("--write", type=Path, metavar="FILE", help="write the table as Markdown")
    parser.add_argument("--check", action="store_true", help="exit with 1 if a target is missed")
    asked = parser.parse_args()
    plan = QUICK if asked.quick else FULL
    with tempfile.TemporaryDirectory(prefix="gatehouse-bench-") as name:
        folder = Path(name).resolve()
        _warn_if_busy()
        _say("rendering and installing a service")
        (folder / "template").mkdir()
        template = take_snapshot(folder / "template", plain_environment(folder))
        service = make_service(folder, template, logins.AT_ONCE)
        _say("measuring requests")
        rows = requests_per_second.measure(service, plan)
        rows += ended_sessions.measure(service, plan)
        rows += refreshing.measure(service, plan)
        _say("measuring logins")
        rows += logins.measure(service, plan)
        _say("measuring starts and renders")
        rows += starting.measure_start(service, plan)
        rows += starting.measure_command(service, plan)
        rows += starting.measure_render(service, template, plan)
        versions = _versions(service)
    _say("done")
    print(as_text(rows))
    if asked.write:
        text = as_markdown(rows, versions, logins.RATE, asked.quick)
        asked.write.write_text(text, encoding="utf-8")
    return 1 if asked.check and any(row.met is False for row in rows) else 0


def _say(doing: str) -> None:
    print(f"{time.monotonic() - BEGAN:5.0f} s  {doing}", file=sys.stderr, flush=True)


def _warn_if_busy() -> None:
    """Hash threads give way to all other work: where there is much, logins and p99 look bad."""
    load = os.getloadavg()[0] if hasattr(os, "getloadavg") else 0.0
    if load > cores() / 4:
        _say(f"the machine is busy (load average {load:.1f}): the targets are for an idle one")


def _versions(service: Service) -> str:
    code: Command = [service.python, "-c", VERSIONS]
    return run(code, service.folder, service.environment).strip()


if __name__ == "__main__":
    sys.exit(main())
