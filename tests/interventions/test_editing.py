"""States of any layer of any family, changed and added up."""

import numpy as np
import pytest
import torch

from tests.helpers import families
from xglue_harness.benchmark import TASKS
from xglue_harness.encoders.heads import TransferModel
from xglue_harness.encoders.loading import load_backbone
from xglue_harness.encoders.pooling import default_pooling, pool
from xglue_harness.errors import EncoderError
from xglue_harness.interventions.editing import StateMoments, edited, last_layer
from xglue_harness.prediction.predict import predict, prepare
from xglue_harness.recipe import Options, resolve

CPU = torch.device("cpu")


def _model(checkpoint, family, task="xnli"):
    backbone = load_backbone(str(checkpoint(family)), CPU)
    pooling = default_pooling(backbone.config)
    recipe = resolve(Options(max_length=32), TASKS[task], seed=1, precision="fp32", pooling=pooling)
    with torch.random.fork_rng():
        torch.manual_seed(0)
        model = TransferModel(backbone.encoder, len(TASKS[task].labels), tagging=task == "pos", pooling=pooling)
    return backbone, recipe, model.eval()


@pytest.mark.parametrize("family", sorted(families.FAMILIES))
def test_the_states_of_a_layer_are_what_is_changed(checkpoint, family):
    backbone, _, model = _model(checkpoint, family)
    ids = torch.tensor([backbone.tokenizer("a cat sees")["input_ids"][:6]])
    mask = torch.ones_like(ids)
    last = last_layer(model.encoder)
    with torch.no_grad():
        plain = model(ids, mask, output_hidden_states=True)["hidden_states"]
        assert len(plain) == last + 1
        for layer in range(last + 1):
            seen = []

            def look(states, seen=seen):
                seen.append(states.clone())
                return states + 3

            with edited(model, layer, look):
                changed = model(ids, mask, output_hidden_states=True)["hidden_states"]
            assert len(seen) == 1
            torch.testing.assert_close(seen[0], plain[layer], msg=f"{family}, layer {layer}")
            for below in range(layer):
                torch.testing.assert_close(changed[below], plain[below])
            if layer == last:
                torch.testing.assert_close(changed[last], plain[last] + 3)
        again = model(ids, mask, output_hidden_states=True)["hidden_states"]
    assert torch.equal(again[-1], plain[-1])


def test_what_has_no_list_of_layers_is_named(checkpoint):
    _, _, model = _model(checkpoint, "xlmr")
    model.encoder.config.num_hidden_layers = 5
    with pytest.raises(EncoderError, match="has no list of 5 layers"), edited(model, 1, lambda states: states):
        pass


@pytest.mark.parametrize("task", ["xnli", "pos"])
@pytest.mark.parametrize("layer", [1, 2])
def test_moments_are_those_of_what_the_head_or_the_next_layer_reads(checkpoint, task, layer):
    backbone, recipe, model = _model(checkpoint, "xlmr", task)
    texts = families.texts()["en"][:6]
    if task == "pos":
        rows = [{"words": text.split(), "pos": [0] * len(text.split())} for text in texts]
    else:
        rows = [{"premise": text, "hypothesis": text[:9], "label": 0} for text in texts]
    prepared = prepare(backbone, TASKS[task], recipe, rows, "en")
    recorder = StateMoments(model, prepared.inputs, layer)
    predict(model, backbone, recipe, [prepared], progress=False, recorder=recorder)
    taken, inputs = [], prepared.inputs
    for number in range(len(inputs)):
        ids = inputs.ids[inputs.starts[number] : inputs.starts[number + 1]].long()[None]
        with torch.no_grad():
            hidden = model(ids, torch.ones_like(ids), output_hidden_states=True)["hidden_states"][layer]
        if layer == 1:
            taken.append(hidden[0])
        elif task == "pos":
            places = inputs.positions[inputs.word_starts[number] : inputs.word_starts[number + 1]].long()
            taken.append(hidden[0, places])
        else:
            taken.append(pool(hidden, torch.ones_like(ids), model.pooling))
    expected = torch.cat(taken).double()
    assert recorder.moments.count == len(expected)
    np.testing.assert_allclose(recorder.moments.mean, expected.mean(0), atol=1e-5)
    np.testing.assert_allclose(recorder.moments.products, expected.T @ expected, rtol=1e-4, atol=1e-3)
