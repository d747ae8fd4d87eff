"""Gradients and their cosines: what is known by hand, by construction, or from chance."""

from __future__ import annotations

import math

import pytest
import torch

from xglue_analysis.gradients import compare_gradients, info_nce, layer_parameters, null_p95


def _parameter(*numbers):
    return torch.nn.Parameter(torch.tensor(numbers))


def _compare(layers, task, alignment, shuffled=None):
    """Both halves have the same losses."""
    shuffled = shuffled or alignment
    pairs = [lambda: (alignment(), shuffled())] * 2
    return compare_gradients(layers, [iter([task()]), iter([task()])], pairs)


def test_equal_losses_have_cosine_1_and_opposite_ones_minus_1():
    weight = _parameter(1.0, 2.0, 3.0)
    compared = _compare({"1": [weight]}, lambda: (weight**2).sum(), lambda: (weight**2).sum(), lambda: -weight.sum())
    assert compared.cosine == pytest.approx([1, 1])
    assert compared.task_agreement == pytest.approx([1, 1])
    assert compared.alignment_agreement == pytest.approx([1, 1])
    assert compared.task_norm == pytest.approx([math.sqrt(4 + 16 + 36)] * 2)
    assert compared.shuffled == pytest.approx([-6 / math.sqrt(14) / math.sqrt(3)] * 2)


def test_losses_of_other_numbers_are_orthogonal_and_layers_are_apart():
    first, second = _parameter(1.0, 1.0), _parameter(2.0, 0.0)
    layers = {"1": [first], "2": [second]}
    compared = _compare(layers, lambda: 3 * first[0] + second[0], lambda: first[1] + second[0])
    assert compared.cosine == pytest.approx([0, 1, 1 / math.sqrt(10) / math.sqrt(2)])
    assert compared.task_norm == pytest.approx([3, 1, math.sqrt(10)])


def test_a_layer_without_gradient_has_no_cosine():
    first, second = _parameter(1.0), _parameter(2.0)
    compared = _compare({"1": [first], "2": [second]}, first.sum, first.sum)
    assert compared.cosine[0] == compared.cosine[2] == 1
    assert math.isnan(compared.cosine[1])


def test_halves_that_disagree_are_seen_and_their_mean_counts():
    weight = _parameter(0.0, 0.0)
    pairs = [lambda: (weight[0], weight[1]), lambda: (weight[1], weight[1])]
    passes = [iter([weight[0], weight[0]]), iter([2 * weight[1]])]  # two passes of one half add up
    compared = compare_gradients({"1": [weight]}, passes, pairs)
    assert compared.task_agreement == compared.alignment_agreement == [0, 0]
    assert compared.task_norm == pytest.approx([math.sqrt(2)] * 2)
    assert compared.alignment_norm == pytest.approx([math.sqrt(0.5)] * 2)
    assert compared.cosine == pytest.approx([1, 1])
    assert compared.shuffled == pytest.approx([math.sqrt(0.5)] * 2)


def test_gradients_that_are_there_stay():
    weight = _parameter(1.0)
    weight.grad = torch.tensor([5.0])
    _compare({"1": [weight]}, weight.sum, weight.sum)
    assert weight.grad.tolist() == [5.0]


def test_what_is_random_stays_below_the_null_in_95_of_100():
    numbers = 200
    draws = torch.randn(2, 20_000, numbers, generator=torch.Generator().manual_seed(0))
    cosines = torch.nn.functional.cosine_similarity(*draws, dim=-1).abs()
    assert (cosines < null_p95(numbers)).double().mean().item() == pytest.approx(0.95, abs=0.01)
    assert null_p95(1) == 1


def test_info_nce_is_its_equation():
    draws = torch.randn(2, 5, 7, generator=torch.Generator().manual_seed(1), dtype=torch.float64)
    queries, keys = draws
    expected = 0.0
    for i, query in enumerate(queries):
        terms = [math.exp(float(query @ key / query.norm() / key.norm()) / 0.05) for key in keys]
        expected -= math.log(terms[i] / sum(terms)) / 5
    assert info_nce(queries, keys, torch.arange(5)).item() == pytest.approx(expected)


def test_what_is_left_out_is_neither_found_nor_pushed_away():
    queries, keys = (torch.randn(3, 4, generator=torch.Generator().manual_seed(n), requires_grad=True) for n in (2, 3))
    own = torch.arange(3)
    whole = info_nce(queries, keys, own.roll(-1), own)
    single = [info_nce(queries[i : i + 1], keys[[j for j in range(3) if j != i]], torch.tensor([t]))
              for i, t in ((0, 0), (1, 1), (2, 0))]  # fmt: skip
    assert whole.item() == pytest.approx(sum(loss.item() for loss in single) / 3)
    first = info_nce(queries[:1], keys, own[1:2], own[:1])
    assert torch.autograd.grad(first, keys)[0][0].abs().max() == 0


@pytest.mark.parametrize(
    ("name", "layer"),
    [
        ("encoder.layer.0.attention.self.query.weight", "1"),
        ("block.11.layer.0.SelfAttention.q.weight", "12"),
        ("layers.2.attn.Wqkv.weight", "3"),
        ("0.weight", "1"),
        ("encoder.layer1.weight", None),
        ("embeddings.word_embeddings.weight", None),
        ("encoder.block.1.layer.1.DenseReluDense.wi_0.weight", "2"),
    ],
)
def test_layers_are_read_off_names(name, layer):
    weight = _parameter(1.0)
    assert layer_parameters([(name, weight)]) == ({} if layer is None else {layer: [weight]})


def test_what_is_not_trained_is_left_out():
    frozen = torch.nn.Parameter(torch.ones(1), requires_grad=False)
    assert layer_parameters([("layer.0.weight", frozen)]) == {}
