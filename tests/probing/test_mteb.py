"""Our tasks, our encoder and our files in mteb's own hands."""

from __future__ import annotations

import json
import subprocess
import sys

import numpy as np
import pytest
import torch
from sklearn.metrics import average_precision_score, ndcg_score

from tests.helpers import families, layout
from xglue_harness.benchmark import TASKS
from xglue_harness.data import open_source
from xglue_harness.encoders.loading import load_backbone
from xglue_harness.errors import DataError, EncoderError
from xglue_harness.kinds import kind_of
from xglue_harness.probing.frozen_encoder import FrozenEncoder
from xglue_harness.probing.run import probe_task

mteb = pytest.importorskip("mteb", reason="needs the extra mteb")

from mteb.models import ModelMeta  # noqa: E402

from xglue_harness.probing.bitext import xnli_premises  # noqa: E402
from xglue_harness.probing.bitext_task import FrozenBitext  # noqa: E402
from xglue_harness.probing.encoder import FrozenModel  # noqa: E402
from xglue_harness.probing.tasks import BENCHMARK, benchmark  # noqa: E402

LENGTH = 256
LANGUAGES = ["de", "en"]


@pytest.fixture(scope="module", autouse=True)
def _own_cache(tmp_path_factory):
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("XGLUE_CACHE", str(tmp_path_factory.mktemp("cache")))
        yield


def load(folder, family="mbert"):
    folder.mkdir(exist_ok=True)
    families.FAMILIES[family](folder)
    return load_backbone(str(folder), torch.device("cpu"))


@pytest.fixture(scope="module")
def bert(tmp_path_factory):
    return load(tmp_path_factory.mktemp("models") / "mbert")


def frozen(backbone, length=64):
    return FrozenEncoder(backbone, pooling="mean", max_length=length)


def tasks_of(data="sample", names=None, languages=LANGUAGES, **ways):
    found = benchmark(data, tasks=names, **ways).tasks
    return [task.filter_languages(languages=None, hf_subsets=languages) for task in found]


def evaluate(model, tasks, cache=None):
    result = mteb.evaluate(model, tasks, cache=cache, show_progress_bar=False, co2_tracker=False)
    return {one.task_name.split("-")[2].lower(): one for one in result.task_results}


def of(result, language):
    (found,) = [one for one in result.scores["test"] if one["hf_subset"] == language]
    return found


@pytest.fixture(scope="module")
def evaluated(bert):
    return evaluate(FrozenModel(frozen(bert), 2), tasks_of())


SHORT = {"pawsx": "paws"}


@pytest.mark.parametrize("name", TASKS)
def test_mteb_comes_to_the_numbers_that_a_probe_comes_to(bert, evaluated, name):
    spec, source = TASKS[name], open_source("sample")
    train = source.load(spec, "train", "en").dataset
    tests = {one: kind_of(spec).documents(source.load(spec, "test", one).dataset) for one in LANGUAGES}
    ways = {"layers": None, "pooling": "mean", "max_length": 64, "seed": 0, "progress": False}
    for one in probe_task(bert, spec, train, tests, **ways):
        theirs = of(evaluated[SHORT.get(name, name)], one.language)
        assert theirs[f"xglue_{spec.metric}"] == one.score
        if name in ("nc", "xnli"):
            assert theirs["main_score"] == theirs["accuracy"] == one.score
        if name in ("pawsx", "qam", "qadsm"):
            gold = tests[one.language][spec.label_column][:]
            expected = average_precision_score(gold, one.scored.similarity)
            assert abs(theirs["cosine_ap"] - expected) < 1e-12
            assert theirs["main_score"] == theirs["max_ap"] >= theirs["cosine_ap"]
        if name == "wpr":
            assert theirs["xglue_ndcg_by_cosine"] == one.ranking
            gold, start, expected = tests[one.language][spec.label_column][:], 0, []
            for grades in gold:
                cosines = one.scored.similarity[start : start + len(grades)]
                start += len(grades)
                if len(grades) > 1:
                    expected.append(ndcg_score([grades], [cosines]))
            assert abs(one.ranking - np.mean(expected)) < 1e-12
            assert theirs["main_score"] == theirs["ndcg_at_10"] == pytest.approx(one.ranking, abs=2e-3)


