"""Starts and commands against the bare application's and an earlier release's; a render."""

import os
import shutil
import time
from pathlib import Path
from statistics import median

from benchmarks.plan import Plan
from benchmarks.report import Row, compare
from benchmarks.service import REPOSITORY, VERSION, Service, copier, copy_command, run

MOST_SECONDS = 2.0
MOST_OF_A_START = 1.6
MOST_OF_A_COMMAND = 0.6
BEFORE = "914604775d23e6b1b27bb17036c050d2b9828e1c"  # 0.5.0
COMMAND_BEFORE = "from demo_service.main import main; main()"


def measure_start(service: Service, plan: Plan) -> list[Row]:
    """Both by the same Python with compiled modules, which the first start of each makes."""
    pairs = []
    for _ in range(plan.start_rounds + 1):
        with service.serve_bare() as server:
            reference = server.started
        with service.serve() as server:
            pairs.append((reference, server.started))
    return [_bounded("cold start", pairs[1:], MOST_OF_A_START)]


def measure_command(service: Service, plan: Plan) -> list[Row]:
    """`keys list` of this service and of one rendered from an earlier release, in turns.

    By the same Python and the same libraries: the earlier service and its core are found first.
    """
    before = service.folder.parent / "before"
    source = service.folder.parent / "source"
    clone: list[str | Path] = ["git", "clone", "--quiet", "--no-checkout", REPOSITORY, source]
    run(clone, service.folder, service.environment)
    run(["git", "checkout", "--quiet", BEFORE], source, service.environment)
    run(["git", "tag", "--force", VERSION], source, service.environment)
    copy = copier("copy", "--defaults", "--quiet", "--vcs-ref", VERSION, source, before)
    run(copy, service.folder.parent, service.environment)
    paths = os.pathsep.join(str(before / folder) for folder in ("gatehouse/src", "src"))
    environment = {**service.environment, "PYTHONPATH": paths}
    earlier = Service(before, environment, [])
    pairs = []
    for _ in range(plan.start_rounds + 1):  # the first compiles modules
        command: list[str | Path] = [service.python, "-c", COMMAND_BEFORE, "keys", "list"]
        reference = _seconds(earlier, command, before)
        began = time.perf_counter()
        service.command("keys", "list")
        pairs.append((reference, time.perf_counter() - began))
    return [_bounded("keys list", pairs[1:], MOST_OF_A_COMMAND)]


def _bounded(name: str, pairs: list[tuple[float, float]], most: float) -> Row:
    return compare(name, pairs, "s", target=f"≤ {most}", met=lambda ratio: ratio <= most)


def measure_render(service: Service, template: Path, plan: Plan) -> list[Row]:
    folder = service.folder.parent
    pairs = []
    for number in range(plan.render_rounds):
        target = folder / f"render-{number}"
        reference = _seconds(service, copier("--version"), folder)
        pairs.append((reference, _seconds(service, copy_command(template, target), folder)))
        shutil.rmtree(target)
    row = compare("render", pairs, "s")
    met = median(ours for _, ours in pairs) < MOST_SECONDS
    return [Row(row.name, row.reference, row.ours, row.ratio, f"< {MOST_SECONDS:.0f} s", met)]


def _seconds(service: Service, command: list[str | Path], folder: Path) -> float:
    began = time.perf_counter()
    run(command, folder, service.environment)
    return time.perf_counter() - began
