"""Frozen encoders on the leaderboard: a track of their own, from lm_eval's files to the page of gains."""

from __future__ import annotations

import hashlib
import json
import re
import shutil
from dataclasses import replace

import numpy as np
import pytest

from tests.leaderboard.spoiled import edited
from xglue_harness.errors import LeaderboardError
from xglue_harness.harness.demo import build_encoder, evaluate_sample
from xglue_harness.leaderboard.add import add
from xglue_harness.leaderboard.contributions.results import read_result, render
from xglue_harness.leaderboard.ranking.board import boards
from xglue_harness.leaderboard.ranking.frozen import all_gains, frozen_boards
from xglue_harness.leaderboard.site.build import build
from xglue_harness.leaderboard.validation.validate import validate
from xglue_harness.records import predictions

RESULT = "results/tiny-lm/frozen/1/ner.json"
PREDICTIONS = "results/tiny-lm/frozen/1/ner.de.parquet"
PROBE = {"data": "sample", "protocol": "probe"}


@pytest.fixture(scope="module")
def run(no_list_of_packages, tmp_path_factory):
    """Results of NER of the encoder that the example calls tiny-lm, frozen: two probes."""
    folder = tmp_path_factory.mktemp("run")
    build_encoder(folder / "tiny-lm", seed=1)
    for name, options in (("usual", {}), ("first", {"probe_layer": 0}), ("drawn", {"probe_rows": 40})):
        tasks = ["xglue_ner_zs"]
        evaluate_sample(folder / "tiny-lm", tasks=tasks, seed=1, output=folder / name, recipe={**PROBE, **options})
    return folder


# ---------------------------------------------------------------- contributed


def test_what_lm_eval_wrote_is_added_and_validated(run, tree):
    kept = {path.name: path.read_bytes() for path in (tree / RESULT).parent.iterdir()}
    shutil.rmtree(tree / "results/tiny-lm/frozen")
    added = add([run / "usual"], tree, example=True)
    assert [path.relative_to(tree).as_posix() for path in added.new] == [RESULT]
    again = {path.name: path.read_bytes() for path in (tree / RESULT).parent.iterdir()}
    ours = {name: content for name, content in kept.items() if name.startswith("ner.")}
    assert again.keys() == ours.keys()
    found, before = (json.loads(files["ner.json"])["languages"] for files in (again, ours))
    assert {lang: item["score"] for lang, item in found.items()} == pytest.approx(
        {lang: item["score"] for lang, item in before.items()}, abs=0.05
    )
    result = read_result(tree / RESULT)
    assert (result.recipe, result.is_frozen, result.is_seeded) == ("frozen", True, False)
    assert result.languages["de"].record.recipe["classifier"] == "logistic_regression"
    assert render(result).encode() == again["ner.json"]


def test_another_probe_needs_a_name_which_says_that_it_is_one(run, tree):
    with pytest.raises(LeaderboardError, match=r"NER is not the probe of all defaults: name it with --recipe NAME"):
        add([run / "first"], tree, example=True)
    added = add([run / "first"], tree, recipe="layer0", example=True)
    assert added.new[0].relative_to(tree).as_posix() == "results/tiny-lm/frozen-layer0/1/ner.json"
    add([run / "drawn"], tree, recipe="frozen-few", example=True)
    validated = validate(tree, example=True)
    assert [board.recipe for board in frozen_boards(validated)] == ["frozen", "frozen-few", "frozen-layer0"]
    few = next(item.result for item in validated.frozen if item.result.recipe == "frozen-few")
    assert few.is_seeded


def renamed(tree, recipe):
    """The frozen result under another recipe's name."""
    folder = tree / "results/tiny-lm"
    shutil.copytree(folder / "frozen", folder / recipe)
    shutil.rmtree(folder / "frozen")
    edited(tree, lambda value: value.update(recipe=recipe), f"results/tiny-lm/{recipe}/1/ner.json")


def with_hash(tree):
    digest = hashlib.sha256((tree / PREDICTIONS).read_bytes()).hexdigest()
    edited(tree, lambda value: value["languages"]["de"]["record"]["predictions"].update(sha256=digest), RESULT)


