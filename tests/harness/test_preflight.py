"""What would fail after a training fails before it."""

from __future__ import annotations

import shutil
from collections import namedtuple
from pathlib import Path

import pytest
import torch
import transformers

from tests.helpers.language_models import build_decoder
from xglue_harness.diagnostics import run as diagnostics
from xglue_harness.errors import DataError, EncoderError, RecipeError, StoreError
from xglue_harness.harness import early
from xglue_harness.records.schema import RunRecord
from xglue_harness.store.trainings import Store
from xglue_harness.sweeps.runner import judged
from xglue_harness.training.trainer import Trainer
from xglue_harness.transfer import preflight

LEAF = "xglue_xnli_zs_de"
WAYS = {"device": "cpu", "limit": 16}


@pytest.fixture
def no_training(own_store, monkeypatch):
    """A training that begins is a failure."""

    def train(self):
        pytest.fail("a training has begun")

    monkeypatch.setattr(Trainer, "train", train)


def _saved(folder, model, words):
    model.save_pretrained(folder)
    words.save_pretrained(folder)
    return {"pretrained": str(folder)}


@pytest.fixture(scope="module")
def loaded(tiny):
    return transformers.AutoModel.from_pretrained(tiny, add_pooling_layer=False)


@pytest.fixture
def words(tiny):
    return transformers.AutoTokenizer.from_pretrained(tiny)


@pytest.mark.usefixtures("own_store")
@pytest.mark.parametrize("kind", [torch.float16, torch.bfloat16])
@pytest.mark.parametrize("model", ["hf", "hf-encoder"])
def test_weights_in_half_precision_are_diagnosed(kind, model, evaluate, tiny, words, tmp_path):
    body = transformers.AutoModel.from_pretrained(tiny, add_pooling_layer=False)
    half = _saved(tmp_path / "half", body.to(kind), words)
    options = {"diagnostics": ["cka", "spectra"], "reference": half["pretrained"]}
    found = evaluate([LEAF], options, model=model, model_args=half, **WAYS)
    record = RunRecord.model_validate(found["configs"][LEAF]["metadata"]["xglue"])
    names = {"cka_en", "cka_pretrained", "cka_reference", "sigma_norm", "sigma_distance"}
    assert set(record.diagnostics.metrics) == names
    assert record.diagnostics.metrics["cka_pretrained"].value > 0.99
    assert record.diagnostics.encoders["pretrained"]["encoder_sha256"] == record.backbone.encoder_sha256
    assert record.backbone.batches == "any length"


@pytest.mark.usefixtures("no_training")
@pytest.mark.parametrize("model", ["hf", "hf-encoder"])
@pytest.mark.parametrize("place", ["test", "training"])
def test_ids_that_have_no_row_are_named(model, place, evaluate, loaded, words, tmp_path):
    from xglue_harness.benchmark import TASKS
    from xglue_harness.data import open_source

    split = ("test", "de") if place == "test" else ("train", "en")
    rows = open_source("sample").load(TASKS["xnli"], *split)
    text = " ".join(rows.dataset["premise"])
    english = " ".join(open_source("sample").load(TASKS["xnli"], "train", "en").dataset["premise"])
    pieces = [text[at : at + 4] for at in range(len(text))]
    wanted = next(
        piece
        for piece in pieces
        if piece.isalpha() and piece not in words.get_vocab() and (place == "training" or piece not in english)
    )
    words.add_tokens([wanted])
    row = len(words) - 1
    given = _saved(tmp_path / "added", loaded, words)
    title = "XNLI de" if place == "test" else "XNLI, training set"
    with pytest.raises(EncoderError, match=rf"{title}: .*{row} \('{wanted}'\), but .* has {row} rows"):
        evaluate([LEAF], model=model, model_args=given, metadata={"train_limit": 10**6}, device="cpu")


@pytest.mark.usefixtures("own_store")
def test_a_larger_tokenizer_whose_tokens_no_text_has_is_taken(evaluate, loaded, words, tmp_path):
    words.add_tokens(["qqqqqqqqqqqq"])
    assert evaluate([LEAF], model_args=_saved(tmp_path / "added", loaded, words), **WAYS)["results"][LEAF]


@pytest.mark.usefixtures("no_training")
def test_positions_are_named(evaluate, words, tmp_path):
    sizes = {"hidden_size": 32, "num_hidden_layers": 1, "num_attention_heads": 2, "intermediate_size": 32}
    config = transformers.RobertaConfig(vocab_size=len(words), max_position_embeddings=66, pad_token_id=3, **sizes)
    given = _saved(tmp_path / "padthree", transformers.RobertaModel(config, add_pooling_layer=False), words)
    with pytest.raises(EncoderError, match=r"max_length 64 is more than .*padthree can read \(62 subwords\)"):
        evaluate([LEAF], {"max_length": 64}, model_args=given, **WAYS)


@pytest.mark.usefixtures("no_training")
def test_a_language_that_the_encoder_is_not_told_is_named(evaluate, words, tmp_path):
    sizes = {"emb_dim": 16, "n_layers": 1, "n_heads": 2, "max_position_embeddings": 64}
    sizes |= {"pad_index": 0, "pad_token_id": 0}
    langs = {"n_langs": 2, "use_lang_emb": True, "lang2id": {"en": 0, "de": 1}}
    config = transformers.XLMConfig(vocab_size=len(words), **sizes, **langs)
    given = _saved(tmp_path / "xlm", transformers.XLMModel(config), words)
    with pytest.raises(EncoderError, match=r"xlm is told the language.*does not know 'sw'; it knows de, en"):
        evaluate(["xglue_xnli_zs_sw"], model_args=given, **WAYS)


