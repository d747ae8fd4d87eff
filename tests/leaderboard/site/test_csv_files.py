"""CSV files of the tables: a file for each, and the numbers that the JSON files hold."""

from __future__ import annotations

import csv
import io
import json

import pytest

from tests.leaderboard.site_helpers import read_page
from xglue_harness.benchmark import TASKS
from xglue_harness.leaderboard.site.cells import Cell, Head, Table
from xglue_harness.leaderboard.site.csv_files import Downloads, csv_text


def read(path):
    with path.open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


def csv_of(site, page, caption):
    """The rows of the file behind the table whose caption begins so."""
    tables = [own for own in read_page(site / page).all("div", class_="table") if own.all("caption")]
    own = next(own for own in tables if own.all("caption")[0].text.startswith(caption))
    return read(site / own.all("a", class_="csv")[0].values["href"])


@pytest.mark.parametrize("kind", ["site", "paper_site", "empty_site"])
def test_every_table_has_a_file_of_its_own(kind, request):
    site = request.getfixturevalue(kind)
    linked = []
    for page in site.glob("*.html"):
        tables = read_page(page).all("table")
        links = [link.values["href"] for link in read_page(page).all("a", class_="csv")]
        assert len(links) == len(tables)
        linked += links
        for table, link in zip(tables, links, strict=True):
            assert len(read(site / link)) == len(table.all("tbody")[0].all("tr"))
    assert len(linked) == len({*linked}) > 20
    assert {*linked} == {path.relative_to(site).as_posix() for path in site.glob("data/tables/*")}


def test_the_overview_holds_the_numbers_of_the_json(site):
    rows = csv_of(site, "index.html", "Backbones by rank")
    titles = {"Tiny LM continued": "tiny-cp", "Tiny LM": "tiny-lm", "Tiny MT": "tiny-mt", "Tiny newcomer": "tiny-new"}
    assert {row["backbone"] for row in rows} == {*titles}
    count = 0
    for row in rows:
        own = json.loads((site / f"data/summary/toy/{titles[row['backbone']]}/all.json").read_text())
        numbers = {"score": own["score"], "gap": own["gap"]}
        numbers |= {TASKS[task].title: values["score"] for task, values in own["tasks"].items()}
        for head in ("score", "gap", *(spec.title for spec in TASKS.values())):
            estimate = numbers.get(head)
            shown = row[head], row[f"{head} low"], row[f"{head} high"]
            if estimate is None:
                assert shown == ("", "", "")
                continue
            expected = [100 * estimate[key] for key in ("value", "low", "high")]
            assert [*map(float, shown)] == pytest.approx(expected, abs=1e-7)
            count += 1
    assert count > 30


@pytest.mark.parametrize("task", ["xnli", "pos"])
def test_a_task_holds_the_numbers_of_the_json(site, task):
    names = {"Tiny LM continued": "tiny-cp", "Tiny LM": "tiny-lm", "Tiny MT": "tiny-mt", "Tiny newcomer": "tiny-new"}
    for row in csv_of(site, f"task-{task}.html", f"{TASKS[task].title} by language"):
        own = json.loads((site / f"data/summary/toy/{names[row['backbone']]}/{task}.json").read_text())
        for language, estimate in own["languages"].items():
            assert float(row[language]) == pytest.approx(100 * estimate["value"], abs=1e-7)
            assert float(row[f"{language} high"]) == pytest.approx(100 * estimate["high"], abs=1e-7)
        assert float(row["official"]) == pytest.approx(100 * own["official"], abs=1e-7)
        assert row["seeds"] == str(len(own["seeds"]))


def test_published_numbers_are_those_of_the_json(site):
    systems = json.loads((site / "data/published.json").read_text())["references"]["ji2024"]["systems"]
    rows = csv_of(site, "index.html", "Ji et al. 2024")
    assert len(rows) == len(systems) == 7
    for row, system in zip(rows, systems.values(), strict=True):
        assert float(row["score"]) == pytest.approx(system["all"], abs=1e-7)
        assert float(row["WPR"]) == pytest.approx(system["wpr"], abs=1e-7)


def test_descriptions_are_those_of_the_json(paper_site):
    own = json.loads((paper_site / "data/backbones.json").read_text())["backbones"]
    for page, track, count in (("index.html", "main", 7), ("controlled.html", "controlled", 5)):
        rows = csv_of(paper_site, page, "Backbones that")
        assert len(rows) == count
        described = [backbone for backbone in own.values() if backbone["track"] == track]
        for row, backbone in zip(rows, described, strict=True):
            assert row["backbone"] == backbone["title"]
            assert float(row["encoder, M"]) == backbone["parameters"]["encoder"] / 1e6
            assert float(row["whole, M"]) == backbone["parameters"]["all"] / 1e6
            assert row["licence"] == backbone["licence"].replace("NOASSERTION", "not stated")


def test_no_text_of_a_stranger_is_a_formula():
    texts = ["=1+1", "+1", "-1", "@x", "plain", "a,b", 'say "x"', "–", "1="]
    table = Table("caption", (Head("backbone", kind=""),), tuple((Cell(text),) for text in texts))
    rows = [row[0] if row else "" for row in csv.reader(io.StringIO(csv_text(table)))]
    assert rows == ["backbone", "'=1+1", "'+1", "'-1", "'@x", "plain", "a,b", 'say "x"', "", "1="]


def test_an_interval_without_a_value_has_its_ends():
    table = Table("caption", (Head("over"), Head("x")), ((Cell("1 to 2", span=(1.0, 2.0)), Cell("−3", value=-3.25)),))
    assert csv_text(table) == "over low,over high,x\n1.0,2.0,-3.25\n"


def test_tables_of_one_caption_have_files_of_their_own():
    downloads, table = Downloads(), Table("NC: in %", (Head("a"),), ((Cell("1", value=1.0),),))
    downloads.start("task-nc.html")
    assert [downloads(table), downloads(table)] == ["data/tables/task-nc-nc.csv", "data/tables/task-nc-nc-2.csv"]
    assert {*downloads.files.values()} == {"a\n1.0\n"}
