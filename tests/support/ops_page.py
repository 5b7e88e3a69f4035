"""The operations page as a browser would read it."""

from __future__ import annotations

from dataclasses import dataclass, field
from html.parser import HTMLParser
from typing import Any

import httpx2

from config import Settings
from tests.support.api import with_settings


@dataclass
class Read:
    """Rows of cells by their first cell, paths that buttons post to, elements with attributes, style and script."""

    rows: dict[str, list[str]] = field(default_factory=dict)
    posts: list[str] = field(default_factory=list)
    elements: list[tuple[str, dict[str, str | None]]] = field(default_factory=list)
    inline: dict[str, str] = field(default_factory=dict)
    text: str = ""


class _Reader(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.found = Read()
        self.cells: list[str] = []
        self.inside = ""

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        given = dict(attrs)
        self.found.elements.append((tag, given))
        self.inside = tag
        if tag == "tr":
            self.cells = []
        elif tag == "td":
            self.cells.append("")
        elif tag == "form" and given["method"] == "post":
            self.found.posts.append(given["action"] or "")

    def handle_endtag(self, tag: str) -> None:
        if tag == "tr" and self.cells:
            self.found.rows[self.cells[0]] = self.cells
            self.cells = []

    def handle_data(self, data: str) -> None:
        if self.inside in ("script", "style"):
            self.found.inline[self.inside] = self.found.inline.get(self.inside, "") + data
            self.inside = ""
            return
        self.found.text += data
        if self.cells:
            self.cells[-1] += data


def read_page(html: str) -> Read:
    """What stands on the page."""
    reader = _Reader()
    reader.feed(html)
    reader.close()
    return reader.found


def of_tests(settings: Settings) -> Settings:
    """Settings of a server that knows the flows of tests."""
    return with_settings(settings, "workers", beat_extra_flows="tests.support.flows")


async def shown(api: httpx2.AsyncClient, **query: Any) -> Read:
    """The page."""
    answer = await api.get("/ops", params=query)
    assert answer.status_code == 200, answer.text
    assert answer.headers["content-type"] == "text/html; charset=utf-8"
    return read_page(answer.text)


async def press(api: httpx2.AsyncClient, path: str) -> dict[str, Any]:
    """What a button of the page is answered."""
    answer = await api.post(path, headers={"origin": "http://beat", "sec-fetch-site": "same-origin"})
    assert answer.status_code == 200, answer.text
    return dict(answer.json())
