"""The controlled track: from a checkpoint of fairseq to its page, and what is refused on the way."""

from __future__ import annotations

import json
import shutil

import pytest
import yaml

from tests.helpers import fairseq
from tests.helpers.families import texts
from tests.leaderboard.conftest import PUBLISHED
from tests.leaderboard.spoiled import described, edited
from xglue_harness.conversion.fairseq import convert
from xglue_harness.errors import EncoderError, LeaderboardError
from xglue_harness.harness.demo import evaluate_sample
from xglue_harness.leaderboard.add import add
from xglue_harness.leaderboard.contributions.answers import EXAMPLES, OF_CONVERTED
from xglue_harness.leaderboard.contributions.backbones import read_backbone
from xglue_harness.leaderboard.contributions.new_backbone import new_backbone
from xglue_harness.leaderboard.ranking.board import boards
from xglue_harness.leaderboard.ranking.choice import incomparable
from xglue_harness.leaderboard.ranking.tables import by_language, compared, overall
from xglue_harness.leaderboard.site.build import build
from xglue_harness.leaderboard.validation.validate import validate
from xglue_harness.published.tracks import LM_VS_MT, STUDIES

SENTENCES = [text for language in ("en", "fr", "es", "ru") for text in texts()[language]]
MADE = {"lm-vs-mt-2-lm": ("bart-lm", "LM"), "lm-vs-mt-2-mt": ("bart-mt", "MT")}
RESULT = "results/lm-vs-mt-2-mt/mine/1/ner.json"
QUICK = {"data": "sample", "dev": "none", "epochs": 1, "train_limit": 16, "max_length": 32}


@pytest.fixture(scope="module")
def run(no_list_of_packages, tmp_path_factory):
    """Two checkpoints of one dictionary, converted and fine-tuned."""
    folder = tmp_path_factory.mktemp("controlled")
    for name, (kind, _) in MADE.items():
        made = fairseq.make(folder / kind, kind, SENTENCES)
        convert(*made.files, folder / name)
        evaluate_sample(folder / name, tasks=["xglue_ner_zs"], seed=1, output=folder / "results" / name, recipe=QUICK)
    return folder


@pytest.fixture(scope="module")
def whole(run, example, tmp_path_factory):
    """The example's NER with the controlled track beside it, as a contributor makes it."""
    tree = tmp_path_factory.mktemp("tree")
    shutil.copytree(example / "backbones", tree / "backbones")
    for path in example.glob("results/*/toy/*/ner.*"):
        place = tree / path.relative_to(example)
        place.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(path, place)
    for name, (kind, family) in MADE.items():
        answers = {**EXAMPLES, **OF_CONVERTED, "hub": "", "pretraining.languages": "ar,en,es,fr,ru,zh"}
        answers |= {"title": name, "family": family, "converted_from.file": f"{kind}.pt", "encoder_sha256": "null"}
        new_backbone(name, str(run / name), tree, answers)
    add([run / "results"], tree, recipe="mine", example=True)
    return tree


@pytest.fixture
def tree(whole, tmp_path):
    return shutil.copytree(whole, tmp_path / "tree")


def test_from_fairseq_to_the_page_of_the_track(whole, tmp_path):
    validated = validate(whole, example=True)
    main, controlled = boards(validated)
    assert (main.track, controlled.track, controlled.place) == ("main", "controlled", "controlled/mine")
    assert {row.backbone.name for row in controlled.overall} == {*MADE}
    assert not {row.backbone.name for row in main.overall} & {*MADE}
    assert overall(controlled).title.startswith("track controlled, recipe mine, ")
    families = controlled.families["ner"]
    assert (families.scores, families.versus) == ((), ())
    [pair] = families.matched
    rows = {row.backbone.name: row.score.value for row in controlled.tasks["ner"].rows}
    assert pair.difference.value == pytest.approx(rows["lm-vs-mt-2-mt"] - rows["lm-vs-mt-2-lm"], abs=1e-12)
    site = build(validated, tmp_path / "site").parent
    page = (site / "controlled.html").read_text()
    assert "lm-vs-mt-2-mt" in page
    assert "No results yet" not in page
    assert "Pairs: differences in points" in page
    assert "Families: means" not in page
    assert "NER by language, recipe mine, controlled track: F1" in page
    own = (site / "backbone-lm-vs-mt-2-mt.html").read_text()
    assert "<h2>Recipe mine, controlled track</h2>" in own
    assert "Each run: mean over languages, recipe mine, controlled track, in %" in own
    assert '"title":"mine, controlled track"' in (site / "compare.html").read_text().replace('": "', '":"')
    assert "recipe controlled/mine" not in (page + own).lower()  # that is a folder
    assert by_language(controlled, "ner").title == "track controlled, recipe mine, NER (f1)"
    assert "lm-vs-mt" not in (site / "task-ner.html").read_text()
    value = json.loads((site / "data/families/controlled/mine.json").read_text())
    assert value["track"] == "controlled"
    assert len(value["tasks"]["ner"]["matched"]) == 1


def test_tracks_are_not_compared(whole):
    every = boards(validate(whole, example=True))
    assert not any(compared(board, "tiny-lm", "lm-vs-mt-2-mt", ["ner"], 100) for board in every if "ner" in board.tasks)
    message = incomparable(whole, every, "tiny-lm", "lm-vs-mt-2-mt")
    assert "tiny-lm is in the track main and lm-vs-mt-2-mt in controlled, and tracks are never compared" in message