def test_the_benchmark_has_every_task_under_names_of_its_own():
    found = benchmark("sample")
    assert found.name == BENCHMARK == "XGLUE (frozen)"
    names = [task.metadata.name for task in found.tasks]
    assert len({*names}) == 8
    assert all(name.startswith("XGLUE-frozen-") for name in names)
    theirs = {task.metadata.name for task in mteb.get_tasks()}
    assert "XNLI" in theirs
    assert not theirs & {*names}
    assert len(benchmark("sample", words=False).tasks) == 6


def data_folder(folder, labels):
    spec = TASKS["nc"]
    layout.write_task(folder, spec, LANGUAGES, rows=8)
    if labels:
        path = folder / spec.path("test", "de")
        lines = path.read_text().splitlines()
        path.write_text("\n".join([lines[0].replace(lines[0].split("\t")[-1], "autos"), *lines[1:]]) + "\n")
    return str(folder)


def test_changed_data_give_new_scores_and_equal_ones_do_not(bert, tmp_path, monkeypatch):
    cache = mteb.ResultCache(tmp_path / "cache")
    model = FrozenModel(frozen(bert), 2)
    first = evaluate(model, tasks_of(data_folder(tmp_path / "a", False), ["nc"]), cache)["nc"]
    changed = evaluate(model, tasks_of(data_folder(tmp_path / "b", True), ["nc"]), cache)["nc"]
    assert changed.dataset_revision != first.dataset_revision
    assert changed.task_name != first.task_name, "mteb finds a complete result by name, whatever its revision"
    fresh = evaluate(model, tasks_of(str(tmp_path / "b"), ["nc"]), mteb.ResultCache(tmp_path / "other"))["nc"]
    assert of(changed, "de") == of(fresh, "de")
    monkeypatch.setattr(FrozenModel, "encode", lambda *_, **__: pytest.fail("computed again"))
    again = evaluate(model, tasks_of(data_folder(tmp_path / "c", False), ["nc"]), cache)["nc"]
    assert of(again, "de")["accuracy"] == pytest.approx(of(first, "de")["accuracy"], abs=1e-6)  # mteb's files round


def test_another_seed_or_layer_is_another_result(bert, tmp_path):
    data = data_folder(tmp_path / "a", False)
    one, other = (benchmark(data, tasks=["nc"], seed=seed).tasks[0] for seed in (0, 1))
    assert one.metadata.name != other.metadata.name
    encoder = frozen(bert)
    names = {FrozenModel(encoder, layer).mteb_model_meta.experiment_name for layer in (0, 1, 2)}
    assert len(names) == 3


@pytest.mark.parametrize(("family", "codes"), [("mbart50", ("en_XX", "de_DE")), ("nllb", ("eng_Latn", "deu_Latn"))])
def test_english_training_rows_are_read_as_english_whatever_the_subset(tmp_path, monkeypatch, family, codes):
    body = load(tmp_path / family, family)
    english, german = body.tokenizer.convert_tokens_to_ids([*codes])
    known, heard = {english, german}, []
    computed = FrozenEncoder._vectors

    def hear(self, part, device_inputs, batch, layers):
        for index in batch.tolist():
            heard.append((tuple(part.inputs.subwords_of(index).tolist()), len(part.inputs)))
        return computed(self, part, device_inputs, batch, layers)

    monkeypatch.setattr(FrozenEncoder, "_vectors", hear)
    rows = 12
    spec = TASKS["nc"]
    for split, language, count in [("train", "en", rows), ("test", "de", 7)]:
        folder = tmp_path / "data"
        layout.write_file(folder, spec, split, language, layout.sentence_file(spec, split, language, count))
    evaluate(FrozenModel(frozen(body), 2), tasks_of(str(tmp_path / "data"), ["nc"], ["de"]))
    by_size = {
        size: {code for ids, texts in heard if texts == size for code in ids if code in known} for size in (12, 7)
    }
    assert by_size == {12: {english}, 7: {german}}


def test_rows_without_a_language_are_refused_where_it_matters(tmp_path, bert):
    batches = [{"text": ["a", "the dog"]}]
    model = FrozenModel(frozen(load(tmp_path / "mbart", "mbart50")), 2)
    with pytest.raises(EncoderError, match="no column 'language'"):
        model.encode(batches)
    assert FrozenModel(frozen(bert), 2).encode(batches).shape == (2, 16)


