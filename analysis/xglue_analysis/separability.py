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
    n = len(sides[0])
    if not 2 <= folds <= n:
        raise AnalysisError(f"{folds} folds of {n} sentences: give at least 2, and no more than there are sentences")
    generator = torch.Generator().manual_seed(seed)
    fold = torch.randperm(n, generator=generator) % folds
    cloud = torch.stack(sides, dim=1)  # [n, languages, d]
    cloud = cloud - cloud.mean((0, 1))
    probes = [_Fold(cloud, fold == number) for number in range(folds)]
    own = torch.arange(len(names)).repeat(n, 1)
    right = _right(probes, own)
    null = None
    if permutations:
        drawn = [
            _right(probes, torch.rand(n, len(names), generator=generator).argsort(1)).double().mean()
            for _ in range(permutations)
        ]
        null = calibrated(float(right.double().mean()), torch.stack(drawn))
    each = right.double().mean(0)
    return Separability(
        float(right.double().mean()),
        {name: float(each[place]) for place, name in enumerate(names)},
        1 / len(names),
        {name: right[:, place] for place, name in enumerate(names)},
        null,
    )


class _Fold:
    """One fold, with all that does not depend on which language a sentence is said to be of."""

    def __init__(self, cloud: torch.Tensor, held_out: torch.Tensor) -> None:
        """Args: cloud ``[n, languages, d]``; held_out ``[n]``, which sentences are tested."""
        self.held_out = held_out
        self.train, self.test = cloud[~held_out], cloud[held_out]
        rows = self.train.flatten(0, 1)
        self.middle = rows.mean(0)
        free = rows - self.middle
        total = free.T @ free / len(rows)
        shrunk = SHRINKAGE * total.trace() / len(total)
        total.diagonal().add_(shrunk.clamp_min(torch.finfo(torch.float64).tiny))
        self.factor = torch.linalg.cholesky(total)

    def right(self, labels: torch.Tensor) -> torch.Tensor:
        """Whether each tested sentence's language is found, ``[tested, languages]``.

        Args:
            labels: ``[n, languages]``, the language that each is said to be of: a permutation in every row.
        """
        told, asked = labels[~self.held_out], labels[self.held_out]
        count = labels.shape[1]
        means = torch.stack([self.train[told == label].mean(0) for label in range(count)]) - self.middle
        # T is the covariance of all rows, W that within languages: T = W + UᵀU, and W⁻¹ by Woodbury from T⁻¹.
        between = means / count**0.5
        solved = torch.cholesky_solve(between.T, self.factor)  # T⁻¹Uᵀ, [d, languages]
        inner = torch.eye(count, dtype=means.dtype, device=means.device) - between @ solved
        weights = (solved + solved @ torch.linalg.solve(inner, between @ solved)) * count**0.5  # W⁻¹ of the means
        offsets = (means * weights.T).sum(1) / 2
        scores = (self.test - self.middle) @ weights - offsets
        right: torch.Tensor = scores.argmax(-1) == asked
        return right


def _right(probes: list[_Fold], labels: torch.Tensor) -> torch.Tensor:
    found = torch.zeros(labels.shape, dtype=torch.bool)
    for probe in probes:
        found[probe.held_out] = probe.right(labels).cpu()
    return found