def original(tree, **changes):
    described(tree, "lm-vs-mt-2-mt", **{f"converted_from__{key}": value for key, value in changes.items()})


def changed_weights(tree):
    edited(tree, lambda value: value["record"]["backbone"].update(encoder_sha256="0" * 64), RESULT)


def without_a_note(tree):
    edited(tree, lambda value: value["record"]["backbone"].update(converted_from=None), RESULT)


def other_subwords(tree):
    edited(
        tree,
        lambda value: value["record"]["backbone"]["converted_from"].update(sentencepiece_sha256="0" * 64),
        RESULT,
    )
    original(tree, sentencepiece_sha256=None)
    described(tree, "lm-vs-mt-2-lm", converted_from__sentencepiece_sha256=None)


BAD = (
    (lambda tree: original(tree, sha256="0" * 64), r"converted_from.checkpoint_sha256: \w+; expected 0{64}"),
    (lambda tree: original(tree, dictionary_sha256="0" * 64), r"converted_from.dictionary_sha256: \w+; expected 0{64}"),
    (lambda tree: original(tree, sentencepiece_sha256="0" * 64), r"sentencepiece_sha256: \w+; expected 0{64}"),
    (lambda tree: original(tree, version=2), r"converted_from.version: 1; expected 2"),
    (lambda tree: original(tree, repository="other/one"), r"track: controlled holds checkpoints .* names other/one at"),
    (lambda tree: original(tree, commit="0" * 40), r"track: controlled holds checkpoints that were converted from"),
    (lambda tree: original(tree, file="bart-lm.pt"), r"duplicate: the same checkpoint as"),
    (lambda tree: described(tree, "lm-vs-mt-2-mt", track="main"), r"track: a checkpoint of Helsinki-NLP/lm-vs-mt"),
    (lambda tree: described(tree, "lm-vs-mt-2-mt", converted_from=None), r"track: .*converted_from is null"),
    (
        lambda tree: described(tree, "lm-vs-mt-2-mt", track="main", converted_from=None),
        r"converted_from: the checkpoint was made of a file of fairseq with sha256 \w+; expected null",
    ),
    (lambda tree: described(tree, track="controlled"), r"tiny-lm.yaml: .*track: controlled holds .* is null"),
    (
        lambda tree: described(tree, "lm-vs-mt-2-mt", family="CP", continued_from="tiny-lm"),
        r"continued_from: tiny-lm is in the track main, and tracks are never compared",
    ),
    (changed_weights, r"encoder_sha256: 0{64}; the converter made \w+, so the weights were changed since"),
    (without_a_note, r"converted_from: null; expected a checkpoint that 'xglue-harness backbone convert fairseq' made"),
    (other_subwords, r"record.backbone.converted_from: sentencepiece_sha256 is \w+; \S+ has \w+"),
)


@pytest.mark.parametrize(("spoil", "reason"), BAD, ids=[str(number) for number in range(len(BAD))])
def test_a_bad_contribution_to_the_track_is_refused(tree, spoil, reason):
    spoil(tree)
    with pytest.raises(LeaderboardError, match=reason):
        validate(tree, example=True)


def test_what_is_converted_is_asked_for_its_origin(run, tmp_path):
    (tmp_path / "backbones").mkdir()
    answers = {**EXAMPLES, "hub": "", "pretraining.languages": "en"}
    with pytest.raises(LeaderboardError, match=r"- converted_from.repository: .*\n(.*\n)*- track: .*main, controlled"):
        new_backbone("one", str(run / "lm-vs-mt-2-lm"), tmp_path, answers)
    with pytest.raises(LeaderboardError, match=r"track: a checkpoint of Helsinki-NLP/lm-vs-mt belongs into the track"):
        new_backbone("one", str(run / "lm-vs-mt-2-lm"), tmp_path, {**answers, **OF_CONVERTED, "track": "main"})
    assert not [*(tmp_path / "backbones").iterdir()]


def test_a_run_of_a_note_that_nobody_wrote_ends_before_it_trains(run, tmp_path):
    shutil.copytree(run / "lm-vs-mt-2-lm", tmp_path / "edited")
    file = tmp_path / "edited" / "config.json"
    value = json.loads(file.read_text())
    value["xglue_converted_from"]["version"] = "one"
    file.write_text(json.dumps(value))
    with pytest.raises(EncoderError, match=r"xglue_converted_from: version: .*convert the original again"):
        evaluate_sample(tmp_path / "edited", tasks=["xglue_ner_zs_de"], seed=1, recipe=QUICK)


def test_the_five_of_the_study_are_described():
    found = {path.stem: read_backbone(path) for path in PUBLISHED.glob("*.yaml")}
    controlled = {name: backbone for name, backbone in found.items() if backbone.track == "controlled"}
    assert {*controlled} == {f"lm-vs-mt-{name}" for name in ("2-lm", "2-mt", "mlm", "clm", "tlm")}
    assert {name for pair in LM_VS_MT.pairs for name in pair} <= {*controlled}
    assert [*STUDIES] == ["main", "controlled"]
    assert len([name for name, backbone in found.items() if backbone.track == "main"]) == 7
    assert all(yaml.safe_load(path.read_text()).get("track") is None for path in PUBLISHED.glob("m*.yaml"))


def test_the_page_of_a_track_without_results_says_so(tmp_path):
    site = build(validate(PUBLISHED.parent), tmp_path / "site").parent
    assert "Nobody has added a result of this track" in (site / "controlled.html").read_text()
    assert "lm-vs-mt" not in (site / "index.html").read_text().split('id="cite"')[0]
