"""What stands on the pages, and in the JSON behind them."""

from __future__ import annotations

import json
import re
import shlex
from dataclasses import replace

import pytest

from tests.leaderboard.conftest import PUBLISHED
from tests.leaderboard.site_helpers import PAGES, Element, assert_links_lead_somewhere, read_page
from xglue_harness.benchmark import TASKS
from xglue_harness.leaderboard.contributions.backbones import read_backbone
from xglue_harness.leaderboard.contributions.recipes import recipe_terms
from xglue_harness.leaderboard.ranking.rows import ALL
from xglue_harness.leaderboard.site.backbone_tables import tasks_table
from xglue_harness.leaderboard.site.build import build
from xglue_harness.leaderboard.site.diagnostics import diagnosis
from xglue_harness.leaderboard.site.figures import script_json
from xglue_harness.published.reference import references
from xglue_harness.recipe import parse_options, resolve


def rows_of(page: Element, caption: str) -> tuple[list[str], list[list[Element]]]:
    """Heads and rows of the table whose caption begins so."""
    table = next(own for own in page.all("table") if own.all("caption")[0].text.startswith(caption))
    heads = [head.text.strip() for head in table.all("thead")[0].all("th")]
    rows = table.all("tbody")[0].all("tr")
    return heads, [[part for part in row.parts if isinstance(part, Element)] for row in rows]


def number_of(cell: Element) -> str:
    """The number of a cell, without its interval and signs."""
    return cell.all("a")[0].text if cell.all("a") else cell.text


def numbers_in(value) -> list[float]:
    if isinstance(value, dict | list):
        return [n for item in (value.values() if isinstance(value, dict) else value) for n in numbers_in(item)]
    return [value] if isinstance(value, int | float) and not isinstance(value, bool) else []


def test_every_page_of_an_example_says_so(site):
    for name in PAGES:
        page = read_page(site / name)
        assert page.all("title")[0].text.startswith("EXAMPLE")
        assert page.all("p", class_="banner")[0].text == "EXAMPLE: toy data, made-up families; the numbers mean nothing"
    assert all(json.loads(path.read_text())["example"] is True for path in site.glob("data/summary/*/*/*.json"))


def test_no_page_of_real_results_says_example(paper_site):
    assert not any("EXAMPLE" in path.read_text() for path in paper_site.glob("*.html"))
    assert not any(json.loads(path.read_text())["example"] for path in paper_site.glob("data/compare/*.json"))


def test_the_overview_has_the_boards_numbers(site, board):
    heads, rows = rows_of(read_page(site / "index.html"), "Backbones by rank")
    assert heads[:6] == ["rank", "backbone", "score", "family", "seeds", "gap"]
    assert heads[6:] == [spec.title for spec in TASKS.values()]
    assert len(rows) == len(board.overall) == 4
    for cells, row in zip(rows, board.overall, strict=True):
        assert number_of(cells[1]) == row.backbone.title
        assert cells[3].text == row.backbone.family
        shown = [number_of(cell) for cell in (cells[2], *cells[5:])]
        tasks = [row.tasks[task].score if task in row.tasks else None for task in board.tasks]
        assert shown == ["–" if own is None else f"{100 * own.value:.1f}" for own in (row.score, row.gap, *tasks)]
        if row.score:
            assert f"±{50 * (row.score.high - row.score.low):.1f}" in cells[2].text
            assert f"{100 * row.score.low:.2f} to {100 * row.score.high:.2f}" in cells[2].values["title"]
            assert cells[2].all("span", class_="note")[0].parts == [cells[2].values["title"]]
            assert float(cells[2].values["data-order"]) == row.score.value
        for task, cell in zip(board.tasks, cells[6:], strict=True):
            collapsed = task in row.tasks and row.tasks[task].collapsed
            assert bool(collapsed) == bool(cell.all("span", class_="warning"))


