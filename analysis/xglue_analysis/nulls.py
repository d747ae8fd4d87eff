"""What a CKA value may be worth: its null under permutation, its interval over sentences, its most influential one."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from tqdm import tqdm

from xglue_analysis.cka import centred, hsic1
from xglue_analysis.errors import AnalysisError

PAIRWISE_LIMIT = 4096
"""Most sentences whose Gram matrices are held at once (26 layers: 1.7 GB in float32)."""


@dataclass(frozen=True)
class Null:
    """CKA when the sentences of one side are shuffled: what unrelated representations with these spectra would give.

    Attributes:
        debiased_p95: ``[a, b]``, 95th percentile over permutations; the mean is exactly 0 (`cka.null_deviation`).
        biased_mean: ``[a, b]``, exact.
        biased_p95: ``[a, b]``.
        permutations: how many were drawn.
    """

    debiased_p95: torch.Tensor
    biased_mean: torch.Tensor
    biased_p95: torch.Tensor
    permutations: int


@dataclass(frozen=True)
class Interval:
    """Bootstrap over sentences.

    Attributes:
        low: ``[a, b]``, lower end for debiased CKA.
        high: ``[a, b]``.
        stderr: ``[a, b]``, standard deviation over replicates.
        mean_stderr: the same of the mean over those pairs that a caller asks for; NaN where it asks for none.
        replicates: how many were drawn.
    """

    low: torch.Tensor
    high: torch.Tensor
    stderr: torch.Tensor
    mean_stderr: float
    replicates: int


class Pairwise:
    """Gram matrices without diagonals of two sets of layers on the same sentences."""

    def __init__(self, xs: Sequence[torch.Tensor], ys: Sequence[torch.Tensor]) -> None:
        """Compute them.

        Args:
            xs: a layers ``[n, d]``.
            ys: b layers ``[n, e]``.

        Raises:
            AnalysisError: for more than `PAIRWISE_LIMIT` sentences, and as `cka.cka_grid`.
        """
        left, right = centred(xs), centred(ys)
        self.n = n = left[0].shape[0]
        if right[0].shape[0] != n:
            raise AnalysisError(f"{n} sentences on one side and {right[0].shape[0]} on the other: give the same ones")
        if n > PAIRWISE_LIMIT:
            raise AnalysisError(f"permutations and bootstrap of {n} sentences: give at most {PAIRWISE_LIMIT}")
        self._a, self._b = _grams(left), _grams(right)
        self._diagonals_a = torch.stack([x.double().square().sum(1) for x in left])
        self._diagonals_b = torch.stack([y.double().square().sum(1) for y in right])

    def null(self, *, permutations: int = 200, seed: int = 0, progress: bool = False) -> Null:
        """Shuffle the sentences of the second side; all pairs of layers share each permutation.

        Args:
            permutations: how many.
            seed: of the permutations.
            progress: show a bar.
        """
        n, a, b = self.n, self._diagonals_a, self._diagonals_b
        flat = self._a.flatten(1)
        own_a, own_b = _norms(self._a), _norms(self._b)
        whole = (own_a + a.square().sum(1))[:, None] * (own_b + b.square().sum(1))[None]
        free_a = hsic1(own_a, a.sum(1), a.sum(1), a.square().sum(1), n)
        free_b = hsic1(own_b, b.sum(1), b.sum(1), b.square().sum(1), n)
        scale, free_scale = whole.sqrt(), (free_a[:, None] * free_b[None]).clamp_min(0).sqrt()
        traces_a, traces_b = a.sum(1)[:, None], b.sum(1)[None]
        generator = torch.Generator().manual_seed(seed)
        debiased, biased = [], []
        for _ in tqdm(range(permutations), desc="null", unit="perm", disable=not progress, leave=False):
            order = torch.randperm(n, generator=generator).to(flat.device)
            moved = self._b.index_select(1, order).index_select(2, order).flatten(1)
            cross, diagonals = (flat @ moved.T).double(), a @ b[:, order].T
            debiased.append(hsic1(cross, traces_a, traces_b, diagonals, n) / free_scale)
            biased.append((cross + diagonals) / scale)
        return Null(
            _quantile(debiased, 0.95), traces_a * traces_b / (n - 1) / scale, _quantile(biased, 0.95), permutations
        )

    def bootstrap(
        self,
        *,
        replicates: int = 500,
        seed: int = 0,
        level: float = 0.95,
        average: Sequence[tuple[int, int]] = (),
        pairs: Sequence[tuple[int, int]] | None = None,
        progress: bool = False,
    ) -> Interval:
        """Percentile interval of debiased CKA when sentences are drawn with replacement.

        A sentence that is drawn twice is no pair of two sentences: as in the diagonal, the kernel of a sentence with
        itself says nothing of others, and would push every replicate up. So the U-statistics go over tuples of
        different sentences, weighted by how often each was drawn (Efron and Tibshirani 1993, chapter 6).

        Args:
            replicates: how many.
            seed: of the draws; all pairs of layers share them.
            level: coverage of the interval.
            average: pairs of layers whose mean's standard error is wanted, too.
            pairs: pairs of layers to work out, the others being NaN; ``None``: all.
            progress: show a bar.
        """
        n = self.n
        generator = torch.Generator().manual_seed(seed)
        drawn = torch.randint(n, (replicates, n), generator=generator)
        counts = torch.zeros(replicates, n, dtype=torch.float64).scatter_add_(1, drawn, torch.ones_like(drawn).double())
        weights = _Weights(counts.T.contiguous().to(self._a.device))
        sums_a, sums_b = weights.row_sums(self._a), weights.row_sums(self._b)
        own_a = [weights.hsic(gram, gram, s, s) for gram, s in zip(self._a, sums_a, strict=True)]
        own_b = [weights.hsic(gram, gram, s, s) for gram, s in zip(self._b, sums_b, strict=True)]
        shape = (len(own_a), len(own_b))
        wanted = [(i, j) for i in range(shape[0]) for j in range(shape[1])] if pairs is None else list(pairs)
        found = torch.full((*shape, replicates), math.nan, dtype=torch.float64)
        for i, j in tqdm(wanted, desc="bootstrap", unit="pair", disable=not progress, leave=False):
            cross = weights.hsic(self._a[i], self._b[j], sums_a[i], sums_b[j])
            found[i, j] = (cross / (own_a[i] * own_b[j]).clamp_min(0).sqrt()).cpu()
        tail = (1 - level) / 2
        low, high = torch.nanquantile(found, torch.tensor([tail, 1 - tail], dtype=torch.float64), dim=-1)
        means = torch.stack([found[i, j] for i, j in average]).nanmean(0) if average else torch.full((2,), math.nan)
        return Interval(low, high, found.std(-1), float(means.std()), replicates)

    def leave_one_out(self) -> torch.Tensor:
        """Debiased CKA without each sentence in turn, in closed form.

        Returns:
            ``[a, b, n]`` float64.

        Raises:
            AnalysisError: for fewer than 5 sentences.
        """
        if self.n < 5:
            raise AnalysisError(f"{self.n} sentences are too few: leaving one out needs 5 at least")
        a, b = self._diagonals_a, self._diagonals_b
        own_a = torch.stack([_without(gram, gram, d, d) for gram, d in zip(self._a, a, strict=True)])
        own_b = torch.stack([_without(gram, gram, d, d) for gram, d in zip(self._b, b, strict=True)])
        cross = torch.stack(
            [torch.stack([_without(self._a[i], self._b[j], a[i], b[j]) for j in range(len(b))]) for i in range(len(a))]
        )
        scale = (own_a.clamp_min(0)[:, None] * own_b.clamp_min(0)[None]).sqrt()
        return torch.where(scale > 0, cross / scale, torch.nan)


class _Weights:
    """How often each sentence is drawn, ``[n, replicates]``, and the sums over different sentences that need it."""

    def __init__(self, counts: torch.Tensor) -> None:
        self._w, self._w2 = counts, counts.square()
        s1, s2, s3, s4 = (counts.pow(power).sum(0) for power in (1, 2, 3, 4))
        self._pairs = s1**2 - s2  # sums of products of weights over 2, 3 and 4 different sentences
        self._triples = s1**3 - 3 * s1 * s2 + 2 * s3
        self._fours = s1**4 - 6 * s1**2 * s2 + 3 * s2**2 + 8 * s1 * s3 - 6 * s4

    def row_sums(self, grams: torch.Tensor) -> list[torch.Tensor]:
        """``K̃ w``, ``[n, replicates]``, for each Gram matrix."""
        return [(gram @ self._w.to(gram.dtype)).double() for gram in grams]

    def hsic(self, k: torch.Tensor, l: torch.Tensor, sums_k: torch.Tensor, sums_l: torch.Tensor) -> torch.Tensor:  # noqa: E741
        """``E[K_ij L_ij] + E[K_ij L_qr] - 2 E[K_ij L_iq]`` over different sentences (Gretton et al. 2005)."""
        products = k * l
        by_w = (products @ self._w.to(k.dtype)).double()
        by_w2 = (products @ self._w2.to(k.dtype)).double()
        two = (self._w * by_w).sum(0)
        two_of_three = (self._w * by_w2).sum(0)  # w_i w_j² K_ij L_ij
        two_of_four = (self._w2 * by_w2).sum(0)
        both = sums_k * sums_l
        three = (self._w * both).sum(0) - two_of_three
        inner = (self._w2 * both).sum(0) - two_of_four
        four = (self._w * sums_k).sum(0) * (self._w * sums_l).sum(0) - 4 * inner - 2 * two_of_four
        found: torch.Tensor = two / self._pairs + four / self._fours - 2 * three / self._triples
        return found


def jackknife_stderr(values: torch.Tensor) -> float:
    """Standard error from leave-one-out values (Efron and Tibshirani 1993, equation 11.5).

    Args:
        values: ``[n]``.
    """
    n = len(values)
    return float(((n - 1) / n * (values - values.mean()).square().sum()).sqrt())


def _without(gram_k: torch.Tensor, gram_l: torch.Tensor, k: torch.Tensor, l: torch.Tensor) -> torch.Tensor:  # noqa: E741
    """``HSIC₁`` (but for its constant) without each sentence, ``[n]``; features are centred over all sentences.

    Args:
        gram_k: ``[n, n]`` without its diagonal, whose rows sum to ``-k``.
        gram_l: the same of the other side.
        k: diagonal of K.
        l: diagonal of L.
    """
    small = len(k) - 1
    own = (gram_k * gram_l).sum(1, dtype=torch.float64)
    cross = own.sum() - 2 * own
    sums_k, sums_l = 2 * k - k.sum(), 2 * l - l.sum()
    meeting = (gram_l @ k.to(gram_l.dtype) + gram_k @ l.to(gram_k.dtype)).double()
    rows = k @ l - k * l + meeting + own
    return cross + sums_k * sums_l / ((small - 1) * (small - 2)) - 2 / (small - 2) * rows


def _grams(layers: Sequence[torch.Tensor]) -> torch.Tensor:
    found = torch.stack([x @ x.T for x in layers])
    found.diagonal(dim1=1, dim2=2).zero_()
    return found


def _norms(grams: torch.Tensor) -> torch.Tensor:
    return torch.stack([torch.linalg.vector_norm(gram, dtype=torch.float64).square() for gram in grams])


def _quantile(values: list[torch.Tensor], share: float) -> torch.Tensor:
    if not values:
        raise AnalysisError("no permutations: ask for one at least")
    return torch.stack(values).quantile(share, dim=0)
