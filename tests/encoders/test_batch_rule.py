"""Encoders whose answer depends on their batch: batches of one length, or of one input, in training and prediction."""

from __future__ import annotations

import itertools
from dataclasses import replace

import numpy as np
import pytest
import torch

from benchmarks.padding import backbone_of
from tests.encoders.test_probe import Strange
from tests.helpers import tokenizers
from tests.helpers.training import CPU, backbone, recipe, sentences
from xglue_harness.benchmark import TASKS
from xglue_harness.encoders.backbone import Backbone
from xglue_harness.encoders.batching import budget_batches, split_into_microbatches
from xglue_harness.encoders.probe import probe_padding, with_batch_rule
from xglue_harness.encoders.tokenising import tokenised
from xglue_harness.errors import TrainingError
from xglue_harness.prediction.predict import predict, prepare
from xglue_harness.training.checkpoint import Counters
from xglue_harness.training.distributed import World
from xglue_harness.training.model import build_model
from xglue_harness.training.train_step import TrainStep

POS, BATCH_RULES = TASKS["pos"], ("any length", "one length", "one input")


@pytest.mark.parametrize("batch_rule", BATCH_RULES)
def test_batches_hold_what_may_share_them(batch_rule):
    generator = torch.Generator().manual_seed(0)
    lengths = torch.randint(3, 12, (90,), generator=generator).tolist()
    batch = list(range(5, 60))
    batches = {
        "budget": (range(90), [part.tolist() for part in budget_batches(np.array(lengths), 40, batch_rule)]),
        "cut": (batch, split_into_microbatches(lengths, batch, 40, 6, batch_rule)),
        "cut without a limit": (batch, split_into_microbatches(lengths, batch, None, None, batch_rule)),
    }
    for name, (all_of_them, parts) in batches.items():
        assert sorted(itertools.chain(*parts)) == sorted(all_of_them)
        sizes = [len({lengths[index] for index in part}) for part in parts]
        assert max(len(part) for part in parts) > 1 or batch_rule == "one input", name
        assert max(sizes) == 1 or batch_rule == "any length", name
        assert batch_rule != "any length" or max(sizes) > 1, name
        assert all(len(part) == 1 for part in parts) or batch_rule != "one input", name


def _body(fault):
    if fault == "convbert":
        return backbone_of("convbert", tokenizers.bert())
    encoder = Strange(fault).eval()
    return Backbone(encoder, tokenizers.bert(), encoder.config, CPU, "own/code")


def _scores(body, options, parts):
    torch.manual_seed(3)
    model = build_model(body, POS, options)
    return predict(model, body, options, parts, progress=False)


@pytest.mark.parametrize("fault", ["convbert", "ignores its mask", "looks at the batch"])
def test_other_languages_change_nothing(fault):
    body, options = _body(fault), recipe(max_length=32)
    probed = with_batch_rule(body, probe_padding(body, 32))
    long = [{name: (row[name] * 5)[:20] for name in ("words", "pos")} for row in sentences(12)]
    german, others = (prepare(body, POS, options, rows, "de") for rows in (sentences(12), long))
    differences = {}
    for name, one in (("as ever", body), ("probed", probed)):
        alone, beside = _scores(one, options, [german])[0], _scores(one, options, [german, others])[0]
        pairs = zip(itertools.chain(*alone.scores), itertools.chain(*beside.scores), strict=True)
        differences[name] = max(abs(a - b) for a, b in pairs)
    assert differences["probed"] < 1e-5
    assert differences["as ever"] > 1e-4, "the trap is gone"


@pytest.mark.parametrize("fault", ["convbert", "ignores its mask", "looks at the batch"])
def test_a_step_learns_from_each_input_as_it_is_alone(fault):
    body, options = _body(fault), recipe(max_length=32)
    inputs = tokenised(POS, sentences(16), body.tokenizer, "en", 32)
    probed = with_batch_rule(body, probe_padding(body, 32))
    gradients = []
    for batch_rule in (probed.batch_rule, "one input", "any length"):
        torch.manual_seed(3)
        model = build_model(body, POS, options)
        ways = {"steps": 10, "words_per_batch": 8.0, "pad": 0, "device": CPU, "world": World()}
        train_step = TrainStep(model, options, inputs, **ways, counters=Counters(), batch_rule=batch_rule)
        train_step._backward(list(range(16)), 1 / 8)
        gradients.append(torch.cat([p.grad.flatten() for p in model.parameters() if p.grad is not None]))
        train_step.step(list(range(16)))
    size = gradients[1].abs().max()
    assert (gradients[0] - gradients[1]).abs().max() < 1e-5 * size
    assert (gradients[2] - gradients[1]).abs().max() > 1e-3 * size, "the trap is gone"


def test_scores_that_are_not_finite_stop_a_prediction():
    body, options = backbone(), recipe(max_length=32)
    part = prepare(body, POS, options, sentences(4), "de")
    model = build_model(body, POS, options)
    for value in (0.0, float("inf"), float("nan")):
        with torch.no_grad():
            model.classifier.bias[2] = value
        if value == 0:
            predict(model, body, options, [part], progress=False)
            continue
        with pytest.raises(TrainingError, match=r"scores that are NaN or infinite.*precision fp32"):
            predict(model, body, options, [part], progress=False)


def test_what_stands_at_padded_places_is_of_no_account():
    body, options = _body("none"), recipe(max_length=32)
    part = prepare(body, POS, options, sentences(6), "de")
    forward = Strange.forward

    def with_nan(self, input_ids, attention_mask=None):
        output = forward(self, input_ids, attention_mask)
        output.last_hidden_state = output.last_hidden_state.masked_fill(attention_mask[..., None] == 0, float("nan"))
        return output

    expected = _scores(body, options, [part])[0].scores
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Strange, "forward", with_nan)
        assert _scores(replace(body), options, [part])[0].scores == expected