def test_seeds_collapse_and_borrowed_variance_are_marked(site, board):
    _, rows = rows_of(read_page(site / "index.html"), "Backbones by rank")
    by_name = {cells[1].text: cells for cells in rows}
    assert {name: cells[4].text for name, cells in by_name.items()} == {
        row.backbone.title: str(row.seeds) for row in board.overall
    }
    assert {row.seeds for row in board.overall} >= {1, 2, 3}
    xnli = by_name["Tiny newcomer"][7]
    assert "~" in xnli.text
    assert "borrowed" in xnli.values["title"]
    warning = xnli.all("span", class_="warning")[0]
    assert "⚠" in warning.text
    assert "every prediction" in warning.values["title"]
    assert by_name["Tiny newcomer"][2].text == "–"
    assert by_name["Tiny newcomer"][2].values["title"] == "has 3 of 8 tasks"


def test_without_a_second_seed_intervals_say_that_they_are_of_test_rows(validated, tmp_path):
    few = replace(validated, results=tuple(rescored for rescored in validated.results if rescored.result.seed == 1))
    page = read_page(build(few, tmp_path / "site"))
    _, rows = rows_of(page, "Backbones by rank")
    assert re.search(r"±[\d.]+\?", rows[0][2].text)
    assert "test rows only" in rows[0][2].values["title"]
    assert any("test rows only" in item.text for item in page.all("ul", class_="legend")[0].all("li"))


@pytest.mark.parametrize("task", ["xnli", "pos", "wpr"])
def test_a_task_has_every_language(site, board, task):
    own = board.tasks[task]
    heads, rows = rows_of(read_page(site / f"task-{task}.html"), f"{own.spec.title} by language")
    languages = [*own.spec.languages]
    assert heads == ["rank", "backbone", "mean", "family", "seeds", *languages, "gap", "seen", "unseen", "official"]
    for cells, row in zip(rows, own.rows, strict=True):
        shown = dict(zip(heads, cells, strict=True))
        assert [number_of(shown[lang]) for lang in languages] == [
            f"{100 * row.languages[lang].value:.1f}" for lang in languages
        ]
        unseen = {lang for lang in languages if "not-seen" in shown[lang].values["class"]}
        assert unseen == {*languages} - {*row.backbone.pretraining.languages}
        assert number_of(shown["unseen"]) == ("–" if row.unseen is None else f"{100 * row.unseen.value:.1f}")
        assert number_of(shown["official"]) == f"{100 * row.official:.1f}"


@pytest.mark.parametrize(
    ("kind", "page"),
    [
        *(("site", page) for page in ("index.html", "task-xnli.html", "task-wpr.html", "backbone-tiny-mt.html")),
        *(("paper_site", page) for page in ("index.html", "backbone-mbart-m2m.html", "paper.html")),
    ],
)
def test_every_number_stands_in_the_json_that_it_links_to(kind, page, request):
    site = request.getfixturevalue(kind)
    known: dict[str, set[float]] = {}
    count = 0
    for cell in read_page(site / page).all("td", class_="num"):
        links = cell.all("a")
        text = number_of(cell).rstrip("=▲▼").replace("−", "-")
        if text in ("", "–"):
            continue
        href = links[0].values["href"]
        assert href.startswith("data/")
        assert href.endswith(".json")
        if href not in known:
            value = json.loads((site / href).read_text())
            known[href] = {*numbers_in(value)}
            if href.startswith("data/results/"):  # a record of the tree, which has no mean of its languages
                scores = [item["score"] for item in value["languages"].values()]
                known[href].add(sum(scores) / len(scores))
        for shown in text.split(" to "):
            step = 0.5 * 10.0 ** -len(shown.partition(".")[2]) + 1e-6
            near = [abs(scale * n - float(shown)) <= step for n in known[href] for scale in (1, 100, -100)]
            assert any(near), (text, href)
        count += 1
    assert count > 40


