"""From lm_eval's results to the tree, whole or not at all."""

from __future__ import annotations

import shutil

import pytest
import yaml

from xglue_harness.benchmark import TASKS
from xglue_harness.errors import LeaderboardError
from xglue_harness.harness.demo import build_encoder, evaluate_sample
from xglue_harness.leaderboard.add import add
from xglue_harness.leaderboard.contributions.recipes import changed_options, packaged_recipe
from xglue_harness.leaderboard.contributions.results import read_result
from xglue_harness.leaderboard.validation.validate import validate
from xglue_harness.recipe import parse_options, resolve
from xglue_harness.records import predictions

QUICK = {"epochs": 10}


@pytest.fixture(scope="module")
def run(no_list_of_packages, tmp_path_factory):
    """Folder of results of PAWS-X, seeds 1 and 2, of the encoder that the example calls tiny-lm."""
    folder = tmp_path_factory.mktemp("run")
    build_encoder(folder / "tiny-lm", seed=1)
    for seed in (1, 2):
        output = folder / f"seed{seed}"
        evaluate_sample(folder / "tiny-lm", tasks=["xglue_pawsx_zs"], seed=seed, output=output, **QUICK)
    return folder


@pytest.fixture
def empty(tree):
    """The example's backbones without results."""
    shutil.rmtree(tree / "results")
    return tree


def files(tree):
    return {path.relative_to(tree).as_posix(): path.read_bytes() for path in tree.rglob("*") if path.is_file()}


def test_results_are_added_with_predictions_without_class_scores(run, empty):
    added = add([run], empty, recipe="short", example=True)
    assert [path.relative_to(empty / "results").as_posix() for path in added.new] == [
        "tiny-lm/short/1/pawsx.json",
        "tiny-lm/short/2/pawsx.json",
    ]
    validated = validate(empty, example=True)
    assert len(validated.results) == 2
    written = read_result(added.new[0])
    assert written.recipe == "short"
    assert set(written.languages) == {"de", "en", "es", "fr"}
    kept = predictions.read(added.new[0].with_name("pawsx.de.parquet"))
    assert kept.scores is None
    assert str(run) not in added.new[0].read_text()
    assert written.languages["de"].record.backbone.name == "tiny-lm"
    assert written.languages["de"].record.data.description == "sample"
    assert kept.complete


def test_the_same_results_again_change_nothing(run, empty):
    add([run], empty, recipe="short", example=True)
    before = files(empty)
    again = add([run], empty, recipe="short", example=True)
    assert (len(again.new), len(again.replaced), len(again.unchanged)) == (0, 0, 2)
    assert files(empty) == before


def test_other_scores_need_a_reason_that_is_kept(run, empty):
    add([run / "seed1"], empty, recipe="short", example=True)
    path = empty / "results/tiny-lm/short/1/pawsx.json"
    old = read_result(path)
    other = path.read_text().replace('"seed": 1,', '"seed": 2,')
    folder = empty / "results/tiny-lm/short/2"
    shutil.copytree(path.parent, folder)
    (folder / "pawsx.json").write_text(other)  # seed 1's predictions under seed 2
    before = files(empty)
    with pytest.raises(LeaderboardError, match=r"2/pawsx.json: is there already, with mean score 0\.\d+; now it is"):
        add([run / "seed2"], empty, recipe="short", example=True)
    assert files(empty) == before
    with pytest.raises(LeaderboardError, match=r"--reason: reason: holds HTML"):
        add([run / "seed2"], empty, recipe="short", reason="<b>bold</b>", example=True)
    added = add([run / "seed2"], empty, recipe="short", reason="it was seed 1 by mistake", example=True)
    assert len(added.replaced) == 1
    (change,) = read_result(added.replaced[0]).changes
    assert (change.reason, change.previous) == ("it was seed 1 by mistake", old.scores)
    validate(empty, example=True)


@pytest.mark.parametrize(
    ("arguments", "reason"),
    [
        ({"recipe": None}, r"the recipe of PAWS-X is none of paper, quick, xglue: name it with --recipe NAME"),
        ({"recipe": "paper"}, r"'paper', but the options are not those of the recipe of that name"),
        ({"recipe": "xglue"}, r"'xglue', but the options are not those of the recipe of that name"),
        ({"recipe": "../short"}, r"recipe: String should match pattern"),
        ({"example": False}, r"SAMPLE: the data are the packaged toy; expected XGLUE"),
        ({"backbone": "tiny-mt"}, r"record.backbone.encoder_sha256: \w+; expected \w+, as the YAML says"),
        ({"backbone": "../tiny"}, r"backbone: String should match pattern"),
    ],
    ids=lambda value: str(value) if isinstance(value, dict) else "",
)
def test_what_does_not_fit_leaves_the_tree_as_it_was(run, empty, arguments, reason):
    before = files(empty)
    with pytest.raises(LeaderboardError, match=reason) as refused:
        add([run], empty, **{"recipe": "short", "example": True, **arguments})
    assert "/tmp/xglue-leaderboard-" not in str(refused.value)
    assert files(empty) == before


