"""Write the table of a run: `python -m matrix.table RESULTS FILE`."""

import json
import sys
from pathlib import Path
from typing import Any

BEGIN, END = "<!-- matrix -->", "<!-- /matrix -->"
CATEGORIES = ("extension point", "merged file", "core in place", "lived-in service")
HEAD = ("the owner changed", "edits", "cases", "clean", "reported", "lost edits", "silent misses")

Result = dict[str, Any]


def read(folder: Path) -> list[Result]:
    lines = (line for path in sorted(folder.glob("*.jsonl")) for line in path.open())
    return [json.loads(line) for line in lines]


def row(name: str, found: list[Result]) -> str:
    edits = len({result["edit"] for result in found})
    clean = sum(result["clean"] for result in found)
    counts = (
        *(edits, len(found), f"{clean} ({100 * clean / len(found):.1f} %)"),
        sum(result["reported"] for result in found),
        sum(bool(result["lost"]) for result in found),
        sum(bool(result["missed"]) for result in found),
    )
    return f"| {name} | " + " | ".join(map(str, counts)) + " |"


def table(results: list[Result]) -> str:
    starts = sorted({result["versions"][0] for result in results})
    answers = sorted({result["answers"] for result in results})
    stepwise = sum(len(result["versions"]) > 2 for result in results)
    rows = [
        row(category, found)
        for category in CATEGORIES
        if (found := [result for result in results if result["category"] == category])
    ]
    wrong = sum(bool(result["wrong"]) for result in results)
    lost = [r for r in results if r["lost"] or r["missed"] or r["wrong"]]
    said = [
        f"{len(results)} cases, {stepwise} of them step by step through each release; "
        f"from {', '.join(starts)} to this version; {len(answers)} sets of answers; "
        f"{wrong} with any other fault.",
        "",
        "| " + " | ".join(HEAD) + " |",
        "|---" + "|--:" * (len(HEAD) - 1) + "|",
        *rows,
    ]
    if lost:
        said += ["", "Not kept: " + ", ".join(sorted({f"`{r['edit']}`" for r in lost})) + "."]
    return "\n".join(said)


def write(text: str, target: Path) -> None:
    """Between the markers of the file, which must be there."""
    before, begin, rest = target.read_text("utf-8").partition(BEGIN)
    _, end, after = rest.partition(END)
    if not (begin and end):
        raise SystemExit(f"{target} has no {BEGIN} … {END}")
    target.write_text(f"{before}{BEGIN}\n{text}\n{END}{after}", encoding="utf-8")


def main(arguments: list[str]) -> None:
    text = table(read(Path(arguments[0])))
    print(text)
    for target in arguments[1:]:
        write(text, Path(target))


if __name__ == "__main__":
    main(sys.argv[1:])
