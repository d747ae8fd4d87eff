"""The site in a browser, from files: nothing is asked of a network, tables sort, figures are drawn."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.leaderboard.site_helpers import BROWSERS, browser_path, open_browser
from xglue_harness.benchmark import TASKS

pytestmark = pytest.mark.browser

pytest.importorskip("playwright.sync_api", reason="no playwright: pip install 'xglue-harness[test]'")
if browser_path() is None:
    pytest.skip(f"no browser: none of {', '.join(BROWSERS)} on the PATH", allow_module_level=True)

PAGES = (
    "index",
    *(f"task-{name}" for name in TASKS),
    *(f"backbone-{name}" for name in ("tiny-cp", "tiny-lm", "tiny-mt", "tiny-new")),
    "frozen",
    "compare",
    "paper",
    "contribute",
)
PATIENCE = 300_000
"""ms until a page that hangs fails its test; no busy machine takes as long."""
READY = """() => document.readyState === "complete"
    && (!document.querySelector("table.sortable") || document.documentElement.dataset.tables === "ready")
    && [...document.querySelectorAll(".plot")]
        .filter((plot) => !plot.closest("details:not([open])"))
        .every((plot) => plot.querySelector(".cartesianlayer .trace, .cartesianlayer .hm"))"""


@pytest.fixture(scope="module")
def browser():
    with open_browser(browser_path()) as browser:
        yield browser


@pytest.fixture
def tab(browser):
    """A tab that fails the test where a page complains, or asks for anything but files."""
    context = browser.new_context(viewport={"width": 1280, "height": 900}, color_scheme="light")
    context.set_default_timeout(PATIENCE)
    page = context.new_page()
    wrong: list[str] = []
    page.on("console", lambda message: wrong.append(message.text) if message.type in ("error", "warning") else None)
    page.on("pageerror", lambda error: wrong.append(str(error)))
    page.on("request", lambda request: wrong.append(request.url) if not local(request.url) else None)
    page.on("requestfailed", lambda request: wrong.append(f"failed: {request.url}"))
    yield page
    context.close()
    assert wrong == []


def local(url: str) -> bool:
    return url.startswith(("file:", "data:", "blob:"))


def show(page, site: Path, name: str, fragment: str = "") -> None:
    page.goto((site / f"{name}.html").as_uri() + fragment)
    page.wait_for_function(READY)


def column(page, caption: str, head: str) -> list[str]:
    """The numbers of a column, as they are shown."""
    return page.evaluate(
        """([caption, head]) => {
            const tables = [...document.querySelectorAll("table")];
            const table = tables.find((own) => own.caption.textContent.startsWith(caption));
            const heads = [...table.tHead.rows[0].cells].map((cell) => cell.textContent.split(":")[0].trim());
            return [...table.tBodies[0].rows].map((row) => {
                const cell = row.cells[heads.indexOf(head)];
                return cell ? (cell.querySelector("a") || cell).firstChild.textContent : row.textContent;
            });
        }""",
        [caption, head],
    )


def table(page, caption: str):
    return page.locator(".table").filter(has=page.locator("caption", has_text=caption))


@pytest.mark.parametrize("name", PAGES)
def test_a_page_works_from_files_and_fits_a_phone(tab, site, name):
    show(tab, site, name)
    assert tab.locator(".banner").is_visible()
    for width in (390, 360):
        tab.set_viewport_size({"width": width, "height": 800})
        assert tab.evaluate("document.documentElement.scrollWidth") <= width
        tab.evaluate("window.scrollTo(500, 0)")
        assert tab.evaluate("window.scrollX") == 0
    wide = tab.evaluate("[...document.querySelectorAll('.scroll')].every((own) => own.clientWidth <= 360)")
    assert wide


def test_the_row_heads_stay_when_a_table_scrolls(tab, site):
    tab.set_viewport_size({"width": 390, "height": 800})
    show(tab, site, "task-pos")
    box = tab.locator(".scroll").first
    place = box.locator("tbody th").first
    box.evaluate("(own) => { own.scrollLeft = 400; }")
    assert box.evaluate("(own) => own.scrollLeft") == 400
    assert abs(place.bounding_box()["x"] - box.bounding_box()["x"]) < 3


def test_a_column_sorts_by_number(tab, site, board):
    def gaps(own) -> list[str]:
        return [f"{100 * row.gap.value:.1f}" for row in own.rows]

    own = next(own for own in board.tasks.values() if sorted(gaps(own)) != sorted(gaps(own), key=float))
    show(tab, site, f"task-{own.spec.name}")
    caption = f"{own.spec.title} by language"
    before = column(tab, caption, "gap")
    assert before == gaps(own)
    head = table(tab, caption).locator("thead th", has_text="gap")
    head.click()
    tab.locator("th[aria-sort=descending]").wait_for()
    assert column(tab, caption, "gap") == sorted(before, key=float, reverse=True)
    head.locator("[role=button]").focus()
    tab.keyboard.press("Enter")
    tab.locator("th[aria-sort=ascending]").wait_for()
    assert column(tab, caption, "gap") == sorted(before, key=float)


def test_ranks_sort_from_the_best_and_the_box_filters_rows(tab, site, board):
    show(tab, site, "index")
    caption = "Backbones by rank"
    column_of_ranks = column(tab, caption, "rank")
    head = table(tab, caption).locator("thead th", has_text="rank")
    head.click()
    tab.locator("th[aria-sort=ascending]").wait_for()
    best = sorted(row.rank[0] for row in board.overall if row.rank)
    assert [text.rstrip("=") for text in column(tab, caption, "rank")] == [*map(str, best), "–"]
    head.click()
    tab.locator("th[aria-sort=descending]").wait_for()
    assert sorted(column(tab, caption, "rank")) == sorted(column_of_ranks)
    assert column(tab, caption, "rank")[0] == "–"
    box = table(tab, caption).get_by_label("Filter")
    box.fill("continued")
    assert column(tab, caption, "backbone") == ["Tiny LM continued"]
    box.fill("59")  # numbers are not searched
    assert column(tab, caption, "rank") == ["no row has this"]
    box.fill("")
    assert len(column(tab, caption, "backbone")) == 4


def facet(own, name: str):
    """The box of a table that chooses rows."""
    return own.locator("label.facet", has_text=name).locator("select")


def test_boxes_choose_rows_by_family_size_and_licence(tab, paper_site):
    show(tab, paper_site, "index")
    caption = "Backbones that are described"
    own = table(tab, caption)
    assert len(column(tab, caption, "backbone")) == 7
    sizes = facet(own, "Size").locator("option").all_inner_texts()
    assert sizes == ["all", "100 to 300 M", "300 M to 1 B"]
    facet(own, "Size").select_option("300 M to 1 B")
    facet(own, "Family").select_option("CP")
    assert column(tab, caption, "backbone") == ["mBART-50 m2m", "mBART-50 m2o", "mBART-50 o2m"]
    own.get_by_label("Filter").fill("m2m")
    assert column(tab, caption, "backbone") == ["mBART-50 m2m"]
    facet(own, "Licence").select_option("MIT")
    assert column(tab, caption, "backbone") == ["no row has this"]
    for name in ("Size", "Family", "Licence"):
        facet(own, name).select_option("all")
    own.get_by_label("Filter").fill("")
    assert len(column(tab, caption, "backbone")) == 7
    assert facet(table(tab, "Liang et al. 2020"), "Family").count() == 0  # one row


def test_a_phone_shows_the_mean_first(tab, site):
    tab.set_viewport_size({"width": 390, "height": 800})
    show(tab, site, "task-xnli")
    cell = table(tab, "XNLI by language").locator("td.main").first.bounding_box()
    assert cell["x"] + cell["width"] <= 390


def test_a_box_shows_what_stands_behind_the_numbers(tab, site):
    show(tab, site, "task-ner")
    own = table(tab, "NER by language")
    note = own.locator("td.main .note").first
    assert note.bounding_box()["width"] <= 1
    own.get_by_label("show what stands behind").check()
    assert note.bounding_box()["width"] > 50
    assert "95% interval" in note.inner_text()


def test_links_lead_through_the_site(tab, site):
    show(tab, site, "index")
    tab.get_by_role("navigation").get_by_role("link", name="XNLI").click()
    assert tab.title().startswith("EXAMPLE · XNLI")
    assert tab.get_by_role("navigation").get_by_role("link", name="XNLI").get_attribute("aria-current") == "page"
    tab.wait_for_function(READY)
    tab.locator("tbody th a", has_text="Tiny MT").first.click()
    assert tab.locator("h1").inner_text() == "Tiny MT"
    tab.wait_for_function(READY)
    tab.locator("td.main a").first.click()
    assert tab.url.endswith("/data/summary/toy/tiny-mt/nc.json")
    assert json.loads(tab.locator("body").inner_text())["backbone"] == "tiny-mt"


def test_the_button_switches_to_dark_and_it_lasts(tab, site):
    show(tab, site, "index")
    background = "getComputedStyle(document.body).backgroundColor"
    tick = "getComputedStyle(document.querySelector('.plot .xtick text')).fill"
    light = tab.evaluate(background), tab.evaluate(tick)
    assert light[0] == "rgb(255, 255, 255)"
    tab.get_by_role("button", name="Switch to dark colours").click()
    tab.wait_for_function(
        "(old) => getComputedStyle(document.querySelector('.plot .xtick text')).fill !== old", arg=light[1]
    )
    assert tab.evaluate(background) == "rgb(20, 24, 29)"
    show(tab, site, "task-nc")
    assert tab.evaluate(background) == "rgb(20, 24, 29)"
    tab.get_by_role("button", name="Switch to light colours").click()
    assert tab.evaluate(background) == "rgb(255, 255, 255)"


def test_the_system_decides_where_nobody_chose(tab, site):
    tab.emulate_media(color_scheme="dark")
    show(tab, site, "contribute")
    assert tab.evaluate("getComputedStyle(document.body).backgroundColor") == "rgb(20, 24, 29)"
    tab.emulate_media(color_scheme="light")
    tab.wait_for_function("() => getComputedStyle(document.body).backgroundColor === 'rgb(255, 255, 255)'")


def test_two_backbones_are_compared(tab, site):
    value = json.loads((site / "data/compare/toy.json").read_text())
    pair = next(own for own in value["pairs"] if (own["first"], own["second"]) == ("tiny-lm", "tiny-mt"))
    show(tab, site, "compare", "#a=tiny-mt&b=tiny-lm")
    assert tab.get_by_label("First").input_value() == "tiny-mt"
    shown = column(tab, "Tiny MT minus Tiny LM, by task", "difference")
    assert shown == [signed(-own["difference"]["value"]) for own in pair["tasks"].values()]
    languages = column(tab, "Tiny MT minus Tiny LM, by language", "de")
    assert languages[0] == signed(-pair["tasks"]["nc"]["languages"]["de"]["value"])
    tab.get_by_label("First").select_option("tiny-lm")
    assert tab.locator("#comparison .answer").inner_text() == "Choose two different backbones."
    tab.get_by_label("Second").select_option("tiny-mt")
    tab.wait_for_function(READY)
    assert tab.url.endswith("#a=tiny-lm&b=tiny-mt")
    shown = column(tab, "Tiny LM minus Tiny MT, by task", "difference")
    assert shown == [signed(own["difference"]["value"]) for own in pair["tasks"].values()]
    assert tab.locator(".plot .ytick").count() == len(pair["tasks"]) == 9


def signed(value: float) -> str:
    text = f"{abs(100 * value):.1f}"
    return text if float(text) == 0 else f"{'−' if value < 0 else '+'}{text}"


def test_a_recipe_is_chosen_where_there_are_several(tab, paper_site):
    show(tab, paper_site, "compare", "#a=mbart-m2m&b=xlmr-base&recipe=quick")
    assert tab.get_by_label("Recipe").input_value() == "quick"
    value = json.loads((paper_site / "data/compare/quick.json").read_text())
    pair = next(own for own in value["pairs"] if (own["first"], own["second"]) == ("mbart-m2m", "xlmr-base"))
    caption = "mBART-50 m2m minus XLM-R base, by task"
    assert column(tab, caption, "difference") == [signed(own["difference"]["value"]) for own in pair["tasks"].values()]
    tab.get_by_label("Recipe").select_option("paper")
    assert tab.get_by_label("First").input_value() == "mbart-m2m"
    assert "recipe=paper" in tab.url


def test_a_figure_in_a_closed_part_is_drawn_when_it_opens_and_follows_the_window(tab, paper_site):
    show(tab, paper_site, "index")
    part = tab.locator("details.recipe").nth(1)
    assert part.locator(".main-svg").count() == 0
    part.locator("summary").first.click()
    part.locator(".plot .cartesianlayer .trace").first.wait_for()
    figure = part.locator(".plot .main-svg").first
    assert figure.bounding_box()["width"] > 1000
    tab.set_viewport_size({"width": 700, "height": 800})
    tab.wait_for_function(
        "() => [...document.querySelectorAll('.main-svg')].every((own) => own.getBoundingClientRect().width < 700)"
    )
    assert figure.bounding_box()["width"] > 500


def test_a_command_is_copied(tab, site):
    show(tab, site, "contribute")
    tab.get_by_role("button", name="Copy").first.click()
    tab.get_by_role("button", name="Copied").or_(tab.get_by_role("button", name="Selected")).first.wait_for()


def test_without_scripts_the_tables_are_there(browser, site):
    context = browser.new_context(java_script_enabled=False)
    page = context.new_page()
    page.goto((site / "index.html").as_uri())
    assert page.locator("table").first.locator("tbody tr").count() > 0
    assert not page.get_by_label("Filter").first.is_visible()
    assert page.locator("noscript p", has_text="The figure needs JavaScript").first.is_visible()
    page.goto((site / "compare.html").as_uri())
    assert page.locator("noscript p", has_text="Choosing two backbones needs JavaScript").is_visible()
    context.close()
