"""All measures of one pair of languages in one layer, from one matrix of cosines, and their nulls."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import torch

from xglue_analysis.alignment import anc, scaled
from xglue_analysis.neighbours import Nearest, overlaps, similarities, strict_best

NEIGHBOURS = 10
"""Neighbours of CSLS, as Conneau et al. 2018 have them; fewer where there are fewer sentences."""

WITHOUT_DIRECTION = ("anc", "mutual_knn", "mexa")
"""Measures of a pair that are the same from both sides; P@1 is not."""


@dataclass(frozen=True)
class Direction:
    """What a sentence of one language finds among those of the other, ``[n, n]``: its one nearest, if there is one.

    Attributes:
        forward: rows ask, columns are searched.
        backward: columns ask.
    """

    forward: torch.Tensor
    backward: torch.Tensor


class Pair:
    """One language beside another."""

    def __init__(self, x: torch.Tensor, y: torch.Tensor, near: tuple[Nearest, Nearest]) -> None:
        """Compute what finds what.

        Args:
            x: ``[n, d]``.
            y: ``[n, d]``, the translations.
            near: neighbours of each side's sentences among themselves.
        """
        self._x, self._y, self._near = x, y, near
        self._cosines = similarities(x, y)
        self.cosine = _found(self._cosines)
        self._both = self.cosine.forward & self.cosine.backward
        self._member = near[0].member

    @cached_property
    def csls(self) -> Direction:
        """As `cosine`, by CSLS."""
        hubs = min(NEIGHBOURS, len(self._cosines) - 1)
        means = [self._cosines.topk(hubs, dim=dim).values.mean(dim) for dim in (1, 0)]
        return _found(2 * self._cosines - means[0][:, None] - means[1][None])

    @property
    def meeting(self) -> torch.Tensor:
        """Whether each sentence and its translation are each other's nearest, ``[n]`` float64: `mexa` is the mean."""
        return self._both.diagonal().double()

    @cached_property
    def overlap(self) -> torch.Tensor:
        """Overlap of each sentence's neighbourhood with its translation's, ``[n]``: `mutual_knn` is the mean."""
        return overlaps(self._member, self._near[1])

    def values(self) -> dict[str, float]:
        """``anc``, ``mutual_knn`` and ``mexa``, which have no direction, each with what it is by chance (``_null``).

        By chance `neighbours.mutual_knn` is ``k / (n - 1)``, and `neighbours.mexa` the mean over all permutations,
        which is the share of all pairs of sentences, translations or not, that find each other both ways.
        """
        correlation = anc(self._x, self._y)
        n, k = self._near[0].indices.shape
        return {
            "anc": correlation.absolute,
            "anc_signed": correlation.signed,
            "anc_null": correlation.null,
            "constant": correlation.constant,
            "mutual_knn": float(self.overlap.mean()),
            "mutual_knn_null": k / (n - 1),
            "mexa": float(self.meeting.mean()),
            "mexa_null": float(self._both.double().mean()),
        }

    def found(self, *, backward: bool) -> dict[str, float]:
        """P@1 by cosine and by CSLS (`alignment.retrieval`) in one direction."""
        masks = {name: self._mask(name, backward=backward) for name in ("p1_cosine", "p1_csls")}
        return {name: float(mask.diagonal().double().mean()) for name, mask in masks.items()}

    def null(self, orders: torch.Tensor, measures: Sequence[str] = WITHOUT_DIRECTION) -> dict[str, torch.Tensor]:
        """Measures without a direction for shuffled sentences of the second language, ``[K]`` each.

        Args:
            orders: ``[K, n]``, from `calibration.shuffled`.
            measures: those wanted.
        """
        draws = {"anc": self._null_of_anc, "mutual_knn": self._null_of_overlap, "mexa": self._null_of_meeting}
        return {name: draws[name](orders) for name in measures}

    def null_of_found(self, orders: torch.Tensor, *, backward: bool) -> dict[str, torch.Tensor]:
        """P@1 as `found` has it, for shuffled sentences of the second language, ``[K]`` each."""
        return {name: _share(self._mask(name, backward=backward), orders) for name in ("p1_cosine", "p1_csls")}

    def _null_of_anc(self, orders: torch.Tensor) -> torch.Tensor:
        (a, varies_a), (b, varies_b) = scaled(self._x.double()), scaled(self._y.double())
        a, b = a[:, varies_a & varies_b], b[:, varies_a & varies_b]
        return torch.stack([(a * b[order]).sum(0).abs().mean() for order in orders])

    def _null_of_overlap(self, orders: torch.Tensor) -> torch.Tensor:
        return torch.stack([overlaps(self._member, self._near[1], order).mean() for order in orders])

    def _null_of_meeting(self, orders: torch.Tensor) -> torch.Tensor:
        return _share(self._both, orders)

    def _mask(self, name: str, *, backward: bool) -> torch.Tensor:
        direction = self.cosine if name == "p1_cosine" else self.csls
        return direction.backward if backward else direction.forward


def _found(similarity: torch.Tensor) -> Direction:
    return Direction(strict_best(similarity, 1), strict_best(similarity, 0))


def _share(mask: torch.Tensor, orders: torch.Tensor) -> torch.Tensor:
    """Share of sentences that a mask ``[n, n]`` joins to those of each order ``[K, n]``, ``[K]``."""
    return mask[torch.arange(len(mask)), orders].double().mean(1)