def test_a_summary_holds_what_stands_behind_a_mean(site, board):
    path = site / "data/summary/toy/tiny-mt/xnli.json"
    summary, row = json.loads(path.read_text()), board.tasks["xnli"].row("tiny-mt")
    assert summary["score"]["value"] == pytest.approx(row.score.value, abs=1e-9)
    assert [summary["score"][key] for key in ("low", "high", "df")] == pytest.approx(
        [row.score.low, row.score.high, row.score.df], abs=1e-6
    )
    assert summary["seeds"] == [result.seed for result in row.results]
    assert summary["rank"] == {"best": row.rank[0], "worst": row.rank[1]}
    assert summary["languages"]["sw"]["seen"] is False
    assert {*summary["languages"]} == {*TASKS["xnli"].languages}
    assert summary["unseen"]["value"] == pytest.approx(row.unseen.value, abs=1e-9)
    assert summary["collapsed"] == [*row.collapsed]
    assert {*summary["diagnostics"]} >= {"cka_en", "sigma_norm"}
    seeds = [json.loads((path.parent / relative).read_text()) for relative in summary["results"]]
    assert [own["seed"] for own in seeds] == summary["seeds"]
    whole = json.loads(path.with_name("all.json").read_text())
    assert all((path.parent / relative).is_file() for relative in (*whole["results"], *whole["summaries"]))
    assert len(whole["results"]) == len(TASKS) * len(row.results)


def test_results_are_the_trees_own_files(site, example):
    for path in example.glob("results/*/*/*/*.json"):
        assert (site / "data" / path.relative_to(example)).read_bytes() == path.read_bytes()
    assert not [*site.rglob("*.parquet")]


def test_the_page_that_compares_has_every_pair(site, board):
    page = read_page(site / "compare.html")
    value = json.loads(next(e for e in page.all("script", id="pairs")).parts[0])
    pairs = {(pair["first"], pair["second"]): pair["tasks"] for pair in value["recipes"][0]["pairs"]}
    assert len(pairs) == 6
    for task, own in [*board.tasks.items(), (ALL, board)]:
        for pair in own.pairs:
            shown = pairs[pair.first, pair.second][task]
            assert shown["difference"]["value"] == pytest.approx(pair.comparison.difference.value, abs=1e-5)
            assert shown["p_holm"] == pytest.approx(pair.comparison.p_holm, abs=1e-9)
            assert {*shown["languages"]} == {*pair.languages}


def test_a_backbones_card_says_all_of_its_yaml(paper_site):
    backbone = read_backbone(PUBLISHED / "mbart-m2o.yaml")
    page = read_page(paper_site / "backbone-mbart-m2o.html")
    text = page.all("main")[0].text
    for value in (
        backbone.tokenizer,
        backbone.pretraining.data,
        backbone.parallel_data,
        "408.3 M in the encoder",
        "610.9 M in the whole checkpoint",
    ):
        assert value in text
    assert "Bulgarian (bg), Greek (el)" in text
    links = {link.values["href"] for link in page.all("a")}
    assert f"https://huggingface.co/{backbone.hub}/tree/{backbone.revision}" in links
    assert "backbone-mbart-large-50.html" in links
    assert "Nobody has added a result of this backbone" in text
    assert backbone.licence == "NOASSERTION"
    assert "licence\nnot stated" in text
    assert "NOASSERTION" not in text


@pytest.mark.parametrize(("kind", "name"), [("site", "tiny-mt"), ("paper_site", "mbart-large-50")])
def test_the_command_repeats_the_recipe(kind, name, validated, request):
    page = read_page(request.getfixturevalue(kind) / f"backbone-{name}.html")
    words = shlex.split(page.all("pre")[0].text)
    given = dict(zip(words[1::2], words[2::2], strict=True))
    assert given["--tasks"] == "xglue_zs"
    assert given["--seed"] == "1"
    if kind == "paper_site":
        backbone = read_backbone(PUBLISHED / f"{name}.yaml")
        assert given["--model_args"] == f"pretrained={backbone.hub},revision={backbone.revision}"
    options = parse_options(json.loads(given["--metadata"]))
    for rescored in validated.results:
        record = next(iter(rescored.result.languages.values())).record
        again = resolve(options, rescored.result.spec, seed=1, precision="fp32", pooling="first").model_dump()
        assert recipe_terms(again) == recipe_terms(record.recipe)
    assert options.data == "sample"


