"""The site of docs: built strictly, without a dead link, and without asking anything of another host."""

from __future__ import annotations

import importlib.util
import logging
import re
from html.parser import HTMLParser
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit

import pytest

import xglue_analysis

ROOT = Path(__file__).resolve().parents[2]
MKDOCS = ROOT / "mkdocs.yml"
BESIDE = "../index.html"
"""The leaderboard, which is published beside the docs."""

pytestmark = [
    pytest.mark.processes,  # signatures are formatted by ruff
    pytest.mark.skipif(not MKDOCS.exists(), reason="the documentation is not beside the tests"),
    pytest.mark.skipif(
        importlib.util.find_spec("material") is None or importlib.util.find_spec("mkdocstrings") is None,
        reason="no mkdocs-material or mkdocstrings: pip install 'xglue-harness[docs]'",
    ),
]


class _Page(HTMLParser):
    """What a page links to, what it loads, and its anchors."""

    def __init__(self, path: Path) -> None:
        super().__init__()
        self.links: list[str] = []
        self.loaded: list[str] = []
        self.anchors: set[str] = set()
        self.feed(path.read_text(encoding="utf-8"))

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        given = {name: value or "" for name, value in attrs}
        if tag == "a" and "href" in given:
            self.links.append(given["href"])
        elif tag == "link" and given.get("rel") not in ("canonical", "next", "prev"):
            self.loaded.append(given["href"])
        elif "src" in given:
            self.loaded.append(given["src"])
        self.anchors |= {given[name] for name in ("id", "name") if name in given}


