"""From the likelihoods of the classes' words to a class: plain, by length, calibrated; and to an expected grade."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from xglue_harness.errors import PromptError


def likeliest(loglikelihoods: Sequence[float]) -> int:
    r"""The class whose words are likeliest: :math:`\arg\max_y \log p(y \mid x)`; the first of equals.

    Args:
        loglikelihoods: log-likelihood of each class's words after the prompt, in nats, ``[classes]``.

    Raises:
        PromptError: one is NaN.
    """
    return int(np.argmax(_checked(loglikelihoods)))


def likeliest_by_length(loglikelihoods: Sequence[float], words: Sequence[str]) -> int:
    r"""The same for log-likelihoods per character, :math:`\log p(y \mid x) / |y|`, as lm-eval's ``acc_norm``.

    Args:
        loglikelihoods: as for `likeliest`.
        words: words of each class, none empty, ``[classes]``.

    Raises:
        PromptError: one is NaN.
    """
    return int(np.argmax(_checked(loglikelihoods) / [len(word) for word in words]))


def likeliest_calibrated(loglikelihoods: Sequence[float], without_content: Sequence[float]) -> int:
    r"""The class that gains most by the content: :math:`\arg\max_y \log p(y \mid x) - \log p(y \mid x_0)`.

    That is the pointwise mutual information of class and content within the prompt.

    Args:
        loglikelihoods: as for `likeliest`.
        without_content: the same after a prompt whose fields say nothing, ``[classes]``.

    Raises:
        PromptError: one is NaN.

    Source:
        Holtzman et al. 2021 (arXiv:2104.08315), equation 2, with the content-free text of Zhao et al. 2021
        (arXiv:2102.09690) for the domain premise.
    """
    given, prior = _checked(loglikelihoods), _checked(without_content)
    gain = np.full_like(given, -np.inf)  # words that are impossible either way gain nothing
    np.subtract(given, prior, out=gain, where=np.isfinite(given))
    return int(np.argmax(gain))


def expected_grade(loglikelihoods: Sequence[float]) -> float:
    r"""Expectation of a grade, :math:`\sum_g g\, p(g)` with :math:`p(g) \propto \exp \log p(y_g \mid x)`.

    Args:
        loglikelihoods: of the grades' words, from grade 0 on, in nats, ``[grades]``.

    Returns:
        A number between 0 and the highest grade.

    Raises:
        PromptError: one is NaN, or all are minus infinity.
    """
    values = _checked(loglikelihoods)
    if not np.isfinite(values.max()):
        raise PromptError("the language model gives every grade the probability 0: no grade can be expected")
    weights = np.exp(values - values.max())
    return float(weights @ np.arange(len(values)) / weights.sum())


def _checked(loglikelihoods: Sequence[float]) -> np.ndarray[tuple[int, ...], np.dtype[np.float64]]:
    values = np.asarray(loglikelihoods, dtype=np.float64)
    if np.isnan(values).any():
        raise PromptError("a log-likelihood of the language model is NaN: try another dtype (bfloat16 or float32)")
    return values
