"""Reads a page of the report as a browser would."""

from __future__ import annotations

import re
from html.parser import HTMLParser

HOSTILE = '<script>alert("x")</script>|`*'
"""Text that breaks a page or a Markdown table that does not escape it."""


class Page(HTMLParser):
    """Collects what a browser would load, and checks that elements close in order."""

    VOID = frozenset({"meta", "img", "br", "link", "input", "line", "rect", "circle", "polyline"})

    def __init__(self, html: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.loaded: list[str] = []
        self.tags: list[str] = []
        self.text = ""
        self.feed(html)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.loaded += [value or "" for name, value in attrs if name in {"src", "href", "srcset", "data", "action"}]
        if tag not in self.VOID:
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        if tag not in self.VOID:
            assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.text += data


def section_html(html: str, name: str) -> str:
    """One section of the page."""
    start = html.index(f'<section id="{name}">')
    return html[start : html.index("</section>", start)]


def section_text(html: str, name: str) -> str:
    """The text of one section in one line, cells of tables apart."""
    apart = re.sub(r'(<td|<th|<span class="small")', r" \1", section_html(html, name))
    return " ".join(Page(f"{apart}</section>").text.split())
