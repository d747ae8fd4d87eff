"""Do a task and cross-lingual alignment want the same change of an encoder? The cosine of their gradients, by layer.

Veitsman et al. 2026 (arXiv:2603.18863) compare the gradients of task and alignment losses of XLM-R and find them close
to orthogonal. Two vectors of many dimensions nearly always are, and gradients of few rows are noisy, which makes their
cosine smaller still: so beside each cosine belong that of a control, what is random, and how well the gradients of two
halves of the rows agree. With agreements a and b, noise alone holds the cosine below sqrt(2a / (1 + a) · 2b / (1 + b))
(Spearman 1904, The Proof and Measurement of Association; Spearman-Brown for halves).
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TypeAlias

import torch
from torch.nn import functional

TEMPERATURE = 0.05
"""Of InfoNCE, as Gao et al. 2021 (SimCSE, arXiv:2104.08821) use it for sentence vectors."""
ALL = "all"
"""Name of all layers together."""

Gradient: TypeAlias = Sequence[torch.Tensor]
"""A gradient, parameter by parameter."""
_NORMAL_95 = 1.959963984540054


def layer_parameters(parameters: Iterable[tuple[str, torch.nn.Parameter]]) -> dict[str, list[torch.nn.Parameter]]:
    """The trained parameters of each layer of an encoder.

    A layer is the first number in a parameter's name (``encoder.layer.3.output.dense.weight``), as every family of
    transformers names them. What bears no number belongs to none: embedding tables, whose gradient depends on which
    subwords the rows happen to have, and a last norm.

    Args:
        parameters: names and parameters.

    Returns:
        By the layer's number, counted from 1 (layer 0 is what the embeddings give), ascending.
    """
    found: dict[int, list[torch.nn.Parameter]] = {}
    for name, parameter in parameters:
        number = re.search(r"(?<![^.])\d+(?=\.)", name)
        if number is not None and parameter.requires_grad:
            found.setdefault(int(number.group()), []).append(parameter)
    return {str(number + 1): found[number] for number in sorted(found)}


def null_p95(numbers: int) -> float:
    """What the absolute cosine of two independent random vectors stays below with probability 0.95.

    Their directions being uniform, the cosine has mean 0 and variance 1/d; for large d it is normal.

    Args:
        numbers: d, of each vector.
    """
    return min(1.0, _NORMAL_95 / math.sqrt(numbers))


def info_nce(
    queries: torch.Tensor, keys: torch.Tensor, targets: torch.Tensor, left_out: torch.Tensor | None = None
) -> torch.Tensor:
    """The mean cross-entropy, in nats, of finding each query's key among all keys by cosine, ``[]``.

    InfoNCE (van den Oord et al. 2018, arXiv:1807.03748, equation 4) of cosines over `TEMPERATURE`.

    Args:
        queries: ``[n, width]``, such as vectors of sentences in many languages.
        keys: ``[m, width]``, such as vectors of English sentences.
        targets: ``[n]`` int64, the place of each query's key.
        left_out: ``[n]`` int64, a key that each query does not see: a control that is to know nothing of matching pairs
            must not push them apart, either.
    """
    cosines = functional.normalize(queries, dim=-1) @ functional.normalize(keys, dim=-1).T
    if left_out is not None:
        cosines = cosines.scatter(1, left_out.unsqueeze(1), -math.inf)
    return functional.cross_entropy(cosines / TEMPERATURE, targets)


@dataclass(frozen=True)
class GradientComparison:
    """Two gradients; lists hold a number for each layer, and one for all of them together.

    Attributes:
        cosine: of the task's gradient and the alignment loss's; NaN where one of them is 0.
        shuffled: of the task's and that of the alignment loss of sentences that do not match.
        task_agreement: of the task's gradients of both halves.
        alignment_agreement: of the alignment loss's gradients of both halves.
        task_norm: of the task's gradient, the mean of both halves.
        alignment_norm: of the alignment loss's.
    """

    cosine: list[float]
    shuffled: list[float]
    task_agreement: list[float]
    alignment_agreement: list[float]
    task_norm: list[float]
    alignment_norm: list[float]


def compare_gradients(
    layers: Mapping[str, Sequence[torch.nn.Parameter]],
    task: Sequence[Iterable[torch.Tensor]],
    alignment: Sequence[Callable[[], tuple[torch.Tensor, torch.Tensor]]],
) -> GradientComparison:
    """Compare gradients without touching ``.grad`` of any parameter; four of them are held at once, at most.

    Args:
        layers: parameters of each.
        task: of each half of the rows, losses that add up to the half's; computed one after the other, so that memory
            holds one pass.
        alignment: of each half, what computes the loss ``[]`` of pairs that match, and of pairs that do not.
    """
    parameters = [parameter for own in layers.values() for parameter in own]
    sizes = [len(own) for own in layers.values()]

    def dots(one: Gradient, other: Gradient) -> list[float]:
        return _dots(one, other, sizes)

    first, second = (_summed(losses, parameters) for losses in task)
    task_agreement = _cosines(dots(first, second), dots(first, first), dots(second, second))
    gradient = _mean(first, second)
    del first, second
    pairs = [_both(*compute(), parameters) for compute in alignment]
    (one, one_shuffled), (other, other_shuffled) = pairs
    pairs.clear()
    shuffled = _mean(one_shuffled, other_shuffled)
    del one_shuffled, other_shuffled
    agreement = _cosines(dots(one, other), dots(one, one), dots(other, other))
    aligned = _mean(one, other)
    squares, aligned_squares = dots(gradient, gradient), dots(aligned, aligned)
    return GradientComparison(
        cosine=_cosines(dots(gradient, aligned), squares, aligned_squares),
        shuffled=_cosines(dots(gradient, shuffled), squares, dots(shuffled, shuffled)),
        task_agreement=task_agreement,
        alignment_agreement=agreement,
        task_norm=[math.sqrt(value) for value in squares],
        alignment_norm=[math.sqrt(value) for value in aligned_squares],
    )


def _gradient(loss: torch.Tensor, parameters: Sequence[torch.Tensor], *, retain: bool = False) -> list[torch.Tensor]:
    found = torch.autograd.grad(loss, parameters, allow_unused=True, retain_graph=retain)
    return [
        torch.zeros_like(parameter) if part is None else part.contiguous()
        for parameter, part in zip(parameters, found, strict=True)
    ]


def _summed(losses: Iterable[torch.Tensor], parameters: Sequence[torch.Tensor]) -> list[torch.Tensor]:
    """The gradient of a sum whose terms are computed one after the other."""
    total: list[torch.Tensor] | None = None
    for loss in losses:
        part = _gradient(loss, parameters)
        if total is None:
            total = part
        else:
            torch._foreach_add_(total, part)
    assert total is not None, "there is no loss"
    return total


def _both(
    loss: torch.Tensor, other: torch.Tensor, parameters: Sequence[torch.Tensor]
) -> tuple[list[torch.Tensor], list[torch.Tensor]]:
    """Gradients of two losses of one forward pass."""
    return _gradient(loss, parameters, retain=True), _gradient(other, parameters)


def _mean(one: Gradient, other: Gradient) -> list[torch.Tensor]:
    """The mean of two gradients, in the memory of the first."""
    return [a.add_(b).div_(2) for a, b in zip(one, other, strict=True)]


def _dots(one: Gradient, other: Gradient, sizes: Sequence[int]) -> list[float]:
    """Inner products in each layer, and that of all."""
    terms = torch.stack([torch.dot(a.flatten(), b.flatten()) for a, b in zip(one, other, strict=True)]).tolist()
    places, by_layer = iter(terms), []
    for size in sizes:
        by_layer.append(math.fsum(next(places) for _ in range(size)))
    return [*by_layer, math.fsum(by_layer)]


def _cosines(products: Sequence[float], squares: Sequence[float], others: Sequence[float]) -> list[float]:
    lengths = [math.sqrt(a) * math.sqrt(b) for a, b in zip(squares, others, strict=True)]
    return [ab / length if length else math.nan for ab, length in zip(products, lengths, strict=True)]
