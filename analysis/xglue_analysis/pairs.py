"""All measures of one pair of languages in one layer, from one matrix of cosines, and their nulls."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import torch

from xglue_analysis.alignment import anc, scaled
from xglue_analysis.neighbours import Nearest, overlaps, similarities, strict_best


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

    def __init__(self, x: torch.Tensor, y: torch.Tensor, near: tuple[Nearest, Nearest], hubs: int) -> None:
        """Compute what finds what.

        Args:
            x: ``[n, d]``.
            y: ``[n, d]``, the translations.
            near: neighbours of each side's sentences among themselves.
            hubs: neighbours of CSLS.
        """
        self._x, self._y, self._near = x, y, near
        cosines = similarities(x, y)
        means = [cosines.topk(hubs, dim=dim).values.mean(dim) for dim in (1, 0)]
        local = 2 * cosines - means[0][:, None] - means[1][None]
        self.cosine, self.csls = (Direction(strict_best(one, 1), strict_best(one, 0)) for one in (cosines, local))
        self._both = self.cosine.forward & self.cosine.backward
        self._member = near[0].member

    def values(self) -> dict[str, float]:
        """``anc``, ``mutual_knn`` and ``mexa``, which have no direction, each with what it is by chance (``_null``).

        By chance `neighbours.mutual_knn` is ``k / (n - 1)``, and `neighbours.mexa` the mean over all permutations,
        which is the share of all pairs, not only of translations, that find each other both ways, times ``1 / n``.
        """
        correlation = anc(self._x, self._y)
        n, k = self._near[0].indices.shape
        return {
            "anc": correlation.absolute,
            "anc_signed": correlation.signed,
            "anc_null": correlation.null,
            "constant": correlation.constant,
            "mutual_knn": float(overlaps(self._member, self._near[1]).mean()),
            "mutual_knn_null": k / (n - 1),
            "mexa": float(self._both.diagonal().double().mean()),
            "mexa_null": float(self._both.double().mean()),
        }

    def found(self, *, backward: bool) -> dict[str, float]:
        """P@1 by cosine and by CSLS (`alignment.retrieval`) in one direction."""
        masks = {name: self._mask(name, backward=backward) for name in ("p1_cosine", "p1_csls")}
        return {name: float(mask.diagonal().double().mean()) for name, mask in masks.items()}

    def null(self, orders: torch.Tensor, *, backward: bool) -> Mapping[str, torch.Tensor]:
        """The measures for shuffled sentences of the second language, ``[K]`` each.

        Args:
            orders: ``[K, n]``, from `calibration.shuffled`.
            backward: the direction of P@1.
        """
        rows = torch.arange(orders.shape[1])
        masks = {"mexa": self._both, **{name: self._mask(name, backward=backward) for name in ("p1_cosine", "p1_csls")}}
        drawn = {name: torch.stack([mask[rows, o].double().mean() for o in orders]) for name, mask in masks.items()}
        (a, varies_a), (b, varies_b) = scaled(self._x.double()), scaled(self._y.double())
        a, b = a[:, varies_a & varies_b], b[:, varies_a & varies_b]
        drawn["anc"] = torch.stack([(a * b[order]).sum(0).abs().mean() for order in orders])
        drawn["mutual_knn"] = torch.stack([overlaps(self._member, self._near[1], order).mean() for order in orders])
        return drawn

    def _mask(self, name: str, *, backward: bool) -> torch.Tensor:
        direction = self.cosine if name == "p1_cosine" else self.csls
        return direction.backward if backward else direction.forward