@pytest.mark.usefixtures("no_training")
def test_a_diagnostic_that_fails_fails_before(evaluate, monkeypatch):
    def broken(study):
        raise ZeroDivisionError(study.states("finetuned", "de").shape)

    for module in (diagnostics, early):
        monkeypatch.setattr(module, "find", lambda names: {"broken": broken})
    with pytest.raises(RecipeError, match="'broken' failed: ZeroDivisionError"):
        evaluate([LEAF], {"diagnostics": ["broken"]}, **WAYS)


@pytest.mark.usefixtures("no_training")
def test_too_few_documents_for_diagnostics_are_said_before(evaluate):
    with pytest.raises(RecipeError, match="too few for diagnostics: raise --limit to 8"):
        evaluate([LEAF], {"diagnostics": ["cka"]}, device="cpu", limit=7)


@pytest.mark.usefixtures("no_training")
def test_a_reference_that_can_not_be_used_is_named_before(evaluate, tiny, tmp_path):
    shutil.copytree(tiny, tmp_path / "reference")
    (tmp_path / "reference" / "model.safetensors").write_bytes(b"nothing")
    with pytest.raises(EncoderError, match=r"weights of .*reference .*can't be loaded"):
        evaluate([LEAF], {"diagnostics": ["cka"], "reference": str(tmp_path / "reference")}, **WAYS)


@pytest.mark.usefixtures("no_training")
def test_a_disk_without_room_is_named(evaluate, own_store, monkeypatch):
    usage = namedtuple("usage", "total used free")
    monkeypatch.setattr(preflight.shutil, "disk_usage", lambda path: usage(10**9, 10**9, 1000))
    with pytest.raises(StoreError, match=r"has 0.0 GB left, and training .* takes .* XGLUE_STORE") as caught:
        evaluate([LEAF], **WAYS)
    assert judged(caught.value).is_full  # a sweep's worker stops there, and fails no job


@pytest.mark.usefixtures("no_training")
def test_places_that_can_not_be_written_are_named(evaluate, own_store, tmp_path, monkeypatch):
    own_store.write_text("a file")
    with pytest.raises(StoreError, match="can't be written"):
        evaluate([LEAF], **WAYS)
    own_store.unlink()
    file = tmp_path / "file"
    file.write_text("")
    from lm_eval.loggers import EvaluationTracker

    tracker = EvaluationTracker(output_path=str(file / "results"))
    with pytest.raises(DataError, match=r"file/results can't be written .*choose another --output_path"):
        evaluate([LEAF], evaluation_tracker=tracker, **WAYS)
    with pytest.raises(pytest.fail.Exception, match="a training has begun"):  # that path was of that run alone
        evaluate([LEAF], **WAYS)


@pytest.mark.usefixtures("own_store")
def test_what_lies_in_the_store_is_not_tried_again(evaluate, monkeypatch):
    tried = []
    monkeypatch.setattr(preflight, "diagnose", lambda names, study: tried.append(names))
    for _ in range(2):
        found = evaluate([LEAF], {"diagnostics": ["cka"]}, **WAYS)
    assert found["configs"][LEAF]["metadata"]["xglue"]["session"]["from_store"]
    assert tried == [("cka",)]


@pytest.mark.usefixtures("own_store")
def test_what_lies_in_the_store_is_looked_for_and_checked_once(evaluate, monkeypatch):
    found = []
    find = Store.find
    evaluate([LEAF], **WAYS)
    monkeypatch.setattr(Store, "find", lambda store, key: found.append(find(store, key)) or found[-1])
    evaluate([LEAF], **WAYS)
    assert [entry is not None for entry in found] == [True]


def test_nothing_is_left_where_it_was_tried(tmp_path):
    preflight.check_writable(tmp_path / "a" / "b", "choose")
    preflight.check_outputs([str(tmp_path / "x" / "y.json"), str(tmp_path / "z")])
    assert list(tmp_path.iterdir()) == []
    with pytest.raises(DataError, match="can't be written"):
        preflight.check_writable(Path(__file__) / "b", "choose")


def test_a_language_model_is_looked_at_too(evaluate, tmp_path):
    build_decoder(tmp_path)
    given = {"model": "hf", "model_args": {"pretrained": str(tmp_path)}, "device": "cpu"}
    with pytest.raises(RecipeError, match=r"xglue_qam_zs_de: 0 documents: raise --limit"):
        evaluate(["xglue_qam_zs_de"], limit=0, **given)
    model = transformers.AutoModelForCausalLM.from_pretrained(tmp_path)
    with torch.no_grad():
        model.transformer.wte.weight[-1, 3] = float("nan")
    model.save_pretrained(tmp_path)
    with pytest.raises(EncoderError, match=r"weights that are NaN or infinite: transformer.wte.weight \(1 of"):
        evaluate(["xglue_qam_zs_de"], limit=2, **given)


@pytest.mark.parametrize("model", ["hf", "hf-encoder"])
def test_an_adapter_is_looked_at_too(model, evaluate, tiny, tmp_path):
    peft = pytest.importorskip("peft")
    body = transformers.AutoModelForMaskedLM.from_pretrained(tiny)
    words = transformers.AutoTokenizer.from_pretrained(tiny)
    body.resize_token_embeddings(len(words))
    given = _saved(tmp_path / "base", body, words)
    wrapped = peft.get_peft_model(body, peft.LoraConfig(r=2, target_modules=["query"]))
    with torch.no_grad():
        next(weight for name, weight in wrapped.named_parameters() if "lora_B" in name)[0, 0] = float("nan")
    wrapped.save_pretrained(tmp_path / "adapter")
    with pytest.raises(EncoderError, match=r"weights that are NaN or infinite: .*query.weight \(\d+ of"):
        evaluate([LEAF], model=model, model_args={**given, "peft": str(tmp_path / "adapter")}, **WAYS)
