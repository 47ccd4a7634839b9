"""Draw the README's terminal picture from what the demo really prints.

nox -s demo -- --check | python docs/pictures/first_minute.py
"""

import argparse
import re
import sys
from html import escape
from pathlib import Path

PICTURE = Path(__file__).with_name("first-minute.svg")
COLUMNS, LINE, CHARACTER, MARGIN = 100, 20, 8.4, 24
COLOURS = {"$": "#9ece6a", "->": "#7aa2f7", "   200": "#9ece6a", "   401": "#f7768e"}


def main() -> None:
    argparse.ArgumentParser(description=__doc__.split("\n")[0]).parse_args()
    lines = ["$ pip install uv && uvx nox -s demo", *transcript(sys.stdin.read())]
    PICTURE.write_text(draw(lines), encoding="utf-8", newline="\n")
    print(f"Drew {len(lines)} lines into {PICTURE.name}.")


def transcript(printed: str) -> list[str]:
    """The demo's own lines. A password is no picture's business, nor is a random folder name."""
    own = printed[printed.index("\n-> ") :].partition("\n-> Everything")[0]
    own = re.sub(r"(Its password is ).*", r"\1…", own)
    own = re.sub(r"into \S+", "into a new folder", own)
    own += "\n\n-> The service goes on running. Try it:  http://127.0.0.1:8000/docs\n"
    own = re.sub(r"127\.0\.0\.1:\d+", "127.0.0.1:8000", own)
    shown = own.splitlines()
    return [line if len(line) <= COLUMNS else f"{line[: COLUMNS - 1]}…" for line in shown]


def draw(lines: list[str]) -> str:
    width, height = round(COLUMNS * CHARACTER + 2 * MARGIN), len(lines) * LINE + 2 * MARGIN
    texts = "\n".join(
        f'<text x="{MARGIN}" y="{MARGIN + 14 + number * LINE}" fill="{colour(line)}">'
        f"{escape(line)}</text>"
        for number, line in enumerate(lines)
        if line
    )
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" '
        'font-family="ui-monospace, SFMono-Regular, Menlo, Consolas, monospace" font-size="14" '
        'style="white-space: pre">\n<title>The first minute with Gatehouse</title>\n'
        f'<rect width="{width}" height="{height}" rx="8" fill="#1a1b26"/>\n{texts}\n</svg>\n'
    )


def colour(line: str) -> str:
    return next((c for start, c in COLOURS.items() if line.startswith(start)), "#c0caf5")


if __name__ == "__main__":
    main()
