"""Cold start against the bare application's, and a render against Copier's own start."""

import shutil
import time
from pathlib import Path
from statistics import median

from benchmarks.plan import Plan
from benchmarks.report import Row, compare
from benchmarks.service import Service, copier, copy_command, run

MOST_SECONDS = 2.0


def measure_start(service: Service, plan: Plan) -> list[Row]:
    pairs = []
    for _ in range(plan.start_rounds):
        with service.serve_bare() as server:
            reference = server.started
        with service.serve() as server:
            pairs.append((reference, server.started))
    return [compare("cold start", pairs, "s")]


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
