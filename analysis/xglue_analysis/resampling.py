"""What a CKA value may be worth: its null under permutation, its interval over sentences, its most influential one."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from tqdm import tqdm

from xglue_analysis.arrays import Array, tensor
from xglue_analysis.cka import both_centred, hsic1, own_hsic, precision_of, ratio
from xglue_analysis.errors import AnalysisError

Sums = tuple[torch.Tensor, torch.Tensor]

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
        debiased: ``[permutations, a, b]``, the debiased values themselves.
    """

    debiased_p95: torch.Tensor
    biased_mean: torch.Tensor
    biased_p95: torch.Tensor
    permutations: int
    debiased: torch.Tensor


@dataclass(frozen=True)
class Interval:
    """Bootstrap over sentences.

    Attributes:
        low: ``[a, b]``, lower end for debiased CKA.
        high: ``[a, b]``.
        stderr: ``[a, b]``, standard deviation over replicates.
        mean_stderr: the same of the mean over those pairs that a caller asks for; NaN where it asks for none.
        replicates: how many were drawn.
        means: ``[replicates]``, that mean in each of them; of one seed and as many sentences, draw by draw the same.
    """

    low: torch.Tensor
    high: torch.Tensor
    stderr: torch.Tensor
    mean_stderr: float
    replicates: int
    means: torch.Tensor


