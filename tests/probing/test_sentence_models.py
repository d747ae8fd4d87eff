"""A checkpoint of sentence-transformers says how its texts are pooled; it is read in the form of both its versions."""

from __future__ import annotations

import json

import numpy as np
import pytest
import torch

from tests.helpers import families
from xglue_harness.encoders.loading import load_backbone
from xglue_harness.errors import EncoderError
from xglue_harness.probing.frozen_encoder import FrozenEncoder
from xglue_harness.probing.sentence_models import pooling_of, steps_of


def checkpoint(folder, settings):
    (folder / "1_Pooling").mkdir()
    (folder / "1_Pooling" / "config.json").write_text(json.dumps({"word_embedding_dimension": 16, **settings}))
    return str(folder)


@pytest.mark.parametrize(
    ("settings", "pooling"),
    [
        ({"pooling_mode_cls_token": True, "pooling_mode_mean_tokens": False}, "first"),
        ({"pooling_mode_mean_tokens": True}, "mean"),
        ({"pooling_mode_lasttoken": True}, "eos"),
        ({"pooling_mode": "max"}, "max"),
        ({"pooling_mode": "cls"}, "first"),
    ],
)
def test_the_checkpoints_own_pooling(tmp_path, settings, pooling):
    folder = checkpoint(tmp_path, settings)
    assert pooling_of(folder) == pooling
    assert pooling_of(folder, "mean") == "mean"


def test_the_mean_where_nothing_is_said(tmp_path):
    assert pooling_of(str(tmp_path)) == "mean"


@pytest.mark.parametrize(
    "settings",
    [
        {"pooling_mode_weightedmean_tokens": True},
        {"pooling_mode_mean_tokens": True, "pooling_mode_cls_token": True},
        {"pooling_mode": "weightedmean"},
        {},
    ],
)
def test_a_pooling_that_we_do_not_have_is_refused(tmp_path, settings):
    with pytest.raises(EncoderError, match="choose one by --pooling"):
        pooling_of(checkpoint(tmp_path, settings))


def test_a_checkpoint_without_modules_has_no_steps(tmp_path):
    assert steps_of(str(tmp_path), torch.device("cpu")) is None


def test_a_model_of_sentence_transformers_runs_as_itself(tmp_path, monkeypatch):
    pytest.importorskip("sentence_transformers", reason="needs the extra mteb")
    from sentence_transformers import SentenceTransformer, models

    monkeypatch.setenv("XGLUE_CACHE", str(tmp_path / "cache"))
    (tmp_path / "bert").mkdir()
    families.mbert(tmp_path / "bert")
    transformer = models.Transformer(str(tmp_path / "bert"), max_seq_length=32)
    torch.manual_seed(0)
    modules = [transformer, models.Pooling(16, "cls"), models.Dense(16, 5), models.Normalize()]
    folder = str(tmp_path / "model")
    SentenceTransformer(modules=modules, device="cpu").save(folder)
    texts = ["the dog", "the cat and the dog", "a"]
    expected = SentenceTransformer(folder, device="cpu").encode(texts)

    device = torch.device("cpu")
    encoder = FrozenEncoder(
        load_backbone(folder, device), pooling=pooling_of(folder), max_length=32, steps=steps_of(folder, device)
    )
    part = encoder.texts(texts, "en")
    encoder.compute(encoder.missing([part], [1, 2]))
    assert part.states(2).shape == (3, 5)
    assert part.states(1).shape == (3, 16)
    assert np.abs(part.states(2) - expected).max() < 1e-3
    bare = FrozenEncoder(load_backbone(folder, device), pooling="first", max_length=32)
    (missing,) = bare.missing([bare.texts(texts, "en")], [1, 2])
    assert missing.layers == [2]  # what stands below the last layer is the same