def falsified_score(tree):
    edited(tree, lambda value: value["languages"]["de"].update(score=0.99), RESULT)


def falsified_prediction(tree):
    original = predictions.read(tree / PREDICTIONS)
    (tree / PREDICTIONS).write_bytes(predictions.encoded(replace(original, predictions=list(original.labels))))


def falsified_prediction_with_its_hash(tree):
    falsified_prediction(tree)
    with_hash(tree)


def predictions_of_a_training(tree):
    shutil.copyfile(tree / "results/tiny-lm/toy/1/ner.de.parquet", tree / PREDICTIONS)
    with_hash(tree)


def under_a_trainings_name(tree):
    renamed(tree, "mine")


def under_the_name_of_other_options(tree):
    renamed(tree, "frozen-other")


def trained_under_a_probes_name(tree):
    folder = tree / "results/tiny-lm"
    shutil.copytree(folder / "toy", folder / "frozen-toy")
    shutil.rmtree(folder / "toy")
    for path in folder.glob("frozen-toy/*/*.json"):
        edited(tree, lambda value: value.update(recipe="frozen-toy"), path.relative_to(tree))


def of_both_protocols(tree):
    """One language of a training, in a result of a probe."""
    other = read_result(tree / "results/tiny-lm/toy/1/ner.json").languages["nl"]
    item = json.loads(other.model_dump_json(by_alias=True))

    def change(value):
        shared = value.pop("record")
        for own in value["languages"].values():
            own["record"] = {**shared, **own["record"]}
        value["languages"]["nl"] = item
        value["record"] = {}

    edited(tree, change, RESULT)


def another_layer(tree):
    edited(tree, lambda value: value["record"]["probe"].update(layer=1), RESULT)


def another_classifier(tree):
    edited(tree, lambda value: value["record"]["recipe"].update(classifier="mlp"), RESULT)


def stronger_than_its_key(tree):
    edited(tree, lambda value: value["record"]["recipe"].update(c=100.0), RESULT)


def fewer_rows(tree):
    edited(tree, lambda value: value["record"]["probe"].update(train_rows=7), RESULT)


def of_another_encoder(tree):
    edited(tree, lambda value: value["record"]["backbone"].update(encoder_sha256="0" * 64), RESULT)


BAD = (
    (falsified_score, r"ner.json: languages.de.score: 0.99; its predictions give 0"),
    (falsified_prediction, r"ner.de.parquet: sha256 \w+; expected \w+, as the record says"),
    (falsified_prediction_with_its_hash, r"languages.de.score: 0\.\d+; its predictions give 1.0"),
    (predictions_of_a_training, r"\(test, finetune\); expected ner in de \(test, probe\)"),
    (under_a_trainings_name, r"recipe: 'mine'; names for frozen encoders are 'frozen' and 'frozen-NAME'"),
    (under_the_name_of_other_options, r"the options are all at their defaults, which alone is 'frozen'"),
    (trained_under_a_probes_name, r"'frozen-toy', which is a name for frozen encoders, and this one was fine-tuned"),
    (of_both_protocols, r"the records have different protocols: finetune, probe"),
    (another_layer, r"recipe.layer: last; expected 1"),
    (another_classifier, r"recipe: classifier: .*logistic_regression"),
    (stronger_than_its_key, r"recipe.key: \w+; expected \w+"),
    (fewer_rows, r"probe.train_rows: 7; expected 240"),
    (of_another_encoder, r"backbone.encoder_sha256: 0+; expected"),
)


@pytest.mark.parametrize(("spoil", "reason"), BAD, ids=[spoil.__name__ for spoil, _ in BAD])
def test_a_bad_frozen_result_is_refused_with_its_reason(tree, spoil, reason):
    spoil(tree)
    with pytest.raises(LeaderboardError, match=reason):
        validate(tree, example=True)


# ---------------------------------------------------------------- ranked


def test_frozen_encoders_have_boards_of_their_own(validated):
    (board,) = boards(validated)
    assert not any(result.is_frozen for table in board.tasks.values() for row in table.rows for result in row.results)
    (frozen,) = frozen_boards(validated)
    assert (frozen.recipe, [*frozen.tasks]) == ("frozen", ["nc", "xnli", "ner"])
    assert all(result.is_frozen for table in frozen.tasks.values() for row in table.rows for result in row.results)
    assert {row.backbone.name for row in frozen.overall} == {"tiny-lm", "tiny-mt"}


