"""Dropout and attention on a CPU: the same distribution and derivatives as torch's."""

from __future__ import annotations

import pytest
import torch
from torch.nn import functional

from xglue_harness.encoders import cpu_kernels as kernels
from xglue_harness.encoders.cpu_kernels import training_kernels

CPU = torch.device("cpu")


def _seeded(seed: int = 0):
    torch.manual_seed(seed)
    return training_kernels(CPU)


def test_dropout_keeps_its_share_and_the_mean():
    x = torch.ones(1000, 1001)
    with _seeded():
        dropped = functional.dropout(x, 0.1)
    kept = dropped[dropped != 0]
    assert abs(1 - len(kept) / x.numel() - 0.1) < 1e-3
    assert torch.allclose(kept, torch.tensor(1 / 0.9), atol=1e-4)
    assert abs(dropped.mean() - 1) < 1e-3
    assert abs(torch.corrcoef(dropped[:, :4].T)[0, 1]) < 0.15, "neighbours are drawn from the same 64 bits"


def test_dropout_passes_back_what_it_passed_on():
    x = torch.randn(50, 30, requires_grad=True)
    with _seeded():
        dropped = functional.dropout(x, 0.3)
    dropped.sum().backward()
    factor = torch.where(dropped != 0, dropped / x, 0.0)
    assert torch.allclose(x.grad, factor, atol=1e-5)
    assert (x.grad == 0).any()


def test_masks_follow_from_the_seed_and_differ_between_calls_and_passes():
    x = torch.ones(100)

    def run(seed):
        with _seeded(seed):
            first, second = functional.dropout(x, 0.5), functional.dropout(x, 0.5)
        with training_kernels(CPU):
            return first, second, functional.dropout(x, 0.5)

    first, again, other = run(1), run(1), run(2)
    assert all(torch.equal(a, b) for a, b in zip(first, again, strict=True))
    assert not torch.equal(first[0], first[1])
    assert not torch.equal(first[0], first[2])
    assert not torch.equal(first[0], other[0])


@pytest.mark.parametrize("p", [0.0, 1e-9, 1.0])
def test_what_is_no_dropout_is_left_to_torch(p):
    x = torch.randn(8, 8)
    with _seeded():
        assert torch.equal(functional.dropout(x, p), functional.dropout(x, round(p)))
        assert torch.equal(functional.dropout(x, 0.5, training=False), x)
    with pytest.raises(ValueError, match="probability"), _seeded():
        functional.dropout(x, 1.5)


def _reference(query, key, value, mask, kept, p, scale):
    scores = query @ key.transpose(2, 3) * scale
    if mask is not None:
        scores = scores.masked_fill(~mask, float("-inf")) if mask.dtype == torch.bool else scores + mask
    return (scores.softmax(-1) * kept / (1 - p)) @ value


MASKS = {
    "none": None,
    "bool": torch.arange(7).view(1, 1, 1, 7) < torch.tensor([7, 3, 5]).view(3, 1, 1, 1),
    "float": torch.randn(1, 2, 7, 7, generator=torch.Generator().manual_seed(3)),
}


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
@pytest.mark.parametrize("mask", MASKS)
@pytest.mark.parametrize("scale", [None, 0.7])
def test_attention_has_the_values_and_derivatives_of_its_definition(mask, scale, dtype):
    torch.manual_seed(1)
    # As the encoders lay them out: heads are cut from the last dimension, and moved.
    leaves = [torch.randn(3, 7, 8).to(dtype).requires_grad_() for _ in range(3)]
    query, key, value = (leaf.view(3, 7, 2, 4).transpose(1, 2) for leaf in leaves)
    rounding = 0 if dtype == torch.float32 else 2**-8  # what goes in and comes out is bf16, all between is fp32
    drawn = []

    def draw(self, count):
        drawn.append(torch.randint(-(1 << 15), 1 << 15, (count,), dtype=torch.int16))
        return drawn[-1]

    with pytest.MonkeyPatch.context() as patch, training_kernels(CPU):
        patch.setattr(kernels._Masks, "draw", draw)
        attended = functional.scaled_dot_product_attention(
            query, key, value, attn_mask=MASKS[mask], dropout_p=0.25, scale=scale
        )
    kept = (drawn[0] >= 0.25 * 65536 - 32768).view(3, 2, 7, 7).float()
    exact = [leaf.detach().float().requires_grad_() for leaf in leaves]
    parts = (leaf.view(3, 7, 2, 4).transpose(1, 2) for leaf in exact)
    expected = _reference(*parts, MASKS[mask], kept, 0.25, 0.5 if scale is None else scale)
    assert attended.dtype == dtype
    assert torch.allclose(attended.float(), expected, rtol=rounding or 1e-5, atol=1e-6)
    weights = torch.randn(attended.shape).to(dtype).float()
    mine = torch.autograd.grad((attended.float() * weights).sum(), leaves)
    theirs = torch.autograd.grad((expected * weights).sum(), exact)
    assert all(
        torch.allclose(a.float(), b, rtol=rounding or 1e-5, atol=1e-5) for a, b in zip(mine, theirs, strict=True)
    )


def test_attention_that_is_not_plain_is_left_to_torch():
    torch.manual_seed(2)
    query, key = torch.randn(2, 4, 5, 8), torch.randn(2, 2, 5, 8)
    learned = torch.randn(5, 5, requires_grad=True)
    with training_kernels(CPU):
        functional.scaled_dot_product_attention(query, key, key, dropout_p=0.2, enable_gqa=True)
        functional.scaled_dot_product_attention(query, query, query, dropout_p=0.2, is_causal=True)
        functional.scaled_dot_product_attention(query, query, query, learned, dropout_p=0.2).sum().backward()
        still = functional.scaled_dot_product_attention(query, query, query)
    assert learned.grad is not None
    assert torch.equal(still, functional.scaled_dot_product_attention(query, query, query))


def test_a_masked_row_gives_no_nan():
    query = torch.randn(1, 1, 3, 4, requires_grad=True)
    mask = torch.tensor([[True, True, False], [False, False, False], [True, False, False]]).view(1, 1, 3, 3)
    with _seeded():
        attended = functional.scaled_dot_product_attention(query, query, query, attn_mask=mask, dropout_p=0.1)
    attended[:, :, [0, 2]].sum().backward()
    assert torch.isfinite(query.grad).all()


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_the_mean_over_many_masks_is_attention_without_dropout(dtype):
    torch.manual_seed(4)
    query, key, value = torch.randn(3, 1, 2, 6, 4).to(dtype).unbind()
    with training_kernels(CPU):
        attended = [functional.scaled_dot_product_attention(query, key, value, dropout_p=0.1) for _ in range(4000)]
    expected = functional.scaled_dot_product_attention(query.float(), key.float(), value.float())
    assert torch.allclose(torch.stack(attended).float().mean(0), expected, atol=0.03)


def test_under_bf16_autocast_the_result_is_bf16():
    layer = torch.nn.Linear(8, 8)
    with torch.autocast("cpu", dtype=torch.bfloat16), _seeded():
        hidden = layer(torch.randn(2, 5, 8))
        dropped = functional.dropout(hidden, 0.1)
        heads = dropped.view(2, 5, 2, 4).transpose(1, 2)
        out = functional.scaled_dot_product_attention(heads, heads, heads, dropout_p=0.1)
    assert hidden.dtype == dropped.dtype == out.dtype == torch.bfloat16
    out.float().sum().backward()
    assert torch.isfinite(layer.weight.grad).all()