def test_an_unknown_checkpoint_is_told_how_to_become_known(run, empty):
    (empty / "backbones/tiny-lm.yaml").unlink()
    with pytest.raises(LeaderboardError, match=r"no backbone of the tree is \S+tiny-lm at revision None: describe it"):
        add([run], empty, recipe="short", example=True)


def test_a_hub_id_and_revision_say_which_backbone_it_is(run, empty):
    """Where the YAML knows no hash of the weights."""
    import json

    file = empty / "backbones/tiny-lm.yaml"
    value = yaml.safe_load(file.read_text())
    file.write_text(yaml.safe_dump({**value, "hub": "tiny/lm", "revision": "c" * 40, "encoder_sha256": None}))
    folder = empty.parent / "from-hub"
    shutil.copytree(run / "seed1", folder)
    (results,) = folder.rglob("*.json")
    content = json.loads(results.read_text())
    for config in content["configs"].values():
        config["metadata"]["xglue"]["backbone"].update(name="tiny/lm", revision="c" * 40)
    results.write_text(json.dumps(content))
    (path,) = add([folder], empty, recipe="short", example=True).new
    assert path.parent.parent.parent.name == "tiny-lm"
    file.write_text(file.read_text().replace("c" * 40, "d" * 40))
    with pytest.raises(LeaderboardError, match=r"tiny/lm at revision c{40}; tiny-lm.yaml has d{40}: run that one"):
        add([folder], empty, recipe="short", example=True)


def test_a_missing_language_is_named(run, empty, tmp_path):
    import json

    shutil.copytree(run / "seed1", tmp_path / "part")
    (results,) = (tmp_path / "part").rglob("*.json")
    content = json.loads(results.read_text())
    del content["configs"]["xglue_pawsx_zs_es"]
    results.write_text(json.dumps(content))
    with pytest.raises(LeaderboardError, match=r"PAWS-X lacks es; a result has all languages: run --tasks xglue_pawsx"):
        add([tmp_path / "part"], empty, recipe="short", example=True)


def test_two_results_of_one_run_are_refused(run, empty, tmp_path):
    shutil.copytree(run / "seed1", tmp_path / "copy")
    with pytest.raises(
        LeaderboardError, match=r"has the same backbone, protocol, task, seed and language: give one of them"
    ):
        add([run / "seed1", tmp_path / "copy"], empty, recipe="short", example=True)


def test_prompted_results_are_refused(run, empty, tmp_path):
    import json

    shutil.copytree(run / "seed1", tmp_path / "prompt")
    (results,) = (tmp_path / "prompt").rglob("*.json")
    content = json.loads(results.read_text())
    for config in content["configs"].values():
        config["metadata"]["xglue"]["protocol"] = "prompt"
    results.write_text(json.dumps(content))
    with pytest.raises(LeaderboardError, match=r"protocol 'prompt': the leaderboard has fine-tuned"):
        add([tmp_path / "prompt"], empty, recipe="short", example=True)


def test_a_recipe_that_comes_with_us_is_known_by_what_it_sets_and_no_other_may_have_its_name():
    spec = TASKS["pos"]

    def recorded(**metadata):
        options = parse_options(metadata, task="pos")
        return resolve(options, spec, seed=5, precision="bf16", pooling="mean").model_dump(), options.select

    assert packaged_recipe(spec, *recorded()) == "paper"
    assert packaged_recipe(spec, *recorded(recipe="xglue")) == "xglue"
    assert packaged_recipe(spec, *recorded(recipe="quick")) == "quick"
    assert packaged_recipe(spec, *recorded(recipe="quick", epochs=3)) is None
    assert packaged_recipe(spec, *recorded(recipe="xglue", select="last")) is None
    assert packaged_recipe(spec, *recorded(select="average")) is None
    assert changed_options(*recorded(select="average_last_3"), spec) == {"select": "average_last_3"}
    typed = {"epochs": 20, "max_length": 128, "warmup_ratio": 0, "select": "all_dev"}
    assert packaged_recipe(spec, *recorded(**typed)) == "xglue"  # whoever names every option himself has run it, too


def test_a_recipe_of_ones_own_names_its_results_unless_something_was_changed_beside_it(run, empty, tmp_path):
    import json

    def folder(name, changed):
        copy = tmp_path / name
        shutil.copytree(run / "seed1", copy)
        (results,) = copy.rglob("*.json")
        content = json.loads(results.read_text())
        named = {"name": "mine", "sha256": "a" * 64, "options": {"epochs": 9}, "changed": changed}
        for config in content["configs"].values():
            config["metadata"]["xglue"]["named_recipe"] = named
        results.write_text(json.dumps(content))
        return copy

    with pytest.raises(LeaderboardError, match=r"none of paper, quick, xglue: name it with --recipe NAME"):
        add([folder("other", {"epochs": 10})], empty, example=True)
    (path,) = add([folder("same", {})], empty, example=True).new
    assert path.relative_to(empty / "results").as_posix() == "tiny-lm/mine/1/pawsx.json"
    assert read_result(path).languages["de"].record.named_recipe.name == "mine"
