"""How well a linear probe tells the language from a sentence vector: "output separability" as a number.

Ji et al. 2024, section 5, blame it for the worse transfer of translation models. The probe is linear discriminant
analysis (Hastie et al. 2009, section 4.3) with equal priors and a covariance that is shrunk by a hundredth of the mean
variance, cross-validated so that a sentence and its translations are in one fold: what it learns is the language, not
the text. Everything follows from sums over folds and languages, so the null costs no more than a few products.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import torch

from xglue_analysis.arrays import Array
from xglue_analysis.calibration import Calibrated, calibrated
from xglue_analysis.errors import AnalysisError
from xglue_analysis.neighbours import finite

FOLDS = 5
SHRINKAGE = 0.01

_BLOCK = 1 << 22
"""Numbers that the permutations which are computed at a time may take."""


@dataclass(frozen=True)
class Separability:
    """How well languages are told apart.

    Attributes:
        accuracy: share of the sentences whose language is found, over all folds.
        languages: the same for each language.
        chance: one over the number of languages.
        right: for each language ``[n]``, whether a sentence's language was found.
        null: beside what it is when, sentence by sentence, the languages of its translations are shuffled; ``None``
            where no permutations were asked for.
    """

    accuracy: float
    languages: Mapping[str, float]
    chance: float
    right: Mapping[str, torch.Tensor]
    null: Calibrated | None


def separability(
    states: Mapping[str, Array], *, folds: int = FOLDS, permutations: int = 0, seed: int = 0
) -> Separability:
    """Cross-validated accuracy of telling the language of a sentence.

    Args:
        states: for each language ``[n, d]``, sentence i of one being the translation of i of every other.
        folds: of the cross-validation.
        permutations: for the null.
        seed: of folds and permutations.

    Raises:
        AnalysisError: for fewer than two languages, different shapes, values that are not finite, or fewer sentences
            than folds.
    """
    names = list(states)
    sides = [finite(states[name], f"states of {name}").double() for name in names]
    if len(names) < 2 or len({tuple(side.shape) for side in sides}) > 1:
        raise AnalysisError(
            f"shapes {[tuple(side.shape) for side in sides]}: give two languages at least, as parallel rows"
        )
    n, count = len(sides[0]), len(names)
    if not 2 <= folds <= n:
        raise AnalysisError(f"{folds} folds of {n} sentences: give at least 2, and no more than there are sentences")
    generator = torch.Generator().manual_seed(seed)
    fold = torch.randperm(n, generator=generator) % folds
    cloud = torch.stack(sides, dim=1)  # [n, languages, d]
    probes = _Probes(cloud - cloud.mean((0, 1)), fold, folds)
    right = probes.right(torch.arange(count).repeat(1, n, 1))[0]
    null = None
    if permutations:
        drawn, block = [], max(1, _BLOCK // (n * count * count))
        for start in range(0, permutations, block):
            some = range(start, min(start + block, permutations))
            labels = torch.stack([torch.rand(n, count, generator=generator).argsort(1) for _ in some])
            drawn.append(probes.right(labels).double().mean((1, 2)))
        null = calibrated(float(right.double().mean()), torch.cat(drawn))
    each = right.double().mean(0)
    return Separability(
        float(right.double().mean()),
        {name: float(each[place]) for place, name in enumerate(names)},
        1 / count,
        {name: right[:, place] for place, name in enumerate(names)},
        null,
    )


class _Probes:
    """A probe for each fold, with all that does not depend on which language a sentence is said to be of."""

    def __init__(self, cloud: torch.Tensor, fold: torch.Tensor, folds: int) -> None:
        """Args: cloud ``[n, languages, d]``, centred; fold ``[n]``, in which each sentence is tested; how many."""
        self._count, self._n = cloud.shape[1], len(cloud)
        self._held = [fold == number for number in range(folds)]
        self._tests = [cloud[held] for held in self._held]
        moments = [(rows := test.flatten(0, 1)).T @ rows for test in self._tests]
        sums, moment = cloud.sum((0, 1)), torch.stack(moments).sum(0)
        self._middles, self._factors = [], []
        for test, own in zip(self._tests, moments, strict=True):
            trained = (self._n - len(test)) * self._count
            middle = (sums - test.sum((0, 1))) / trained
            total = (moment - own) / trained - middle[:, None] * middle
            shrunk = SHRINKAGE * total.trace() / len(total)
            total.diagonal().add_(shrunk.clamp_min(torch.finfo(torch.float64).tiny))
            self._middles.append(middle)
            self._factors.append(torch.linalg.cholesky(total))

    def right(self, labels: torch.Tensor) -> torch.Tensor:
        """Whether each sentence's language is found by the probe that has not seen it, ``[K, n, languages]``.

        Args:
            labels: ``[K, n, languages]``, the language that each is said to be of: a permutation in every row.
        """
        found = torch.zeros(labels.shape, dtype=torch.bool)
        asked = [labels[:, held] for held in self._held]
        sums = [self._sums(test, own) for test, own in zip(self._tests, asked, strict=True)]
        total = torch.stack(sums).sum(0)
        for number, (held, test) in enumerate(zip(self._held, self._tests, strict=True)):
            middle = self._middles[number]
            means = (total - sums[number]) / (self._n - len(test)) - middle
            weights, offsets = _discriminants(means, self._factors[number])
            scores = torch.einsum("tld,kdc->ktlc", test - middle, weights) - offsets[:, None, None]
            found[:, held] = scores.argmax(-1).cpu() == asked[number]
        return found

    def _sums(self, rows: torch.Tensor, labels: torch.Tensor) -> torch.Tensor:
        """Sum of the states that are said to be of each language, ``[K, languages, d]``."""
        one_hot = labels.flatten(1)[:, None] == torch.arange(self._count)[:, None]
        return one_hot.to(rows) @ rows.flatten(0, 1)


def _discriminants(means: torch.Tensor, factor: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """What a state is multiplied with for its scores, ``[K, d, languages]``, and what is taken off, ``[K, languages]``.

    T is the covariance of all rows, W that within languages: ``T = W + UᵀU``, and W⁻¹ by Woodbury from T⁻¹.

    Args:
        means: of the languages, ``[K, languages, d]``, less that of all.
        factor: of T, ``[d, d]``, by Cholesky.
    """
    count = means.shape[1]
    between = means / count**0.5
    solved = torch.cholesky_solve(between.flatten(0, 1).T, factor).T.reshape(between.shape).mT  # T⁻¹Uᵀ
    inner = torch.eye(count, dtype=means.dtype, device=means.device) - between @ solved
    weights = (solved + solved @ torch.linalg.solve(inner, between @ solved)) * count**0.5  # W⁻¹ of the means
    return weights, (means * weights.mT).sum(-1) / 2