@pytest.fixture(scope="module")
def hooks() -> Any:
    spec = importlib.util.spec_from_file_location("docs_hooks", ROOT / "tools" / "docs" / "hooks.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def _build(folder: Path, **changes: Any) -> Path:
    from mkdocs.commands.build import build
    from mkdocs.config import load_config

    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(ROOT)
        patch.delenv("GITHUB_REPOSITORY", raising=False)
        config = load_config(str(MKDOCS), strict=True, site_dir=str(folder), **changes)
        config.plugins.on_startup(command="build", dirty=False)
        build(config)
    return folder


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return _build(tmp_path_factory.mktemp("site") / "docs")


@pytest.fixture(scope="module")
def pages(site: Path) -> dict[Path, _Page]:
    return {path: _Page(path) for path in sorted(site.rglob("*.html"))}


def test_every_page_of_docs_is_there(site: Path) -> None:
    for page in [*(ROOT / "docs").glob("*.md"), *(ROOT / "examples").glob("*.ipynb")]:
        folder = "examples/" * (page.suffix == ".ipynb")
        assert (site / f"{folder}{page.stem}" / "index.html").is_file(), page
    for name in ("index.html", "contributing/index.html", "changelog/index.html"):
        assert (site / name).is_file()


def test_every_link_leads_to_a_page_and_to_an_anchor_of_it(site: Path, pages: dict[Path, _Page]) -> None:
    count = 0
    for path, page in pages.items():
        if path.name == "404.html":  # is shown at any address, so its links are absolute
            continue
        for link in page.links:
            parts = urlsplit(link)
            if parts.scheme in ("http", "https", "mailto"):
                continue
            target = (path.parent / unquote(parts.path)).resolve() if parts.path else path
            if target == (site / BESIDE).resolve():
                continue
            target = target / "index.html" if target.is_dir() else target
            assert target.is_file(), f"{path.relative_to(site)}: {link}"
            if parts.fragment and target in pages:
                anchors = pages[target].anchors
                assert unquote(parts.fragment) in anchors, f"{path.relative_to(site)}: {link}"
            count += 1
    assert count > 1000


def test_every_page_links_to_the_leaderboard_beside_it(site: Path, pages: dict[Path, _Page]) -> None:
    for path, page in pages.items():
        if path.name != "404.html":
            found = [link for link in page.links if (path.parent / link).resolve() == (site / BESIDE).resolve()]
            assert found, path


def test_nothing_comes_from_another_host(site: Path, pages: dict[Path, _Page]) -> None:
    loaded = [(path, address) for path, page in pages.items() for address in page.loaded]
    assert len(loaded) > 100
    assert [address for _, address in loaded if re.match(r"(https?:)?//", address)] == []
    assert [path for path in pages if 'data-md-component="source"' in path.read_text("utf-8")] == [], (
        "asks GitHub for stars"
    )
    for sheet in site.rglob("*.css"):
        text = sheet.read_text(encoding="utf-8")
        assert re.findall(r"(?:url\(|@import)\s*[\"']?(?:https?:)?//[^)\s]*", text) == [], sheet


def test_all_public_names_of_the_library_are_explained(pages: dict[Path, _Page]) -> None:
    anchors = set[str]().union(*(page.anchors for page in pages.values()))
    explained = {anchor.rpartition(".")[2] for anchor in anchors if anchor.startswith("xglue_analysis.")}
    assert set(xglue_analysis.__all__) - explained == set()
    assert {
        "xglue_harness.metrics.ratio",
        "xglue_harness.official_metrics",
        "xglue_harness.results.run.Run",
    } <= anchors


def test_roles_of_sphinx_are_gone(site: Path) -> None:
    text = (site / "api/xglue_harness.metrics/index.html").read_text(encoding="utf-8")
    assert ":func:" not in text
    assert "<code>ratio</code>" in text


def test_lists_and_their_code_are_as_on_github(site: Path) -> None:
    text = (site / "contributing/index.html").read_text(encoding="utf-8")
    steps = text.partition('id="add-a-backbone-to-the-leaderboard"')[2].partition("</ol>")[0]
    assert steps.count("<li>") == 8, "code between the items ends no list"
    assert "<!--" not in steps
    assert "```" not in text


@pytest.mark.parametrize(
    ("name", "content", "reason"),
    [
        ("lost.md", "# Lost\n", "not included in the"),
        ("data.md", "# Data\n\n[there](nowhere.md)\n", "a link to nowhere.md"),
        ("data.md", "# Data\n\n[there](encoders.md#nowhere)\n", "nowhere"),
        ("data.md", "# Data\n\n[there](../xglue_harness/nowhere.py)\n", "nowhere.py"),
    ],
)
def test_what_is_wrong_stops_the_build(
    name: str, content: str, reason: str, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """A page that the navigation lacks, and links that lead nowhere."""
    from mkdocs.exceptions import MkDocsException

    docs = tmp_path / "docs"
    docs.mkdir()
    for page in (ROOT / "docs").glob("*.md"):
        (docs / page.name).write_text(page.read_text(encoding="utf-8"), encoding="utf-8")
    (docs / name).write_text(content, encoding="utf-8")
    with caplog.at_level(logging.WARNING, logger="mkdocs"), pytest.raises((MkDocsException, SystemExit)) as stop:
        _build(tmp_path / "site", docs_dir=str(docs), plugins=["search"])
    assert reason in f"{caplog.text} {stop.value}"


@pytest.mark.parametrize(
    ("address", "source", "text", "expected"),
    [
        ("", "docs/a.md", "[`b.py`](../hatch_build.py)", "`b.py` (`hatch_build.py`)"),
        ("", "docs/a.md", "[`hatch_build.py`](../hatch_build.py)", "`hatch_build.py`"),
        ("https://x/y", "docs/a.md", "[b](../hatch_build.py#L3)", "[b](https://x/y/blob/main/hatch_build.py#L3)"),
        ("", "docs/a.md", "[r](../README.md#try-it), [d](data.md#a)", "[r](index.md#try-it), [d](data.md#a)"),
        ("", "README.md", "[d](docs/data.md#a) [c](CONTRIBUTING.md)", "[d](data.md#a) [c](contributing.md)"),
        ("", "examples/n.ipynb", "[d](../docs/data.md#a)", "[d](../data.md#a)"),
        ("", "docs/a.md", "[n](../examples/does_translation_help.ipynb)", "[n](examples/does_translation_help.md)"),
        ("", "docs/a.md", "[p](https://p) [h](#here)", "[p](https://p) [h](#here)"),
        ("", "docs/a.md", "```\n[b](nowhere)\n```\n", "```\n[b](nowhere)\n```\n"),
    ],
)
def test_links_are_rewritten(hooks: Any, address: str, source: str, text: str, expected: str) -> None:
    assert hooks.rewritten(text, source, address) == expected


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("a\n- b\n  c\n", "a\n\n- b\n    c\n"),
        ("1. a\n   ```sh\n   x \\\n     y\n   ```\n2. b\n", "1. a\n    ```sh\n    x \\\n      y\n    ```\n2. b\n"),
        ("- a\n  - b\n    c\n- d\n\ne\n", "- a\n    - b\n        c\n- d\n\ne\n"),
        ("<!-- not run: x -->\n    a\n", "    a\n"),
        ("```\n- a\n<!-- b -->\n```\n", "```\n- a\n<!-- b -->\n```\n"),
    ],
)
def test_lists_are_indented_by_four(hooks: Any, text: str, expected: str) -> None:
    assert hooks.as_on_github(text) == expected


def test_the_repository_is_known_where_its_address_is(hooks: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(hooks.metadata, "metadata", lambda _: _NoUrls())
    monkeypatch.delenv("GITHUB_REPOSITORY", raising=False)
    assert hooks.repository() == ""
    monkeypatch.setenv("GITHUB_SERVER_URL", "https://github.com")
    monkeypatch.setenv("GITHUB_REPOSITORY", "we/us")
    assert hooks.repository() == "https://github.com/we/us"


class _NoUrls:
    """Metadata of a distribution that gives no addresses."""

    def get_all(self, _: str) -> None:
        return None
