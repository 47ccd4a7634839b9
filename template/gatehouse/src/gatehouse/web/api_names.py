"""The names in an application's API document: what a refusal may repeat of a request."""

from collections.abc import Iterator
from collections.abc import Set as AbstractSet

from fastapi import FastAPI

_PLACES = ("body", "query", "path", "header", "cookie")


def known_names(app: FastAPI) -> AbstractSet[str]:
    """Every name of a parameter or a field, and of the places where they stand.

    The document is walked when it is new, at start-up and after a route was added, and not for
    each refusal: that would be milliseconds of the event loop for whoever sends nonsense.
    """
    document = app.openapi()
    known: tuple[object, AbstractSet[str]] | None
    known = getattr(app.state, "gatehouse_names", None)
    if known is None or known[0] is not document:
        known = app.state.gatehouse_names = (document, {*_PLACES, *_names(document)})
    return known[1]


def _names(document: object) -> Iterator[str]:
    if isinstance(document, dict):
        if isinstance(name := document.get("name"), str):
            yield name
        if isinstance(properties := document.get("properties"), dict):
            yield from properties
        for value in document.values():
            yield from _names(value)
    elif isinstance(document, list):
        for value in document:
            yield from _names(value)
