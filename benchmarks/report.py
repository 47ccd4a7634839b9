"""Rows, and the two ways to show them."""

import platform
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from statistics import median

from benchmarks.servers import cores


@dataclass(frozen=True)
class Row:
    """One comparison. `ratio` is ours to the reference; `target` bounds it, or says its own."""

    name: str
    reference: str
    ours: str
    ratio: float | None
    target: str = ""
    met: bool | None = None

    @property
    def cells(self) -> list[str]:
        digits = 2 if self.ratio is None or self.ratio >= 0.1 else 4
        ratio = "" if self.ratio is None else f"{self.ratio:.{digits}f}"
        verdict = {None: "", True: "met", False: "MISSED"}[self.met]
        return [self.name, self.reference, self.ours, ratio, self.target, verdict]


HEAD = ["measured", "reference", "ours", "ratio", "target", ""]

ABOUT = """# Benchmarks

Measured on the service of the default answers (SQLite, one process), with one guarded route added.
**Read the ratios**: reference and ours took turns on the same machine, so a ratio says something
about another machine too, and an absolute figure does not. Each ratio is the median of the ratios
of its rounds, so it is not exactly the quotient of the two medians beside it.
"""

HOW = """
## What is compared

- **Guarded route**: `Annotated[Caller, requires("notes:read")]`, the token in the cache, against
  the same route in plain FastAPI (`bare_app.py`): the same uvicorn on the same loop (uvloop,
  httptools, one process), the same malloc, the same requests, and uvicorn's own access log into a
  file, as `uvicorn main:app` writes it. Ours is its JSON log. CPU time is the server's own for each
  request: it depends less on what else the machine does.
- **/users/me**: a guard and its account from the database, against the same bare route.
- **Refresh**: CPU time of the server for each of 100 refreshes of one session, one at a time.
- **Logins**: `POST /auth/token` over 8 connections, each with an account of its own, against Argon2
  checks in a plain loop: same parameters, same number of threads at the same priority, same malloc
  settings.
- **p99 during logins**: another route, asked {rate} times a second, while 64 logins start at once,
  against the same route in the seconds before. `/users/me` loads its user from the database.
- **Memory**: the most that the process ever held, against idle. The limit is idle and 64 MiB for
  each hash thread and two more.
- **Cold start**: from the command to the first 200 of `/healthz`, all modules compiled. The bare
  one (`benchmarks/bare_app.py`) loads FastAPI and uvicorn only, no database, no password hashing;
  same Python, same uvicorn, same loop (uvloop) and parser (httptools).
- **keys list**: the same command of a service of release 0.5.0, with the same Python and libraries.
- **Render**: `copier copy --defaults` of a clone, against `copier --version`.

Run it yourself: `nox -s bench`. What a million rows cost is in [growth.md](growth.md).
"""


def compare(
    name: str,
    pairs: Sequence[tuple[float, float]],
    unit: str,
    *,
    target: str = "",
    met: Callable[[float], bool] | None = None,
) -> Row:
    """A row from pairs of (reference, ours), one for each round."""
    ratio = median(ours / reference for reference, ours in pairs)
    reference, ours = (median(side) for side in zip(*pairs, strict=True))
    verdict = met(ratio) if met else None
    return Row(name, figure(reference, unit), figure(ours, unit), ratio, target, verdict)


def figure(value: float, unit: str) -> str:
    digits = 0 if value >= 100 else 1 if value >= 10 else 2
    return f"{value:,.{digits}f} {unit}"


def as_text(rows: Sequence[Row]) -> str:
    table = [HEAD, *(row.cells for row in rows)]
    widths = [max(map(len, column)) for column in zip(*table, strict=True)]
    lines = ("  ".join(map(str.ljust, line, widths)).rstrip() for line in table)
    return "\n".join(lines)


def as_markdown(rows: Sequence[Row], versions: str, rate: float, quick: bool) -> str:
    lines = [HEAD, ["---"] * len(HEAD), *(row.cells for row in rows)]
    table = "\n".join("| " + " | ".join(line) + " |" for line in lines)
    short = " A short run (`--quick`): the figures are rougher." if quick else ""
    return f"{ABOUT}\n{machine(versions)}{short}\n\n{table}\n{HOW.format(rate=f'{rate:.0f}')}"


def machine(versions: str) -> str:
    """Where and when: what a reader needs to judge the absolute figures."""
    parts = [
        datetime.now(UTC).date().isoformat(),
        f"{cores()} cores",
        f"{platform.system()} {platform.machine()}",
        " ".join(platform.libc_ver()),
        f"Python {platform.python_version()}",
        versions,
    ]
    return ", ".join(filter(None, parts)) + "."