def test_a_gain_is_paired_over_rows(validated):
    (gains,) = all_gains(validated)
    assert (gains.recipe, gains.frozen, [*gains.tasks], gains.overall) == ("toy", "frozen", ["nc", "xnli", "ner"], ())
    items = {
        (item.result.is_frozen, item.result.seed): item
        for item in (*validated.results, *validated.frozen)
        if (item.result.backbone, item.result.task) == ("tiny-lm", "nc")
    }
    row = next(row for row in gains.tasks["nc"] if row.backbone.name == "tiny-lm")
    assert row.seeds == (1, 3)
    for language, gain in row.languages.items():
        tuned = [items[False, seed].items[language] for seed in (1, 2, 3)]
        frozen = items[True, 1].items[language]
        assert gain.gain.value == pytest.approx(np.mean(tuned) - np.mean(frozen), abs=1e-12)
        assert gain.tuned.value - gain.frozen.value == pytest.approx(gain.gain.value, abs=1e-12)
    means = [gain.gain.value for gain in row.languages.values()]
    assert row.mean.gain.value == pytest.approx(np.mean(means), abs=1e-12)
    ordered = [row.mean.gain.value for row in gains.tasks["ner"]]
    assert ordered == sorted(ordered, reverse=True)
    both = np.mean([row.languages["de"].gain.value for row in gains.tasks["nc"]])
    assert gains.by_language["nc"]["de"].gain.value == pytest.approx(both, abs=1e-12)


def test_with_one_training_its_interval_is_that_of_the_paired_rows(validated):
    alone = replace(validated, results=tuple(item for item in validated.results if item.result.seed == 1))
    (gains,) = all_gains(alone)
    row = next(row for row in gains.tasks["nc"] if row.backbone.name == "tiny-lm")
    own = {
        item.result.is_frozen: item.items["de"]
        for item in (*alone.results, *alone.frozen)
        if (item.result.backbone, item.result.task) == ("tiny-lm", "nc")
    }
    difference = own[False] - own[True]
    expected = difference.std(ddof=1) / np.sqrt(len(difference))
    assert row.languages["de"].gain.stderr == pytest.approx(expected, rel=1e-9)
    assert row.languages["de"].gain.seeds == "unknown"  # that of the training, which has nobody to borrow from
    assert row.languages["de"].frozen.seeds == "own"  # no seed decides it


def test_a_training_borrows_no_variance_from_probes(validated):
    alone = replace(validated, results=tuple(item for item in validated.results if item.result.seed == 1))
    drawn = []
    for item in alone.frozen:  # as if the seed had drawn its rows, twice
        languages = {}
        for language, one in item.result.languages.items():
            probe = one.record.probe.model_copy(update={"train_rows_there": 10**6})
            record = one.record.model_copy(update={"probe": probe})
            languages[language] = one.model_copy(update={"record": record})
        drawn += [
            replace(item, result=item.result.model_copy(update={"seed": seed, "languages": languages}))
            for seed in (1, 2)
        ]
    (gains,) = all_gains(replace(alone, frozen=tuple(drawn)))
    row = gains.tasks["nc"][0]
    assert row.seeds == (2, 1)
    assert (row.mean.frozen.seeds, row.mean.tuned.seeds, row.mean.gain.seeds) == ("own", "unknown", "unknown")


# ---------------------------------------------------------------- shown


def test_the_page_says_who_gains_and_its_numbers_are_in_the_json(site, validated):
    text = (site / "frozen.html").read_text()
    value = json.loads((site / "data/gains/toy/frozen.json").read_text())
    (gains,) = all_gains(validated)
    assert value["example"]
    for task, rows in gains.tasks.items():
        assert [row["backbone"] for row in value["tasks"][task]] == [row.backbone.name for row in rows]
        best = value["tasks"][task][0]
        assert best["mean"]["gain"]["value"] == pytest.approx(rows[0].mean.gain.value, abs=1e-9)
        assert f"{100 * best['mean']['gain']['value']:+.1f}".replace("-", "−") in text
    assert "Most is gained by fine-tuning: in NC Tiny LM, " in text
    assert "Languages that gain most and least: in NC Spanish (" in text
    assert (site / "data/summary/frozen/tiny-lm/nc.json").is_file()
    assert (site / "data/results/tiny-lm/frozen/1/nc.json").is_file()
    assert all("frozen.html" in (site / name).read_text() for name in ("index.html", "task-nc.html"))


