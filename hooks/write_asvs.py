"""Write docs/asvs.md: what the core does about OWASP ASVS 5.0, row by row, and which tests show it.

The rows are data (`docs/asvs.toml`); the tests name the rows that they show themselves
(`@pytest.mark.asvs("6.2.1")`). The tests are read, not imported. A test of the template fails
while the document is stale, and for a row that nothing shows.
"""

import argparse
import ast
import tomllib
from collections import Counter
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parents[1]
CORE = Path("template/gatehouse")
ROWS = ROOT / "docs" / "asvs.toml"
DOCUMENT = ROOT / "docs" / "asvs.md"
STATES = ("met", "deviation", "does not apply")

CHAPTERS = {
    "6": "V6: authentication",
    "7": "V7: session management",
    "9": "V9: self-contained tokens",
    "10": "V10: OAuth and OpenID Connect",
}
HEAD = """\
# OWASP ASVS 5.0: authentication, sessions, tokens, OAuth

Every row of levels 1 and 2 in the chapters V6, V7, V9 and V10 of
[ASVS 5.0](https://github.com/OWASP/ASVS/tree/v5.0.0_release/5.0/en), and what the core does about
it. What a row asks for stands here in our words; the standard's own count. **No level is
claimed:** the table says where the core deviates, and why. It is about the core alone: a service
has code of its owner's, a proxy and a database besides.

`hooks/write_asvs.py` writes this file from [asvs.toml](asvs.toml) and from marks on tests. A row
that is met, or deviates, has a test that shows it: of a deviation, how far it goes. A row without
one turns a test red, and so does a mark that names no row.
"""


@dataclass(frozen=True, slots=True)
class Row:
    """One row. `file` is in the core; `reason` is why it deviates or does not apply."""

    level: int
    wants: str
    state: str
    control: str = ""
    file: str = ""
    reason: str = ""


def read_rows(path: Path = ROWS) -> dict[str, Row]:
    """The rows by their number. A row that lacks or invents a member is a TypeError."""
    return {number: Row(**row) for number, row in tomllib.loads(path.read_text("utf-8")).items()}


def marks(root: Path = ROOT) -> dict[str, list[tuple[str, str]]]:
    """By row, the tests marked with it: file and function, in their order."""
    found: dict[str, list[tuple[str, str]]] = {}
    for path in sorted((root / CORE / "tests").glob("test_*.py")):
        for node in ast.parse(path.read_text("utf-8")).body:
            if isinstance(node, ast.FunctionDef):
                for number in _marked(node):
                    found.setdefault(number, []).append((path.name, node.name))
    return found


def _marked(function: ast.FunctionDef) -> list[str]:
    return [
        ast.literal_eval(argument)
        for decorator in function.decorator_list
        if isinstance(decorator, ast.Call) and ast.unparse(decorator.func) == "pytest.mark.asvs"
        for argument in decorator.args
    ]


def document(rows: dict[str, Row], shown: dict[str, list[tuple[str, str]]]) -> str:
    """The document's right content."""
    parts = [HEAD, _counts(rows)]
    for chapter, title in CHAPTERS.items():
        parts.append(f"## {title}\n")
        lines = ["| row | level | asks that | | how, and why not | shown by |"]
        lines.append("|---|---|---|---|---|---|")
        for number, row in rows.items():
            if number.split(".")[0] == chapter:
                cells = (number, str(row.level), row.wants, f"**{row.state}**")
                lines.append(
                    f"| {' | '.join((*cells, _how(row), _tests(shown.get(number, []))))} |"
                )
        parts.append("\n".join(lines) + "\n")
    return "\n".join(parts)


def _counts(rows: dict[str, Row]) -> str:
    lines = [f"| level | {' | '.join(STATES)} |", "|---|--:|--:|--:|"]
    for level in (1, 2):
        count = Counter(row.state for row in rows.values() if row.level == level)
        lines.append(f"| {level} | {' | '.join(str(count[state]) for state in STATES)} |")
    return "\n".join(lines) + "\n"


def _how(row: Row) -> str:
    place = row.file.removeprefix("src/gatehouse/")
    control = f"{row.control} ([{place}](../{CORE}/{row.file}))" if row.control else ""
    if row.state == "deviation":
        return f"{control}. But: {row.reason}"
    return control or row.reason


def _tests(tests: list[tuple[str, str]]) -> str:
    by_file: dict[str, list[str]] = {}
    for file, test in tests:
        by_file.setdefault(file, []).append(f"`{test}`")
    return "; ".join(
        f"[{file}](../{CORE}/tests/{file}): {', '.join(names)}" for file, names in by_file.items()
    )


def main() -> None:
    argparse.ArgumentParser(description=__doc__.split("\n")[0]).parse_args()
    rows = read_rows()
    DOCUMENT.write_text(document(rows, marks()), encoding="utf-8", newline="\n")
    print(f"Wrote {DOCUMENT.name} with {len(rows)} rows.")


if __name__ == "__main__":
    main()
