"""A checkpoint in half precision is trained, kept and asked as its weights in fp32 would be, to the bit."""

from __future__ import annotations

import pytest
import torch

from tests.helpers import families
from tests.helpers.training import CPU, recipe, sentences
from xglue_harness.benchmark import TASKS
from xglue_harness.encoders.backbone import Backbone
from xglue_harness.encoders.fingerprint import identify
from xglue_harness.encoders.heads import TransferModel
from xglue_harness.encoders.loading import Checkpoint, load_config, load_encoder, load_tokenizer
from xglue_harness.prediction.predict import predict, prepare
from xglue_harness.store.trainings import Store
from xglue_harness.training.determinism import seeded
from xglue_harness.training.finetune import finetune
from xglue_harness.training.selection import Selected
from xglue_harness.training.trainer import TrainingData

SPEC = TASKS["pos"]
DATA = TrainingData(sentences(40), "f" * 64, {"en": sentences(20, 7)})


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory):
    return families.Checkpoints(tmp_path_factory.mktemp("families"))


def _backbone(folder, dtype):
    found = Checkpoint(str(folder))
    config = load_config(found)
    return Backbone(load_encoder(found, config, dtype=dtype).eval(), load_tokenizer(found), config, CPU, "tiny")


def _dtypes(tensors):
    return {tensor.dtype for tensor in tensors if tensor.is_floating_point()}


@pytest.mark.parametrize("weight_decay", [0.0, 0.1])  # a trimmed table, and one that is trained as a whole
@pytest.mark.parametrize(
    ("family", "dtype"),
    [("xlmr", torch.bfloat16), ("xlmr", torch.float16), ("t5", torch.float16), ("nllb", torch.bfloat16)],
)
def test_training_and_predictions_are_those_of_fp32(family, dtype, weight_decay, checkpoint, tmp_path, monkeypatch):
    families.whole(checkpoint(family)).to(dtype).save_pretrained(tmp_path / "half")
    load_tokenizer(Checkpoint(str(checkpoint(family)))).save_pretrained(tmp_path / "half")
    half, full = (_backbone(tmp_path / "half", kind) for kind in ("auto", torch.float32))
    assert dtype in _dtypes(half.encoder.parameters()), "it is not loaded as it is stored"
    assert _dtypes(full.encoder.parameters()) == {torch.float32}
    computed, forward = set(), TransferModel.forward

    def watching(self, *arguments, **options):
        computed.update(_dtypes([*self.parameters(), *self.buffers()]))
        return forward(self, *arguments, **options)

    monkeypatch.setattr(TransferModel, "forward", watching)
    chosen = recipe(weight_decay=weight_decay, dropout=None)
    results = []
    for body in (half, full):
        before = {name: tensor.clone() for name, tensor in body.encoder.state_dict().items()}
        with seeded(1, CPU):
            tuned = finetune(body, identify(body), SPEC, chosen, DATA, store=Store(tmp_path), progress=False)
        model = tuned.model(body, SPEC, chosen)
        tuned.load(model, Selected(2.0), CPU)
        part = prepare(body, SPEC, chosen, sentences(30, 5), "de")
        results.append((tuned, tuned.entry.read(2.0), predict(model, body, chosen, [part], progress=False)))
        assert all(torch.equal(before[name], tensor) for name, tensor in body.encoder.state_dict().items())
    assert computed == {torch.float32}
    (tuned, kept, predicted), (other, others, expected) = results
    assert tuned.entry.key != other.entry.key, "the second one trained nothing"
    assert (tuned.training.embedding_rows is None) == bool(weight_decay)
    assert _dtypes(kept.values()) == {torch.float32}
    assert kept.keys() == others.keys()
    assert all(torch.equal(tensor, others[name]) for name, tensor in kept.items())
    assert predicted == expected
    assert tuned.training.final_loss == other.training.final_loss
