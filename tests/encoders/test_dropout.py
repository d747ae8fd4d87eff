"""An attention kernel without dropout is refused where the encoder has some."""

from __future__ import annotations

import pytest

from tests.helpers.training import backbone
from xglue_harness.encoders.dropout import check_attention_dropout
from xglue_harness.errors import EncoderError


def _encoder(kernel, dropout):
    encoder = backbone(dropout).encoder
    encoder.config._attn_implementation = kernel
    return encoder


@pytest.mark.parametrize("kernel", ["flex_attention", "flash_attention_3", "kernels-community/flash-attn3"])
@pytest.mark.parametrize(("own", "recipe", "lost"), [(0.1, None, "0.1"), (0.0, 0.2, "0.2"), (0.1, 0.3, "0.3")])
def test_a_kernel_that_would_lose_the_dropout_is_refused(kernel, own, recipe, lost):
    with pytest.raises(EncoderError, match=f"attention by {kernel} has no dropout, .* do without its {lost}: use attn"):
        check_attention_dropout(_encoder(kernel, own), recipe)


@pytest.mark.parametrize(
    ("kernel", "own", "recipe"),
    [("sdpa", 0.1, None), ("eager", 0.1, 0.1), ("flash_attention_2", 0.1, None), ("flex_attention", 0.1, 0.0),
     ("flex_attention", 0.0, None), (None, 0.1, None)],
)  # fmt: skip
def test_what_loses_nothing_is_taken(kernel, own, recipe):
    check_attention_dropout(_encoder(kernel, own), recipe)


def test_a_family_that_names_its_rates_otherwise_is_seen():
    from transformers import T5Config, T5EncoderModel

    config = T5Config(vocab_size=9, d_model=8, d_kv=4, d_ff=8, num_layers=1, num_heads=2, dropout_rate=0.1)
    encoder = T5EncoderModel(config)
    encoder.config._attn_implementation = "flex_attention"
    with pytest.raises(EncoderError, match=r"do without its 0\.1"):
        check_attention_dropout(encoder, None)
