"""Fixed texts by which two models, or two tokenizers, are compared before one is given out for the other."""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING, Any

import torch

from xglue_harness.benchmark import SOURCE_LANGUAGE, TaskSpec
from xglue_harness.encoders.inputs import collate
from xglue_harness.encoders.tokenising import tokenised
from xglue_harness.encoders.told_languages import language_number
from xglue_harness.kinds import kind_of

if TYPE_CHECKING:
    from xglue_harness.encoders.backbone import Backbone
    from xglue_harness.encoders.heads import TransferModel
    from xglue_harness.encoders.inputs import Inputs

_TEXTS = (
    "The European Commission said on Thursday that it disagreed with German advice .",
    "Angela Merkel besuchte 2015 die Universität Zürich und sprach mit Studenten .",
    "El precio sube un 12,5 % en São Paulo ; ¿ quién lo paga ?",
    "Президент России встретился с журналистами в Москве .",
    "他 昨天 在 北京 大学 发表 了 演讲 。",
    "قال الوزير إن الاجتماع سيعقد في القاهرة .",
    "O",
    "Wien , Graz und Salzburg liegen an Donau und Mur . " * 40,
)
"""Of several scripts; the last one is longer than most models read."""


def probe_inputs(spec: TaskSpec, backbone: Backbone, max_length: int) -> Inputs:
    """The texts as a task's rows, tokenised; an encoder that is told a language is told English.

    Args:
        spec: the task.
        backbone: its tokenizer counts.
        max_length: most subwords of an input.
    """
    kind = kind_of(spec)
    rows: list[dict[str, Any]] = []
    for place, text in enumerate(_TEXTS):
        if kind.per_word:
            words = text.split()
            rows.append({spec.text_a[0]: words, spec.label_column: [0] * len(words)})
        else:
            other = dict.fromkeys(spec.text_b, _TEXTS[(place + 1) % len(_TEXTS)])
            rows.append({**kind.filled_row(text), **other, spec.label_column: 0})
    inputs = tokenised(spec, rows, backbone.tokenizer, SOURCE_LANGUAGE, max_length)
    return inputs.told(language_number(backbone, SOURCE_LANGUAGE))


def tokens_sha256(inputs: Inputs) -> str:
    """SHA-256 (hex) of what a tokenizer makes of the texts."""
    digest = hashlib.sha256()
    for name, column in sorted(inputs.tensors().items()):
        digest.update(f"{name} {tuple(column.shape)} {column.dtype}\n".encode())
        digest.update(column.contiguous().view(torch.uint8).numpy().tobytes())
    return digest.hexdigest()


def batches_of(inputs: Inputs, pad: int) -> list[dict[str, torch.Tensor]]:
    """Each input by itself, as `TransferModel` takes it: padding changes no encoder's answer then."""
    batches = [collate(inputs, [index], pad) for index in range(len(inputs))]
    for batch in batches:
        del batch["labels"]
    return batches


@torch.inference_mode()
def logits_of(model: TransferModel, inputs: Inputs, pad: int) -> list[torch.Tensor]:
    """Scores of each input, ``[1, classes]`` or ``[1, length, classes]``, in fp32."""
    return [model(**batch)["logits"] for batch in batches_of(inputs, pad)]


def largest_difference(ours: list[torch.Tensor], theirs: list[torch.Tensor]) -> float:
    """The largest difference of two scores, beside the largest score (at least 1); infinite where shapes differ."""
    if [one.shape for one in ours] != [one.shape for one in theirs]:
        return float("inf")
    scale = max(1.0, *(float(one.abs().max()) for one in ours))
    return max(float((one - other).abs().max()) for one, other in zip(ours, theirs, strict=True)) / scale
