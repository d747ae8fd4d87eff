"""Frozen encoders: seconds of ours against mteb with a plain SentenceTransformer, and of all layers against the last.

python -m benchmarks.probing --model FOLDER
python -m benchmarks.probing --model FOLDER --data FOLDER --languages de,en,fr --rounds 1

Both sides run `mteb.evaluate` on the same rows of NC and QAM (all English training rows, one experiment) in turn:
mteb's own classification and pair classification with ``SentenceTransformer(FOLDER)``, and the tasks of the benchmark
``XGLUE (frozen)`` with our encoder. Nothing is kept from one round to the next. Then a probe of the last layer and one
of all layers, states and classifiers included. Needs ``xglue-harness[mteb]``.
"""

from __future__ import annotations

import os
import tempfile
from collections.abc import Callable, Sequence
from typing import Any

import mteb
import torch
from datasets import DatasetDict
from mteb.abstasks import AbsTaskClassification, AbsTaskPairClassification
from mteb.abstasks.task_metadata import TaskMetadata
from sentence_transformers import SentenceTransformer
from sklearn.linear_model import LogisticRegression

from benchmarks.rounds import clock, in_turn, parser_of, print_ratios
from xglue_harness.benchmark import TASKS
from xglue_harness.data import Source, open_source
from xglue_harness.encoders.backbone import Backbone
from xglue_harness.encoders.loading import load_backbone
from xglue_harness.kinds import kind_of
from xglue_harness.probing.encoder import FrozenModel
from xglue_harness.probing.frozen_encoder import FrozenEncoder
from xglue_harness.probing.run import probe_task
from xglue_harness.probing.tasks import benchmark, script_code

POOLED = ("nc", "qam")


def metadata(name: str, kind: str, languages: Sequence[str], main: str) -> TaskMetadata:
    """Of a task of mteb's own kinds on local rows."""
    return TaskMetadata(
        name=name,
        description="-",
        dataset={"path": "local/rows", "revision": "1"},
        type=kind,
        category="t2t" if kind == "PairClassification" else "t2c",
        eval_langs={language: [script_code(language)] for language in languages},
        main_score=main,
    )


def plain_tasks(source: Source, languages: Sequence[str]) -> list[Any]:
    """NC and QAM as mteb's own tasks, on all English training rows."""

    class NC(AbsTaskClassification):
        metadata_ = metadata("PlainNC", "Classification", languages, "accuracy")
        samples_per_label, n_experiments = 1_000_000, 1
        evaluator_model = LogisticRegression(max_iter=1000)

    class QAM(AbsTaskPairClassification):
        metadata_ = metadata("PlainQAM", "PairClassification", languages, "max_ap")

    def texts(name: str, split: str, language: str) -> Any:
        spec = TASKS[name]
        rows = source.load(spec, split, language).dataset
        if name == "qam":
            return rows.rename_columns({"question": "sentence1", "answer": "sentence2", "label": "labels"})
        kind = kind_of(spec)
        named = rows.rename_column(spec.label_column, "label")
        return named.map(lambda row: {"text": kind.row_text(row)}, keep_in_memory=True, load_from_cache_file=False)

    found = []
    for task in (NC, QAM):
        task.metadata = task.metadata_
        one = task()
        name = task.__name__.lower()
        train = {"train": texts(name, "train", "en")} if name == "nc" else {}
        one.dataset = {language: DatasetDict(test=texts(name, "test", language), **train) for language in languages}
        one.data_loaded = True
        found.append(one)
    return found


def evaluate(model: Any, tasks: Sequence[Any]) -> Any:
    """Run, and keep nothing."""
    return mteb.evaluate(model, list(tasks), cache=None, show_progress_bar=False, co2_tracker=False)


def with_empty_cache(act: Callable[[], Any]) -> float:
    """Seconds of a call that finds nothing in our cache."""
    with tempfile.TemporaryDirectory() as folder:
        before = os.environ.get("XGLUE_CACHE")
        os.environ["XGLUE_CACHE"] = folder
        try:
            return clock(act)[0]
        finally:
            if before is None:
                del os.environ["XGLUE_CACHE"]
            else:
                os.environ["XGLUE_CACHE"] = before


def probe(backbone: Backbone, source: Source, languages: Sequence[str], names: Sequence[str], every: bool) -> None:
    """Probe some tasks in the last layer or in all."""
    last = FrozenEncoder(backbone, pooling="mean", max_length=128).last
    layers = range(last + 1) if every else None
    for name in names:
        spec = TASKS[name]
        there = [language for language in source.available(spec) if language in languages]
        tests = {one: kind_of(spec).documents(source.load(spec, "test", one).dataset) for one in there}
        train = source.load(spec, "train", "en").dataset
        ways = {"pooling": "mean", "max_length": 128, "seed": 0, "progress": False}
        probe_task(backbone, spec, train, tests, layers=layers, **ways)


def main() -> None:
    """Measure and print."""
    parser = parser_of(__doc__, rounds=3)
    parser.add_argument("--model", required=True, help="folder of an encoder")
    parser.add_argument("--data", default="sample")
    parser.add_argument("--languages", default="de,en,fr")
    parser.add_argument("--layers-of", default="nc,qam,pos", help="tasks whose probes of all layers are timed")
    parser.add_argument("--skip-mteb", action="store_true")
    arguments = parser.parse_args()
    source, languages = open_source(arguments.data), arguments.languages.split(",")
    backbone = load_backbone(arguments.model, torch.device("cpu"))
    against: dict[str, list[dict[str, float]]] = {"ours": [], "mteb": []}
    layers: dict[str, list[dict[str, float]]] = {"all": [], "last": []}
    names = arguments.layers_of.split(",")
    for number in range(arguments.rounds):
        for side in [] if arguments.skip_mteb else in_turn(against, number):
            if side == "ours":
                tasks = [task.filter_languages(None, hf_subsets=languages) for task in _ours(arguments.data)]
                encoder = FrozenEncoder(backbone, pooling="mean", max_length=128)
                seconds = with_empty_cache(lambda e=encoder, t=tasks: evaluate(FrozenModel(e, e.last), t))
            else:
                plain = SentenceTransformer(arguments.model, device="cpu")
                plain.max_seq_length = 128
                tasks = plain_tasks(source, languages)
                seconds = clock(lambda p=plain, t=tasks: evaluate(p, t))[0]
            against[side].append({"seconds": seconds})
        for side in in_turn(layers, number):
            every = side == "all"
            seconds = with_empty_cache(lambda e=every: probe(backbone, source, languages, names, e))
            layers[side].append({"seconds": seconds})
    if not arguments.skip_mteb:
        print_ratios(against, 8)
    print_ratios(layers, 8)


def _ours(data: str) -> list[Any]:
    return list(benchmark(data, tasks=POOLED).tasks)


if __name__ == "__main__":
    main()