def test_diagnostics_have_figures_where_records_have_them(site):
    shown = {e.values["id"] for e in read_page(site / "backbone-tiny-lm.html").all("div", class_="plot")}
    assert shown == {
        "languages-0-toy-xnli",
        "cka_en-layers-toy-xnli",
        "cka_pretrained-layers-toy-xnli",
        "spectra-toy-xnli",
    }


def test_the_mean_over_all_tasks_leads_to_the_page_of_its_track(board):
    row = board.overall[0]
    for track, page in (("main", "index.html"), ("controlled", "controlled.html")):
        head, *_ = tasks_table(replace(board, track=track), row).rows[-1]
        assert (head.text, head.href) == ("all eight", page)


def test_points_of_diagnostics_lead_to_the_numbers_of_their_track(board):
    shown = diagnosis("controlled/toy", board.tasks["xnli"].row("tiny-lm").results)
    links = {link for figure in shown.figures for link in re.findall(r"data/summary/[^\"]*", figure.script)}
    assert links == {"data/summary/controlled/toy/tiny-lm/xnli.json"}
    assert "Distance from the pretrained weights" in [figure.title for figure in shown.figures]


@pytest.mark.parametrize(
    "details",
    [
        {},
        {"cka": {"sw": None}, "spectra": []},
        {"cka": {"sw": {"cka_en": {"columns": ["layer", "cka"], "rows": [[1e300, 1]]}}}},
        {"cka": {"sw": {"cka_en": {"columns": ["layer", "cka"], "rows": [["a", "b"], 3]}}}},
        {"spectra": {"task": {"columns": ["model", "layer", "role", "norm", "distance"], "rows": [["finetuned"]]}}},
    ],
)
def test_details_of_another_form_are_left_out(board, details):
    result = board.tasks["xnli"].row("tiny-new").results[0]
    languages = {}
    for language, item in result.languages.items():
        diagnostics = item.record.diagnostics.model_copy(update={"details": details})
        record = item.record.model_copy(update={"diagnostics": diagnostics})
        languages[language] = item.model_copy(update={"record": record})
    shown = diagnosis("toy", [result.model_copy(update={"languages": languages})])
    assert [figure.title for figure in shown.figures] == ["debiased CKA by language"]


TITLE = '"Quoted" & \'single\' </script><b x="1">&amp;'


def test_a_title_shows_as_it_is(validated, tmp_path):
    named = {
        name: own.model_copy(update={"title": TITLE, "tokenizer": TITLE}) for name, own in validated.backbones.items()
    }
    site = build(replace(validated, backbones=named), tmp_path / "site").parent
    assert_links_lead_somewhere(site)
    page = read_page(site / "backbone-tiny-lm.html")
    assert page.all("h1")[0].text == TITLE
    assert page.all("title")[0].text.startswith(f"EXAMPLE · {TITLE}")
    for name in PAGES:
        text = (site / name).read_text()
        assert "<b x=" not in text
        for script in read_page(site / name).all("script", type="application/json"):
            json.loads(script.parts[0])
    _, rows = rows_of(read_page(site / "index.html"), "Backbones by rank")
    assert rows[0][1].text == TITLE


def test_json_in_a_script_ends_none():
    value = {"a": "</script><!-- & \u2028"}
    text = script_json(value)
    assert not {*"<>&\u2028"} & {*text}
    assert json.loads(text) == value


def test_without_results_the_paper_is_shown_as_the_papers(empty_site):
    page = read_page(empty_site / "index.html")
    assert any(link.values["href"] == "contribute.html" and "first" in link.text for link in page.all("a"))
    assert page.all("p", class_="answer")[0].text.startswith("In Ji et al. 2024, language models have the highest mean")
    for figure in page.all("figure"):
        assert "Ji et al. 2024" in figure.all("h3")[0].text
        assert "not ours" in figure.all("figcaption")[0].text
    value = json.loads(page.all("script", type="application/json")[0].parts[0])
    means = next(own for own in value["data"] if own["name"].startswith("LM"))
    own = [system.mean("nc") for system in references()[0].systems if system.family == "LM"]
    assert means["y"][0] == pytest.approx(sum(own) / 3, abs=1e-3)
    assert "error_y" not in means
    assert len(rows_of(page, "Ji et al. 2024")[1]) == 7
    assert len(rows_of(page, "Backbones that are described")[1]) == 4
    assert "Nobody has added" in read_page(empty_site / "task-nc.html").all("main")[0].text


