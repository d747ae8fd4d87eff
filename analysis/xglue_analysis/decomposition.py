"""The singular values of a matrix in float64: of most from its Gram matrix, of the smallest from the matrix itself."""

from __future__ import annotations

import math

import numpy as np
import torch
from numpy.typing import NDArray

from xglue_analysis.arrays import Array, tensor
from xglue_analysis.errors import AnalysisError

_EPSILON = float(np.finfo(np.float64).eps)
_ACCURACY = 1e-8
"""Relative error that a singular value may have."""
_FEW = 16
"""Most small singular values for which refining costs less than a decomposition."""
_STEPS = 12
"""Most steps of the refinement; Gaussian and trained matrices take about four."""


def singular_values(matrix: Array) -> torch.Tensor:
    r"""The singular values of a matrix.

    They are the square roots of the eigenvalues of the smaller Gram matrix, which take half the time of a decomposition
    or less. An eigenvalue is off by some :math:`\varepsilon\,\sigma_1^2`, which is nothing for most singular values and
    too much for the smallest. Those few are found again from the matrix itself, by Rayleigh and Ritz on a Krylov space
    of the inverse Gram matrix; where they are many, or too near to zero for that, the matrix is decomposed.

    Args:
        matrix: ``[m, n]``, of any floating type.

    Returns:
        Float64, descending, ``[min(m, n)]``. Each is right to a relative 1e-8 or an absolute ``1e-13 σ₁``, whichever is
        larger: no algorithm in float64 tells those below from zero.

    Raises:
        AnalysisError: it is no matrix of floating numbers, is empty, or holds infinities or NaN.

    Source:
        Golub and Van Loan 2013, sections 8.6.3 (values) and 10.1 (Krylov spaces).
    """
    whole = isinstance(matrix, torch.Tensor) and not matrix.is_floating_point()
    matrix = matrix if whole else tensor(matrix, "matrix")
    if matrix.ndim != 2 or not matrix.numel() or not matrix.is_floating_point():
        raise AnalysisError(
            f"expected a matrix of floating numbers, got {matrix.dtype} of shape {list(matrix.shape)}: give a "
            "checkpoint that is not quantised"
        )
    tall = matrix.detach().to("cpu", torch.float64)
    tall = tall if tall.shape[0] >= tall.shape[1] else tall.T
    scale = float(torch.linalg.vector_norm(tall, math.inf))
    if not math.isfinite(scale):
        raise AnalysisError("the matrix holds infinities or NaN: the model has diverged, or its file is damaged")
    if scale == 0:
        return torch.zeros(tall.shape[1], dtype=torch.float64)
    tall = tall / scale  # else squares may overflow or vanish
    # numpy's products of a matrix with itself take half the work, and its eigenvalues come faster than torch's
    array = tall.numpy()
    gram = array.T @ array
    eigenvalues = np.linalg.eigvalsh(gram)

    error = 8 * math.sqrt(len(gram)) * _EPSILON * eigenvalues[-1]  # four times what was measured for 64 to 2048 columns
    small = int(np.searchsorted(eigenvalues, error / _ACCURACY))
    sigma = np.sqrt(np.maximum(eigenvalues, 0))
    if small:
        refined = None
        if small <= min(_FEW, len(gram) // _STEPS) and eigenvalues[0] > 100 * error:
            refined = _smallest(tall, torch.from_numpy(gram), small)
        if refined is not None and np.all(np.abs(refined**2 - eigenvalues[:small]) <= error):
            sigma[:small] = refined
        else:
            sigma = np.linalg.svd(array, compute_uv=False)[::-1]
    return torch.from_numpy(np.sort(sigma)[::-1] * scale)


def _smallest(tall: torch.Tensor, gram: torch.Tensor, count: int) -> NDArray[np.float64] | None:
    """The smallest singular values, ascending; ``None`` where they don't settle.

    The space grows by a block a step. Singular values of the matrix restricted to it bound those sought from above, and
    fall to them fast, as they are far below the others. The Gram matrix only proposes directions; its rounding errors
    enter the values squared.
    """
    factor, failed = torch.linalg.cholesky_ex(gram)
    if failed:
        return None
    start = torch.randn(len(gram), count + 4, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    block = torch.linalg.qr(start).Q
    basis, image = block, tall @ block
    before = torch.full((count,), torch.inf, dtype=torch.float64)
    for _ in range(min(_STEPS, len(gram) // block.shape[1] - 1)):
        block = torch.linalg.qr(torch.cholesky_solve(block, factor)).Q
        for _ in range(2):  # once leaves a rest where directions are nearly parallel
            block = torch.linalg.qr(block - basis @ (basis.T @ block)).Q
        basis, image = torch.cat([basis, block], 1), torch.cat([image, tall @ block], 1)
        after = torch.linalg.svdvals(image).flip(0)[:count]
        if bool(((before - after).abs() <= _ACCURACY / 100 * after).all()):
            values: NDArray[np.float64] = after.numpy()
            return values
        before = after
    return None
