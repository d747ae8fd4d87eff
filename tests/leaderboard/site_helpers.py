"""What the tests of the site and the tool that takes its pictures share: a browser, pages in parts, other trees."""

from __future__ import annotations

import re
import shutil
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from html.parser import HTMLParser
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit

from xglue_harness.benchmark import TASKS
from xglue_harness.leaderboard.contributions.backbones import Backbone
from xglue_harness.leaderboard.validation.rescoring import RescoredResult
from xglue_harness.leaderboard.validation.validate import ValidatedTree

BROWSERS = ("chromium", "chromium-browser", "google-chrome")

ARGUMENTS = (
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
)


BACKBONES = ("tiny-cp", "tiny-lm", "tiny-mt", "tiny-new")
PAGES = (
    "index.html",
    *(f"task-{name}.html" for name in TASKS),
    *(f"backbone-{name}.html" for name in BACKBONES),
    "frozen.html",
    "compare.html",
    "paper.html",
    "contribute.html",
)


def browser_path() -> str | None:
    """A browser on the PATH; ``None`` where there is none."""
    return next((path for name in BROWSERS if (path := shutil.which(name))), None)


@contextmanager
def open_browser(path: str) -> Iterator[Any]:
    """A running browser of Playwright's.

    Args:
        path: of its program.
    """
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=path, args=[*ARGUMENTS])
        try:
            yield browser
        finally:
            browser.close()


VOID = {"meta", "link", "input", "br", "img", "hr"}


@dataclass
class Element:
    """An element of a page.

    Attributes:
        tag: its name.
        values: its attributes.
        parent: the element that holds it.
        parts: its elements and texts, in order.
    """

    tag: str
    values: dict[str, str]
    parent: Element | None = None
    parts: list[Element | str] = field(default_factory=list)

    def all(self, tag: str, **values: str) -> list[Element]:
        """Elements below, by name and attributes (``class_`` for one of the classes)."""
        parts_inside = []
        for part in self.parts:
            if isinstance(part, Element):
                if part.tag == tag and all(part._has(key, value) for key, value in values.items()):
                    parts_inside.append(part)
                parts_inside += part.all(tag, **values)
        return parts_inside

    def _has(self, key: str, value: str) -> bool:
        own = self.values.get(key.rstrip("_"), "")
        return value in own.split() if key == "class_" else own == value

    @property
    def text(self) -> str:
        """The text that is seen: without hidden notes."""
        hidden = {"vh", "note"} & {*self.values.get("class", "").split()}
        return "" if hidden else "".join(part if isinstance(part, str) else part.text for part in self.parts)


class _Reader(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.root = self.here = Element("page", {})

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        element = Element(tag, {key: value or "" for key, value in attrs}, self.here)
        self.here.parts.append(element)
        if tag not in VOID:
            self.here = element

    def handle_endtag(self, tag: str) -> None:
        assert self.here.tag == tag, f"</{tag}> ends <{self.here.tag}>"
        assert self.here.parent is not None
        self.here = self.here.parent

    def handle_data(self, data: str) -> None:
        self.here.parts.append(data)


def read_page(path: Path) -> Element:
    """A page, taken apart; an element that is not closed is an error."""
    reader = _Reader()
    reader.feed(path.read_text(encoding="utf-8"))
    assert reader.here is reader.root, f"{path}: <{reader.here.tag}> is not closed"
    return reader.root


PAPER_NAMES = {
    "tiny-lm": "mbart-large-50",
    "tiny-cp": "mbart-m2m",
    "tiny-mt": "nllb-600m",
    "tiny-new": "xlmr-base",
}


def assert_links_lead_somewhere(site: Path) -> None:
    """Every link of a site leads to a file, and to a place in it."""
    pages = {path.name: read_page(path) for path in site.glob("*.html")}
    ids = {
        name: {e.values["id"] for tag in ("main", "h2", "h3", "h4", "div") for e in page.all(tag) if "id" in e.values}
        for name, page in pages.items()
    }
    for name, page in pages.items():
        for link in page.all("a"):
            parts = urlsplit(link.values["href"])
            if parts.scheme:
                assert re.match(
                    r"https://(arxiv\.org|huggingface\.co|github\.com/(owner/name|Helsinki-NLP/lm-vs-mt))",
                    link.values["href"],
                )
                continue
            target = unquote(parts.path) or name
            assert (site / target).is_file(), f"{name}: {target}"
            if parts.fragment:
                assert parts.fragment in ids[target], f"{name}: {target}#{parts.fragment}"


def as_the_paper(validated: ValidatedTree, backbones: Mapping[str, Backbone]) -> ValidatedTree:
    """The example's results as if they were of the paper's backbones: under its recipe, and one seed under another."""
    paper = tuple(_renamed(rescored, "paper") for rescored in validated.results)
    quick = tuple(_renamed(rescored, "quick") for rescored in validated.results if rescored.result.seed == 1)
    return replace(validated, example=False, backbones=dict(backbones), results=paper + quick, frozen=())


def _renamed(rescored: RescoredResult, recipe: str) -> RescoredResult:
    name = PAPER_NAMES[rescored.result.backbone]
    return replace(rescored, result=rescored.result.model_copy(update={"backbone": name, "recipe": recipe}))