def test_a_tree_without_backbones_builds(validated, tmp_path):
    site = build(replace(validated, backbones={}, results=(), frozen=()), tmp_path / "site").parent
    assert_links_lead_somewhere(site)


def test_wpr_stands_there_both_ways(site):
    heads, rows = rows_of(read_page(site / "index.html"), "Ji et al. 2024")
    mbert = dict(zip(heads, (number_of(cell) for cell in rows[0]), strict=True))
    assert (mbert["WPR"], mbert["WPR as printed"]) == ("72.7", "74.4")
    heads, rows = rows_of(read_page(site / "paper.html"), "WPR in %")
    assert [number_of(cell) for cell in rows[0]] == ["mBERT", "74.42", "74.42", "72.74"]


def test_table_1_agrees_with_table_4_but_for_wpr(site):
    heads, rows = rows_of(read_page(site / "paper.html"), "Means over the languages of Table 4")
    for cells in rows:
        off = {head for head, cell in zip(heads, cells, strict=True) if "off" in cell.values["class"].split()}
        assert off == {"WPR"}


def test_ours_stand_beside_the_papers(paper_site, board):
    heads, rows = rows_of(read_page(paper_site / "paper.html"), "Table 1: means")
    names = [cells[0].text for cells in rows]
    place = names.index("mBART-50, paper")
    assert names[place : place + 3] == ["mBART-50, paper", "ours", "difference"]
    own = 100 * board.tasks["nc"].row("tiny-lm").score.value
    printed = references()[0].systems[2].mean("nc")
    shown = [number_of(cells[heads.index("NC")]) for cells in rows[place : place + 3]]
    assert shown == [f"{printed:.1f}", f"{own:.1f}", f"{own - printed:+.1f}".replace("-", "−")]
    assert names[0] == "mBERT"  # none of ours
    assert names[1:4] == ["XLM-R base, paper", "ours", "difference"]
    value = json.loads((paper_site / "data/paper.json").read_text())["backbones"]["mbart-large-50"]["nc"]
    assert value["difference"] == pytest.approx(own - printed)
    spectra = rows_of(read_page(paper_site / "paper.html"), "Table 5")[1]
    assert [cells[0].text for cells in spectra][:2] == ["0, mBART-50, paper", "ours"]
    assert number_of(spectra[0][1]) == "39.25"
    assert float(number_of(spectra[1][1])) < 5  # a tiny encoder's


def test_a_backbone_without_results_shows_what_is_published_of_it(paper_site):
    page = read_page(paper_site / "backbone-nllb-600m.html")
    heads, rows = rows_of(page, "Ji et al. 2024, NLLB-200 distilled 600M")
    system = next(own for own in references()[0].systems if own.name == "nllb-600m")
    assert heads[:2] == ["task", "mean"]
    assert [cells[0].text for cells in rows] == [*(spec.title for spec in TASKS.values()), "all eight"]
    for spec, cells in zip(TASKS.values(), rows, strict=False):
        shown = dict(zip(heads, map(number_of, cells), strict=True))
        assert float(shown["mean"]) == pytest.approx(system.mean(spec.name), abs=0.0501)
        for language, score in system.scores[spec.name].items():
            assert float(shown[language]) == pytest.approx(score, abs=0.0501)
    assert float(number_of(rows[-1][1])) == pytest.approx(system.overall, abs=0.0501)


