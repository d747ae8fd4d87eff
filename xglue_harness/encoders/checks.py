"""Whether a loaded encoder is sound, and has a row for every id that it is given."""

from __future__ import annotations

from typing import Any

import torch
from torch import nn

from xglue_harness.errors import EncoderError

_CHUNK = 1 << 26
"""Numbers that are looked at at once: a mask of all of a large table would take as much memory as a small encoder."""

_SHOWN = 5


def check_finite(model: nn.Module, name: str) -> None:
    """Refuse weights that are NaN or infinite; takes a tenth of a second for each gigabyte.

    Training touches only the rows of the embedding table that English text uses: a bad one elsewhere would lower the
    score of another language, and nothing would say so.

    Args:
        model: encoder or whole model.
        name: of its checkpoint, for the message.

    Raises:
        EncoderError: naming each tensor and how many of its values are not finite.
    """
    wrong = []
    for key, weight in model.named_parameters():
        if bad := _not_finite(weight):
            wrong.append(f"{key} ({bad} of {weight.numel()} values)")
    for key, tensor in model.named_buffers():
        if bad := _not_finite(tensor, infinite=False):  # masks may hold infinities
            wrong.append(f"{key} ({bad} of {tensor.numel()} values)")
    if wrong:
        more = f" and {len(wrong) - _SHOWN} more tensors" if len(wrong) > _SHOWN else ""
        raise EncoderError(
            f"{name} has weights that are NaN or infinite: {', '.join(wrong[:_SHOWN])}{more}. Its file is damaged, or "
            "its dtype can't hold them (dtype=float32)"
        )


def _not_finite(tensor: torch.Tensor, *, infinite: bool = True) -> int:
    """Values that are NaN, or infinite where those count, too."""
    if not tensor.is_floating_point() or tensor.is_meta:
        return 0
    bad = 0
    with torch.no_grad():
        for part in torch.split(tensor.detach().reshape(-1), _CHUNK):
            values = part.float() if part.element_size() == 1 else part  # torch can't compare numbers of 8 bits
            if values.sum(dtype=torch.promote_types(values.dtype, torch.float32)).isfinite():  # nothing cancels those
                continue
            bad += int((~values.isfinite() if infinite else values.isnan()).sum())
    return bad


def table_rows(encoder: Any) -> int | None:
    """Rows of an encoder's table of subwords; ``None`` where it has none (CANINE hashes characters)."""
    try:
        weight = getattr(encoder.get_input_embeddings(), "weight", None)
    except (AttributeError, NotImplementedError):
        return None
    return None if weight is None else int(weight.shape[0])


def check_padding(encoder: Any, tokenizer: Any) -> None:
    """Refuse a padding id that the embedding table has no row for: batches are filled up with it.

    Raises:
        EncoderError: naming the id and the rows.
    """
    rows, pad = table_rows(encoder), tokenizer.pad_token_id
    if rows is not None and not 0 <= pad < rows:
        where = f"the padding token {tokenizer.pad_token!r} of {tokenizer.name_or_path}"
        raise EncoderError(f"{where} has the id {pad}, {_rows(rows)}")


def is_larger(encoder: Any, tokenizer: Any) -> bool:
    """Whether a tokenizer may give ids that the embedding table has no row for."""
    rows = table_rows(encoder)
    return rows is not None and max(tokenizer.get_vocab().values(), default=0) >= rows


def check_ids(encoder: Any, tokenizer: Any, ids: torch.Tensor, what: str) -> None:
    """Refuse ids of some text that the embedding table has no row for.

    Args:
        encoder: with the table.
        tokenizer: that the ids are of.
        ids: any number of them.
        what: whose text it is, for the message.

    Raises:
        EncoderError: naming ids, their tokens and the rows.
    """
    rows = table_rows(encoder)
    if rows is None:
        return
    wrong = sorted({*torch.unique(ids[(ids >= rows) | (ids < 0)]).tolist()})
    if wrong:
        tokens = tokenizer.convert_ids_to_tokens(wrong[:_SHOWN])
        shown = ", ".join(f"{number} ({token!r})" for number, token in zip(wrong, tokens, strict=False))
        more = f" and {len(wrong) - _SHOWN} more" if len(wrong) > _SHOWN else ""
        raise EncoderError(f"{what}: the tokenizer {tokenizer.name_or_path} gives the ids {shown}{more}, {_rows(rows)}")


def _rows(rows: int) -> str:
    return (
        f"but the encoder's embedding table has {rows} rows, for ids 0 to {rows - 1}: use the tokenizer that the "
        "encoder was trained with, or a checkpoint whose table was grown with it (resize_token_embeddings)"
    )


def device_of(name: str) -> torch.device:
    """A device that is there.

    Raises:
        EncoderError: for one that is not, or that torch does not know.
    """
    try:
        device = torch.device(name)
        torch.empty(1, device=device)
    except Exception:  # RuntimeError, AssertionError where torch was built without it, ...
        raise EncoderError(f"there is no device {name!r} here: give cpu, or leave device out") from None
    if device.type == "meta":
        raise EncoderError("the device 'meta' computes nothing: give cpu, or leave device out")
    return device
