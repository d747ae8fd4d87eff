"""Attention masks that leave nothing to ask.

transformers makes the masks of its layers of ``[batch, length]``, and looks first whether a place is padded at all: on
a GPU that waits until all that was launched is done. Most encoders take a finished mask, and ask nothing of it; whether
one does, and gives the same states, is found by asking it once. Compiled code and CUDA graphs ask nothing by any mask.
"""

from __future__ import annotations

import logging
from typing import Any

import torch

from xglue_harness.encoders.calling import call
from xglue_harness.encoders.device import undisturbed

logger = logging.getLogger(__name__)

TOLERANCE = 1e-5
"""Most that states may differ by the mask's form, relative to the largest of them, in fp32."""


def finished_mask(mask: torch.Tensor) -> torch.Tensor:
    """``[batch, 1, 1, length]`` bool, true for real subwords: what every head and every place may look at.

    Args:
        mask: ``[batch, length]``, 1 for real subwords.
    """
    return mask.to(torch.bool)[:, None, None, :]


def takes_finished_mask(
    encoder: Any,
    input_ids: torch.Tensor,
    token_type_ids: torch.Tensor | None = None,
    languages: torch.Tensor | None = None,
) -> bool:
    """Whether an encoder gives the same states by `finished_mask` as by a mask ``[batch, length]``.

    It is asked with inputs as they are and with half of each masked, in evaluation mode and fp32; no random generator
    moves. Local attention (ModernBERT), which a finished mask would switch off, shows only in inputs that are longer
    than its window: so give the longest inputs that the encoder will read.

    Args:
        encoder: as `xglue_harness.encoders.calling.call` takes it, on the device of the inputs.
        input_ids: ``[batch, length]`` subwords, without padding.
        token_type_ids: ``[batch, length]`` segments, where the encoder reads them.
        languages: ``[batch]`` the encoder's numbers of languages, where it is told them.
    """
    length, device = input_ids.shape[1], input_ids.device
    whole = torch.ones_like(input_ids)
    mask = torch.cat([whole, whole * (torch.arange(length, device=device) < (length + 1) // 2)])
    ids = torch.cat([input_ids, input_ids])
    segments, told = (None if one is None else torch.cat([one, one]) for one in (token_type_ids, languages))
    training = encoder.training
    encoder.eval()
    try:
        with (
            undisturbed(device),
            torch.no_grad(),  # not inference_mode: tensors that modules keep of it could not be trained with
            torch.autocast(device.type, enabled=False),
        ):
            expected = call(encoder, ids, mask, segments, told).last_hidden_state
            try:
                states = call(encoder, ids, finished_mask(mask), segments, told).last_hidden_state
            except torch.OutOfMemoryError:
                raise
            except Exception as error:  # a checkpoint's own code may fail in any way
                logger.info("%s takes no finished attention mask: %s", type(encoder).__name__, error)
                return False
    finally:
        encoder.train(training)
    if states.shape != expected.shape:
        return False
    real = mask.bool()
    difference = (states - expected)[real].abs().max()
    return bool(difference <= TOLERANCE * expected[real].abs().max())  # false for NaN, too
