"""Every answer that a service has stored can still be given: Copier drops others in silence."""

from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

from trees import configuration


def questions(template: Path) -> dict[str, dict[str, Any]]:
    """What copier.yml asks, without what it computes."""
    found = {}
    for name, entry in configuration(template).items():
        question = entry if isinstance(entry, dict) else {"default": entry}
        if name[0] != "_" and str(question.get("when")).lower() != "false":
            found[name] = question
    return found


def choices(question: dict[str, Any]) -> list[Any]:
    """The values that may be chosen, however they are written; a text of Jinja is one of them."""
    given = question.get("choices", [])
    listed = list(given.values()) if isinstance(given, dict) else given
    pairs = listed if isinstance(listed, list) else [listed]
    values = [pair[1] if isinstance(pair, list) else pair for pair in pairs]
    return [value["value"] if isinstance(value, dict) else value for value in values]


def kind(question: dict[str, Any]) -> tuple[str, bool]:
    """The type of an answer, and whether it is a list of them."""
    inferred = type(question.get("default")).__name__
    return str(question.get("type", inferred)), bool(question.get("multiselect", False))


def check_questions(release: Path, today: Path) -> Iterator[str]:
    """Every answer that a service has stored can still be given."""
    now = questions(today)
    for name, question in questions(release).items():
        if name not in now:
            yield f"copier.yml: the question {name} is gone. Put it back, under this id."
            continue
        if kind(now[name]) != kind(question):
            yield f"copier.yml: {name} has another type. Put {kind(question)[0]} back."
        if "default" in question and "default" not in now[name]:
            yield f"copier.yml: {name} has lost its default. Put one back."
        left = choices(now[name])
        if left and not choices(question):
            yield f"copier.yml: {name} was free and has choices now. Take them away."
        elif left or choices(question):
            for value in choices(question):
                if value not in left:
                    yield f"copier.yml: {name} has lost the choice {value}. Put it back."


def check_new_questions(today: Path, releases: Iterable[Path]) -> Iterator[str]:
    """What no release asked has a default: `copier update --defaults` asks nobody."""
    old = {name for release in releases for name in questions(release)}
    for name, question in questions(today).items():
        if name not in old and "default" not in question:
            yield f"copier.yml: the new question {name} has no default. Give it a safe one."