def test_a_model_has_one_name_everywhere():
    backbones = [read_backbone(path) for path in PUBLISHED.glob("*.yaml")]
    titles = {backbone.name: backbone.title for backbone in backbones if backbone.track == "main"}
    assert {system.name: system.title for system in references()[0].systems} == titles


def test_a_task_shows_its_mean_behind_the_name(site, paper_site):
    for own, caption in ((site, "XNLI by language"), (paper_site, "Ji et al. 2024, XNLI"), (site, "Liang et al. 2020")):
        heads, _ = rows_of(read_page(own / "task-xnli.html"), caption)
        assert heads[heads.index("rank") + 2 if "rank" in heads else 1] == "mean"


def test_rows_say_what_they_can_be_chosen_by(paper_site):
    page = read_page(paper_site / "index.html")
    table = next(own for own in page.all("table") if own.all("caption")[0].text.startswith("Backbones that"))
    names = [row.all("th")[0].text for row in table.all("tbody")[0].all("tr")]
    facets = [{key: row.values[f"data-{key}"] for key in ("family", "size", "licence")} for row in table.all("tr")[1:]]
    own = dict(zip(names, facets, strict=True))
    assert own["mBERT"] == {"family": "LM", "size": "100 to 300 M", "licence": "Apache-2.0"}
    assert own["mBART-50 o2m"] == {"family": "CP", "size": "300 M to 1 B", "licence": "not stated"}


def test_a_licence_that_ends_an_attribute_does_not(validated, tmp_path):
    odd = {name: own.model_copy(update={"licence": TITLE}) for name, own in validated.backbones.items()}
    page = read_page(build(replace(validated, backbones=odd), tmp_path / "site"))
    rows = [row for row in page.all("tr") if "data-licence" in row.values]
    assert {row.values["data-licence"] for row in rows} == {TITLE}


def test_sizes_are_drawn_against_scores(site, board, empty_site):
    def figure(own, ident):
        page = read_page(own / "index.html")
        return json.loads(next(e for e in page.all("script", **{"data-plot": ident})).parts[0])

    drawn = figure(site, "size-toy")
    points = {name: (x, y) for own in drawn["data"] for name, x, y in zip(own["text"], own["x"], own["y"], strict=True)}
    ranked = [row for row in board.overall if row.score]
    assert {*points} == {row.backbone.title for row in ranked}
    for row in ranked:
        x, y = points[row.backbone.title]
        assert x == row.backbone.parameters.encoder / 1e6
        assert y == pytest.approx(100 * row.score.value, abs=1e-4)
    assert drawn["layout"]["xaxis"]["type"] == "log"
    assert not [e for e in read_page(empty_site / "index.html").all("script") if "size-ji2024" in str(e.values)]


def test_published_sizes_are_drawn_until_there_are_results(validated, tmp_path):
    backbones = {path.stem: read_backbone(path) for path in PUBLISHED.glob("*.yaml")}
    own = replace(validated, example=False, results=(), frozen=(), backbones=backbones)
    page = read_page(build(own, tmp_path / "site"))
    value = json.loads(page.all("script", **{"data-plot": "size-ji2024"})[0].parts[0])
    names = {name for trace in value["data"] for name in trace["text"]}
    assert names == {system.title for system in references()[0].systems}


def test_there_is_bibtex_to_copy(site):
    texts = [code.text for code in read_page(site / "index.html").all("code")]
    entries = [text for text in texts if text.startswith("@")]
    assert [text.partition("{")[2].partition(",")[0] for text in entries] == [
        "xglue-harness",
        "ji-etal-2024-machine",
        "liang-etal-2020-xglue",
    ]
    assert all(text.count("{") == text.count("}") for text in entries)


def test_several_recipes_have_a_part_each(paper_site):
    parts = read_page(paper_site / "index.html").all("details", class_="recipe")
    assert [part.all("h2")[0].text for part in parts] == ["Recipe paper", "Recipe quick"]
    assert ["open" in part.values for part in parts] == [True, False]
    page = read_page(paper_site / "compare.html")
    assert len(json.loads(page.all("script", id="pairs")[0].parts[0])["recipes"]) == 2
