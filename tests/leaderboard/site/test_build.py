"""The site as a whole: its files, its links, and building it where something is already."""

from __future__ import annotations

import hashlib
import re
from dataclasses import replace
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from tests.leaderboard.site_helpers import PAGES, assert_links_lead_somewhere, read_page
from xglue_harness.errors import LeaderboardError
from xglue_harness.leaderboard.site import assets
from xglue_harness.leaderboard.site.build import MARKER, build
from xglue_harness.leaderboard.validation.validate import validate


def test_every_page_is_there_and_nothing_else(site):
    assert {path.name for path in site.glob("*.html")} == {*PAGES}
    assert {path.name for path in site.iterdir() if path.suffix != ".html"} == {MARKER, "assets", "data"}


@pytest.mark.parametrize("kind", ["site", "paper_site", "empty_site"])
def test_every_link_leads_somewhere(kind, request):
    assert_links_lead_somewhere(request.getfixturevalue(kind))


def test_pages_load_nothing_from_elsewhere(site):
    for name in PAGES:
        page = read_page(site / name)
        loaded = [e.values["src"] for e in page.all("script") if "src" in e.values]
        loaded += [e.values["href"] for e in page.all("link")]
        assert {"assets/site.css", "assets/site.js"} <= {*loaded}
        for source in loaded:
            assert source == "data:," or (not urlsplit(source).scheme and (site / source).is_file()), source
        assert not any(e.values.get("type") == "module" for e in page.all("script"))
        assert not [*page.all("img"), *page.all("iframe")]
        assert not any(key.startswith("on") for tag in ("a", "button", "td") for e in page.all(tag) for key in e.values)
    for style in site.glob("assets/*.css"):
        assert not re.search(r"url\(\s*['\"]?(?!data:|['\"]?data:)|@import", style.read_text())


def test_plotly_is_loaded_where_there_is_a_figure(site):
    for name in PAGES:
        page = read_page(site / name)
        figures = bool(page.all("div", class_="plot")) or name == "compare.html"
        assert figures == any(e.values.get("src") == "assets/plotly.min.js" for e in page.all("script")), name


def test_licences_are_there(site):
    text = (site / "assets" / "LICENSES.txt").read_text()
    assert "Plotly" in text
    assert text.count("Permission is hereby granted, free of charge") >= 2
    assert "SpryMedia" in (site / "assets" / "datatables.js").read_text()[:4000]
    assert "Licensed under the MIT license" in (site / "assets" / "plotly.min.js").read_text()[:300]


def contents(site: Path) -> dict[str, str]:
    return {
        path.relative_to(site).as_posix(): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in site.rglob("*")
        if path.is_file()
    }


def test_the_same_tree_gives_the_same_bytes(site, example, tmp_path):
    again = build(validate(example, example=True), tmp_path / "again").parent
    assert contents(again) == contents(site)


def test_an_older_site_is_replaced(validated, tmp_path):
    few = replace(validated, results=())
    folder = tmp_path / "site"
    folder.mkdir()
    site = build(few, folder).parent
    before = contents(site)
    (site / "stale.html").write_text("old")
    build(few, folder)
    assert contents(site) == before
    assert [*tmp_path.iterdir()] == [folder]


@pytest.mark.parametrize("what", ["folder", "file", "link"])
def test_what_is_no_site_is_not_replaced(validated, tmp_path, what):
    own, folder = tmp_path / "own", tmp_path / "site"
    own.mkdir()
    (own / "thesis.txt").write_text("years")
    if what == "link":
        folder.symlink_to(own)
    elif what == "file":
        folder.write_text("years")
    else:
        own.rename(folder)
    before = [path.name for path in tmp_path.iterdir()]
    with pytest.raises(LeaderboardError, match="give"):
        build(replace(validated, results=()), folder)
    assert [path.name for path in tmp_path.iterdir()] == before
    assert (folder if what == "file" else folder / "thesis.txt").read_text() == "years"


def test_a_site_that_fails_leaves_the_older_one(validated, tmp_path, monkeypatch):
    few = replace(validated, results=())
    site = build(few, tmp_path / "site").parent
    before = contents(site)
    monkeypatch.setattr(assets, "find_spec", lambda name: None)
    with pytest.raises(LeaderboardError, match=re.escape("pip install 'xglue-harness[site]'")):
        build(few, site)
    assert contents(site) == before
    assert [*tmp_path.iterdir()] == [site]
