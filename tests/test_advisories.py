"""Each hole has an advisory that says what an owner needs, a line in the change log, and a test."""

import ast
import re

import pytest
from rendering import REPOSITORY

FOLDER = REPOSITORY / "docs" / "advisories"
LIST = (FOLDER / "README.md").read_text("utf-8")
ADVISORIES = sorted(path.name for path in FOLDER.glob("2*.md"))
HOLES = 25
# What an owner needs, in the words of any of the files.
PARTS = ("affected", "0.5.0", "(until you (have )?update)|(what to do)|(for a volume)", "found")


def rows() -> list[list[str]]:
    found = [line.strip("|").split(" | ") for line in LIST.splitlines() if "](2" in line]
    assert all(len(row) == 4 for row in found)
    return [[cell.strip() for cell in row] for row in found]


def test_each_hole_is_in_the_list_and_each_advisory_of_it() -> None:
    numbers = {int(number) for number, *_ in rows() if number.isdecimal()}
    assert numbers == set(range(1, HOLES + 1))
    named = {name for row in rows() for name in re.findall(r"\((2[^)]+)\)", row[2])}
    assert sorted(named) == ADVISORIES


def test_an_advisory_of_several_holes_says_which() -> None:
    by_file: dict[str, set[str]] = {}
    for number, _, advisories, _ in rows():
        for name in re.findall(r"\((2[^)]+)\)", advisories):
            by_file.setdefault(name, set()).add(number)
    for name, numbers in by_file.items():
        text = (FOLDER / name).read_text("utf-8")
        for number in numbers if len(numbers) > 1 else ():
            assert re.search(rf"^ *- \*Hole {number}\.\*", text, re.M), f"{name}: hole {number}"


@pytest.mark.parametrize("name", ADVISORIES)
def test_an_advisory_says_who_is_affected_what_to_do_and_how_it_was_found(name: str) -> None:
    text = (FOLDER / name).read_text("utf-8").lower()
    for part in PARTS:
        assert re.search(part, text), part


def test_every_test_that_holds_a_hole_exists() -> None:
    for row in rows():
        held = re.findall(r"`([\w/.]+)::(\w+)`", row[3])
        assert held, row[0]
        assert row[3] == ", ".join(f"`{file}::{test}`" for file, test in held)
        for file, test in held:
            folder = REPOSITORY if "/" in file else REPOSITORY / "template" / "gatehouse" / "tests"
            tree = ast.parse((folder / file).read_text("utf-8"))
            names = {node.name for node in tree.body if isinstance(node, ast.FunctionDef)}
            assert test in names, f"{file} has no {test}"


def test_the_change_log_names_every_advisory_under_security() -> None:
    parts = re.split(r"^##+ ", (REPOSITORY / "CHANGELOG.md").read_text("utf-8"), flags=re.M)
    told = "".join(part for part in parts if part.startswith("Security\n"))
    for name in ADVISORIES:
        assert f"](docs/advisories/{name})" in told, name