class Pairwise:
    """Gram matrices without diagonals of two sets of layers on the same sentences."""

    def __init__(self, xs: Sequence[Array], ys: Sequence[Array] | None = None) -> None:
        """Compute them.

        Args:
            xs: a layers ``[n, d]``.
            ys: b layers ``[n, e]``; ``None``: the same layers.

        Raises:
            AnalysisError: for more than `PAIRWISE_LIMIT` sentences, and as `cka.cka_grid`.
        """
        left, right = both_centred(xs, ys)
        self.n = n = left[0].shape[0]
        if n > PAIRWISE_LIMIT:
            raise AnalysisError(f"permutations and bootstrap of {n} sentences: give at most {PAIRWISE_LIMIT}")
        self._a, self._diagonals_a = _grams(left)
        self._b, self._diagonals_b = (self._a, self._diagonals_a) if right is left else _grams(right)

    def null(self, *, permutations: int = 200, seed: int = 0, progress: bool = False) -> Null:
        """Shuffle the sentences of the second side; all pairs of layers share each permutation.

        Args:
            permutations: how many.
            seed: of the permutations.
            progress: show a bar.
        """
        n, a, b = self.n, self._diagonals_a, self._diagonals_b
        above = torch.triu_indices(n, n, 1, device=self._a.device)
        still = self._a[:, above[0], above[1]]
        table = self._b.permute(1, 2, 0).reshape(n * n, -1).contiguous()  # a pair of sentences is a row: one look-up
        own_a, own_b = _norms(self._a), _norms(self._b)
        whole = (own_a + a.square().sum(1))[:, None] * (own_b + b.square().sum(1))[None]
        free_a = hsic1(own_a, a.sum(1), a.sum(1), a.square().sum(1), n)
        free_b = hsic1(own_b, b.sum(1), b.sum(1), b.square().sum(1), n)
        scale, free_scale = whole.sqrt(), (free_a[:, None] * free_b[None]).clamp_min(0).sqrt()
        traces_a, traces_b = a.sum(1)[:, None], b.sum(1)[None]
        generator = torch.Generator().manual_seed(seed)
        debiased, biased = [], []
        for _ in tqdm(range(permutations), desc="null", unit="perm", disable=not progress, leave=False):
            order = torch.randperm(n, generator=generator).to(table.device)
            moved = table.index_select(0, order[above[0]] * n + order[above[1]])
            cross, diagonals = 2 * (still @ moved).double(), a @ b[:, order].T
            debiased.append(hsic1(cross, traces_a, traces_b, diagonals, n) / free_scale)
            biased.append((cross + diagonals) / scale)
        mean = traces_a * traces_b / (n - 1) / scale
        p95 = _quantile(debiased, 0.95)
        return Null(p95, mean, _quantile(biased, 0.95), permutations, torch.stack(debiased))

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

        Raises:
            AnalysisError: for fewer than 2 replicates.
        """
        if replicates < 2:
            raise AnalysisError(f"{replicates} replicates: a deviation needs 2 at least")
        n = self.n
        generator = torch.Generator().manual_seed(seed)
        drawn = torch.randint(n, (replicates, n), generator=generator)
        counts = torch.zeros(replicates, n, dtype=torch.float64).scatter_add_(1, drawn, torch.ones_like(drawn).double())
        weights = _Weights(counts.T.contiguous().to(self._a.device))
        sums_a, sums_b = weights.row_sums(self._a), weights.row_sums(self._b)
        own_a = [weights.hsic(gram, gram, s, s) for gram, s in zip(self._a, sums_a, strict=True)]
        own_b = own_a
        if self._b is not self._a:
            own_b = [weights.hsic(gram, gram, s, s) for gram, s in zip(self._b, sums_b, strict=True)]
        shape = (len(own_a), len(own_b))
        wanted = [(i, j) for i in range(shape[0]) for j in range(shape[1])] if pairs is None else list(pairs)
        values = torch.full((*shape, replicates), math.nan, dtype=torch.float64)
        for i, j in tqdm(wanted, desc="bootstrap", unit="pair", disable=not progress, leave=False):
            cross = weights.hsic(self._a[i], self._b[j], sums_a[i], sums_b[j])
            scale = (own_a[i].clamp_min(0) * own_b[j].clamp_min(0)).sqrt()
            values[i, j] = torch.where(scale > 0, cross / scale, torch.nan).cpu()
        tail = (1 - level) / 2
        low, high = torch.nanquantile(values, torch.tensor([tail, 1 - tail], dtype=torch.float64), dim=-1)
        averaged = [values[i, j] for i, j in average] or [torch.full_like(values[0, 0], math.nan)]
        means = torch.stack(averaged).nanmean(0)
        return Interval(low, high, _deviation(values), float(_deviation(means)), replicates, means)

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
        return ratio(cross, own_a, own_b)


class _Weights:
    """How often each sentence is drawn, ``[n, replicates]``, and the sums over different sentences that need it."""

    def __init__(self, counts: torch.Tensor) -> None:
        self._w, self._w2, self._w3 = counts, counts.square(), counts.pow(3)
        self._s1, self._s2, s3, s4 = (counts.pow(power).sum(0) for power in (1, 2, 3, 4))
        s1, s2 = self._s1, self._s2
        fours = s1**4 - 6 * s1**2 * s2 + 3 * s2**2 + 8 * s1 * s3 - 6 * s4  # products of weights over 4 different ones
        self._fours = torch.where((counts > 0).sum(0) >= 4, fours, torch.nan)

    def row_sums(self, grams: torch.Tensor) -> list[tuple[torch.Tensor, torch.Tensor]]:
        """``K̃ w`` and ``K̃ w²``, ``[n, replicates]``, for each Gram matrix."""
        both = torch.cat([self._w, self._w2], dim=1).to(grams.dtype)
        return [(gram @ both).double().tensor_split(2, dim=1) for gram in grams]

    def hsic(self, k: torch.Tensor, l: torch.Tensor, sums_k: Sums, sums_l: Sums) -> torch.Tensor:  # noqa: E741
        """``E[K_ij L_ij + K_ij L_qr - 2 K_ij L_iq]`` over four different sentences (Gretton et al. 2005, lemma 1).

        All three terms go over tuples of four, so that the origin of the features does not matter in a replicate,
        either. ``[replicates]``; NaN where fewer than four different sentences were drawn.
        """
        w, w2, s1 = self._w, self._w2, self._s1
        powers = torch.cat([w, w2, self._w3], dim=1).to(k.dtype)
        by_w, by_w2, by_w3 = ((k * l) @ powers).double().tensor_split(3, dim=1)
        p11, p12, p22, p13 = ((one * other).sum(0) for one, other in ((w, by_w), (w, by_w2), (w2, by_w2), (w, by_w3)))
        (k1, k2), (l1, l2) = sums_k, sums_l
        both, squared = (w * k1 * l1).sum(0), (w2 * k1 * l1).sum(0)
        two = (s1**2 - self._s2) * p11 - 4 * s1 * p12 + 4 * p13 + 2 * p22
        three = s1 * (both - p12) - (squared - p22) - ((w * k2 * l1).sum(0) - p13) - ((w * k1 * l2).sum(0) - p13)
        four = (w * k1).sum(0) * (w * l1).sum(0) - 4 * (squared - p22) - 2 * p22
        mean: torch.Tensor = (two + four - 2 * three) / self._fours
        return mean


def jackknife_stderr(values: Array) -> float:
    """Standard error from leave-one-out values (Efron and Tibshirani 1993, equation 11.5).

    Args:
        values: ``[n]``.
    """
    values = tensor(values, "values")
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
    products = (gram_k * gram_l).sum(1, dtype=torch.float64)
    cross = products.sum() - 2 * products
    sums_k, sums_l = 2 * k - k.sum(), 2 * l - l.sum()
    meeting = (gram_l @ k.to(gram_l.dtype) + gram_k @ l.to(gram_k.dtype)).double()
    rows = k @ l - k * l + meeting + products
    return hsic1(cross, sums_k, sums_l, rows, small)  # its traces and diagonals stand for sums of K̃, L̃ and K̃ L̃


def _grams(layers: Sequence[torch.Tensor]) -> tuple[torch.Tensor, torch.Tensor]:
    """Gram matrices without diagonals, ``[a, n, n]``, and those, ``[a, n]``; zero where HSIC is no more than rounding.

    Layers are scaled to a norm of √n, which CKA does not see: products of float32 kernels neither overflow nor vanish.
    """
    scaled = [x / x.norm().clamp_min(torch.finfo(x.dtype).tiny) * math.sqrt(len(x)) for x in layers]
    diagonals = torch.stack([x.double().square().sum(1) for x in scaled])
    grams = torch.stack([x @ x.T for x in scaled])
    grams.diagonal(dim1=1, dim2=2).zero_()
    empty = own_hsic(_norms(grams), diagonals, precision_of(layers[0]), "gram") == 0
    grams[empty], diagonals[empty] = 0, 0
    return grams, diagonals


def _deviation(values: torch.Tensor) -> torch.Tensor:
    """Standard deviation over the last dimension of what is not NaN."""
    known = (~values.isnan()).sum(-1)
    free = values - values.nanmean(-1, keepdim=True)
    return torch.where(known > 1, (free.square().nansum(-1) / (known - 1).clamp_min(1)).sqrt(), torch.nan)


def _norms(grams: torch.Tensor) -> torch.Tensor:
    return torch.stack([torch.linalg.vector_norm(gram, dtype=torch.float64).square() for gram in grams])


def _quantile(values: list[torch.Tensor], share: float) -> torch.Tensor:
    if not values:
        raise AnalysisError("no permutations: ask for one at least")
    return torch.stack(values).quantile(share, dim=0)
