"""Part-of-speech tagging as XGLUE scores it."""

from __future__ import annotations

from typing import Any

import datasets
import evaluate

from xglue_harness.evaluate_modules import sentence_counts
from xglue_harness.metrics import accuracy_counts, ratio, ratio_stderr
from xglue_harness.official_metrics import SEQEVAL_1, tag_precision

_DESCRIPTION = """\
Accuracy over the words (XGLUE's POS; Universal Dependencies). The standard error is in closed form, with sentences as
the independent units. "official" is what XGLUE's own evaluator gave when the benchmark was published: the precision of
seqeval 0.0.12 over runs of words with one tag, which is another number and mostly a lower one. "official_seqeval1" is
what it gives with seqeval 1.x, which takes CCONJ and SCONJ for one tag.
"""
_CITATION = """\
@article{liang2020xglue,
  title={XGLUE: A New Benchmark Dataset for Cross-lingual Pre-training, Understanding and Generation},
  author={Liang, Yaobo and others}, journal={arXiv preprint arXiv:2004.01401}, year={2020}}
@misc{nakayama2018seqeval,
  title={seqeval: A Python framework for sequence labeling evaluation},
  author={Nakayama, Hiroki}, year={2018}, url={https://github.com/chakki-works/seqeval}}
"""
_INPUTS = """\
Args:
    predictions: tags of the words, a list for each sentence.
    references: gold tags of the words, a list for each sentence.

Returns:
    "accuracy", from 0 to 1; "accuracy_stderr", its standard error (NaN for one sentence); "official";
    "official_seqeval1".

Raises:
    ValueError: there are no sentences, or a sentence has no words, an empty tag, or fewer tags on one side.

Examples:
    >>> import evaluate
    >>> from xglue_harness.evaluate_modules import path
    >>> pos = evaluate.load(path("pos"))
    >>> pos.compute(predictions=[["DET", "NOUN"], ["NOUN", "VERB"]], references=[["DET", "NOUN"], ["NOUN", "NOUN"]])
    {'accuracy': 0.75, 'accuracy_stderr': 0.25, 'official': 0.5, 'official_seqeval1': 0.5}
"""


class XgluePos(evaluate.Metric):  # type: ignore[misc]
    """See ``_DESCRIPTION`` and ``_INPUTS``."""

    def _info(self) -> Any:
        tags = datasets.Sequence(datasets.Value("string"))
        return evaluate.MetricInfo(
            description=_DESCRIPTION,
            citation=_CITATION,
            inputs_description=_INPUTS,
            features=datasets.Features({"predictions": tags, "references": tags}),
        )

    def _compute(self, predictions: list[list[str]], references: list[list[str]]) -> dict[str, float]:
        counts = sentence_counts(accuracy_counts, references, predictions)
        return {
            "accuracy": ratio(counts),
            "accuracy_stderr": ratio_stderr(counts),
            "official": tag_precision(references, predictions),
            "official_seqeval1": tag_precision(references, predictions, SEQEVAL_1),
        }