def test_the_page_of_a_backbone_says_what_its_frozen_encoder_scores_and_gains(site, validated):
    text = (site / "backbone-tiny-mt.html").read_text()
    part = text.split("<h2>Frozen</h2>")[1].split("</section>")[0]
    assert '<a href="frozen.html">' in part
    assert "gain by toy" in part
    (board,), (gains,) = frozen_boards(validated), all_gains(validated)
    lines = {
        match[1]: match[0] for match in re.finditer(r'<tr>\s*<th scope="row".*?task-(\w+)\.html.*?</tr>', part, re.S)
    }
    assert [*lines] == ["nc", "xnli", "ner"]
    for task, line in lines.items():
        (row,) = (row for row in board.tasks[task].rows if row.backbone.name == "tiny-mt")
        (own,) = (row for row in gains.tasks[task] if row.backbone.name == "tiny-mt")
        score = f'<a href="data/summary/frozen/tiny-mt/{task}.json">{100 * row.score.value:.1f}</a>'
        gain = f"{100 * own.mean.gain.value:+.1f}".replace("-", "−")
        assert score in line
        assert f'<a href="data/gains/toy/frozen.json">{gain}</a>' in line
        assert own.mean.frozen.value == pytest.approx(row.score.value, abs=1e-12)
    assert "<h2>Frozen</h2>" not in (site / "backbone-tiny-new.html").read_text()


def test_a_backbone_that_has_been_probed_alone_is_said_to_lack_fine_tuning_only(validated, tmp_path):
    folder = build(replace(validated, results=()), tmp_path / "site").parent
    text = (folder / "backbone-tiny-mt.html").read_text()
    assert "<h2>No fine-tuned results yet</h2>" in text
    part = text.split("<h2>Frozen</h2>")[1].split("</section>")[0]
    assert "gain by" not in part
    assert "data/summary/frozen/tiny-mt/nc.json" in part
    assert "<h2>No results yet</h2>" in (folder / "backbone-tiny-new.html").read_text()


def test_sections_of_another_track_are_told_apart_by_its_title(validated, tmp_path):
    moved = validated.backbones["tiny-mt"].model_copy(update={"track": "controlled"})
    two = replace(validated, backbones={**validated.backbones, "tiny-mt": moved})
    folder = build(two, tmp_path / "site").parent
    heads = re.findall(r"<h2>(.*?)</h2>", (folder / "frozen.html").read_text())
    assert heads == [
        "What fine-tuning adds: toy and frozen",
        "What fine-tuning adds, controlled track: toy and frozen",
        "Frozen encoders by rank, probe frozen",
        "Frozen encoders by rank, controlled track, probe frozen",
    ]
    own = (folder / "backbone-tiny-mt.html").read_text().split("<h2>Frozen</h2>")[1].split("</section>")[0]
    assert "data/gains/controlled/toy/frozen.json" in own
    assert "data/gains/toy/" not in own


def test_where_there_are_no_frozen_encoders_there_is_no_page(validated, tmp_path):
    folder = build(replace(validated, frozen=(), results=validated.results[:1]), tmp_path / "site").parent
    assert not (folder / "frozen.html").exists()
    assert not (folder / "data/gains").exists()
    assert "frozen.html" not in (folder / "index.html").read_text()


def test_without_a_pair_there_is_no_gain(validated, tmp_path):
    assert all_gains(replace(validated, results=())) == []
    folder = build(replace(validated, results=(), frozen=validated.frozen[:1]), tmp_path / "site").parent
    text = (folder / "frozen.html").read_text()
    assert "No backbone has both a frozen and a fine-tuned result on the same task yet." in text
    assert "data-plot" not in text
