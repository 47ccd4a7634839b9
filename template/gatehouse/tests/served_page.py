"""What a page of HTML loads and holds, read as a browser under the page's policy would."""

from html.parser import HTMLParser

ADDRESSES = {"href", "src", "action", "formaction", "data", "srcset", "poster"}


class Page(HTMLParser):
    """What a page loads, what code stands in it, and the names and labels of its parts."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.addresses: list[str] = []
        self.inline: list[str] = []
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.inside = ""
        self.feed(html)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.inside = tag
        self.tags.append((tag, dict(attrs)))
        for name, value in attrs:
            if name in ADDRESSES:
                self.addresses.append(value or "")
            if name == "style" or name.startswith("on") or "javascript:" in (value or ""):
                self.inline.append(f"{tag} {name}")

    def handle_endtag(self, tag: str) -> None:
        self.inside = ""

    def handle_data(self, data: str) -> None:
        if self.inside in ("script", "style") and data.strip():
            self.inline.append(self.inside)

    def ids(self) -> list[str]:
        return [value for _, attrs in self.tags if (value := attrs.get("id"))]