def test_texts_come_back_in_their_order(bert):
    model = FrozenModel(frozen(bert), 2)
    mixed = model.encode(
        [{"text": ["the dog", "a"], "language": ["de", "en"]}, {"text": ["the cat"], "language": ["de"]}]
    )
    alone = [model.encode([{"text": [text], "language": ["en"]}])[0] for text in ("the dog", "a", "the cat")]
    assert np.allclose(mixed, alone, atol=1e-2)


class Hashes:
    """A model of mteb that is not ours: vectors of characters."""

    mteb_model_meta = ModelMeta.create_empty({"name": "other/hashes", "revision": "1"})

    def encode(self, inputs, **_):
        texts = [text for batch in inputs for text in batch["text"]]
        return np.array([[text.count(letter) for letter in "aeinrst"] for text in texts], dtype=np.float32)

    def similarity(self, one, other):
        raise NotImplementedError

    def similarity_pairwise(self, one, other):
        raise NotImplementedError


def test_any_model_of_mteb_can_be_probed_but_for_words():
    found = evaluate(Hashes(), tasks_of(words=False))
    assert len(found) == 6
    assert 0 < of(found["nc"], "en")["main_score"] < 1
    with pytest.raises(DataError, match="needs states of words, which Hashes does not give"):
        evaluate(Hashes(), tasks_of(names=["pos"]))


def test_premises_are_mined_by_mteb(bert):
    texts = xnli_premises(open_source("sample"), ["de", "en", "sw"])
    assert {*texts.by_language} == {"de", "en", "sw"}
    assert len({*texts.by_language["en"]}) == len(texts.by_language["en"]) > 5
    task = FrozenBitext(texts)
    (found,) = mteb.evaluate(
        FrozenModel(frozen(bert), 2), [task], cache=None, show_progress_bar=False, co2_tracker=False
    ).task_results
    assert {one["hf_subset"] for one in found.scores["test"]} == {"de-en", "en-de", "sw-en", "en-sw"}
    assert of(found, "de-en")["languages"] == ["deu-Latn", "eng-Latn"]
    assert 0 <= of(found, "de-en")["main_score"] <= of(found, "de-en")["accuracy"] <= 1


OWN_TASK = """
import json, sys
{before}
import mteb
import numpy as np
from datasets import Dataset, DatasetDict
from mteb.abstasks import AbsTaskClassification
from mteb.models import ModelMeta
from mteb.abstasks.task_metadata import TaskMetadata

class Local(AbsTaskClassification):
    metadata = TaskMetadata(name="LocalToy", description="-", dataset={{"path": "x/y", "revision": "1"}},
                            type="Classification", category="t2c", eval_langs=["eng-Latn"], main_score="accuracy")
    def load_data(self, **_):
        rows = [f"{{'aeiou'[n % 5] * (n % 7 + 1)}} {{'xyz'[n % 3] * (n % 4)}}" for n in range(60)]
        split = Dataset.from_dict({{"text": rows, "label": [n % 3 for n in range(60)]}})
        self.dataset, self.data_loaded = DatasetDict(train=split, test=split), True

class Model:
    mteb_model_meta = ModelMeta.create_empty({{"name": "other/hashes", "revision": "1"}})
    def encode(self, inputs, **_):
        texts = [text for batch in inputs for text in batch["text"]]
        return np.array([[text.count(letter) for letter in "aeiouxy"] for text in texts], dtype=np.float32)
    def similarity(self, one, other): ...
    def similarity_pairwise(self, one, other): ...

result = mteb.evaluate(Model(), [Local()], cache=None, show_progress_bar=False, co2_tracker=False).task_results[0]
print(json.dumps([result.scores, sorted(task.metadata.name for task in mteb.get_tasks())]))
{after}
"""


@pytest.mark.processes
def test_mtebs_own_tasks_do_not_notice_us():
    def outcome(before, after=""):
        code = OWN_TASK.format(before=before, after=after)
        done = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True)
        return json.loads(done.stdout.splitlines()[-1])

    clean = "sys.meta_path[:] = [one for one in sys.meta_path if 'xglue_harness' not in type(one).__module__]"
    without = outcome(clean, "assert 'xglue_harness.probing' not in sys.modules")
    with_us = outcome("import xglue_harness.hook, xglue_harness.probing.files")
    assert with_us == without
    assert 0 < without[0]["test"][0]["accuracy"] < 1
