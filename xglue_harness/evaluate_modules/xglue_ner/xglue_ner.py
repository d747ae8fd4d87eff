"""Named entity recognition as XGLUE scores it."""

from __future__ import annotations

from typing import Any

import datasets
import evaluate

from xglue_harness.evaluate_modules import sentence_counts
from xglue_harness.metrics import entity_counts, ratio, ratio_stderr
from xglue_harness.official_metrics import SEQEVAL_1, entity_f1

_DESCRIPTION = """\
Micro F1 over named entities (XGLUE's NER; CoNLL-2002 and CoNLL-2003). IOB1, IOB2 and IOBES labels are read without
repair, as conlleval reads them. The standard error is in closed form, with sentences as the independent units.
"official" is what XGLUE's own evaluator gives with seqeval 0.0.12, "official_seqeval1" with seqeval 1.x: the same for
labels of these schemes.
"""
_CITATION = """\
@article{liang2020xglue,
  title={XGLUE: A New Benchmark Dataset for Cross-lingual Pre-training, Understanding and Generation},
  author={Liang, Yaobo and others}, journal={arXiv preprint arXiv:2004.01401}, year={2020}}
@inproceedings{tjongkimsang2003conll,
  title={Introduction to the CoNLL-2003 Shared Task: Language-Independent Named Entity Recognition},
  author={Tjong Kim Sang, Erik F. and De Meulder, Fien}, booktitle={Proceedings of CoNLL-2003}, year={2003}}
"""
_INPUTS = """\
Args:
    predictions: labels of the words, a list for each sentence.
    references: gold labels of the words, a list for each sentence.

Returns:
    "f1", from 0 to 1; "f1_stderr", its standard error (NaN for one sentence); "official"; "official_seqeval1".

Raises:
    ValueError: there are no sentences, or a sentence has no words, an empty label, or fewer labels on one side.

Examples:
    >>> import evaluate
    >>> from xglue_harness.evaluate_modules import path
    >>> ner = evaluate.load(path("ner"))
    >>> ner.compute(predictions=[["B-PER", "O"], ["I-LOC", "O"]], references=[["B-PER", "O"], ["I-LOC", "I-LOC"]])
    {'f1': 0.5, 'f1_stderr': 0.5, 'official': 0.5, 'official_seqeval1': 0.5}
"""


class XglueNer(evaluate.Metric):  # type: ignore[misc]
    """See ``_DESCRIPTION`` and ``_INPUTS``."""

    def _info(self) -> Any:
        labels = datasets.Sequence(datasets.Value("string"))
        return evaluate.MetricInfo(
            description=_DESCRIPTION,
            citation=_CITATION,
            inputs_description=_INPUTS,
            features=datasets.Features({"predictions": labels, "references": labels}),
        )

    def _compute(self, predictions: list[list[str]], references: list[list[str]]) -> dict[str, float]:
        counts = sentence_counts(entity_counts, references, predictions)
        return {
            "f1": ratio(counts),
            "f1_stderr": ratio_stderr(counts),
            "official": entity_f1(references, predictions),
            "official_seqeval1": entity_f1(references, predictions, SEQEVAL_1),
        }
