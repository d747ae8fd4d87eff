"""What official scores, kept predictions and prompts cost, against the libraries that the official evaluator uses.

python -m benchmarks.scoring
python -m benchmarks.scoring --rounds 1 --sentences 2000

In turn, on the same random predictions of the size of an XGLUE test set: our official scores of NER, POS and WPR
against seqeval's and scikit-learn's (which must agree to 1e-12), and writing and reading the predictions as Parquet
against JSON lines. Then the requests of a prompted task, built by our task against lm-eval's own from the same prompt.
"""

from __future__ import annotations

import json
import random
import warnings
from collections.abc import Callable
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from benchmarks.rounds import clock, parser_of, print_ratios
from xglue_harness.benchmark import TASKS
from xglue_harness.kinds import kind_of
from xglue_harness.records.predictions import Header, RowPredictions, encoded, read


def tagged(name: str, sentences: int) -> tuple[list[list[int]], list[list[int]]]:
    """Gold and predicted classes of sentences of 20 words, one in five wrong."""
    draw = random.Random(0)
    count = len(TASKS[name].labels)
    gold = [[draw.randrange(count) for _ in range(20)] for _ in range(sentences)]
    return gold, [[tag if draw.random() < 0.8 else draw.randrange(count) for tag in tags] for tags in gold]


def ranked(queries: int) -> tuple[list[list[int]], list[list[int]]]:
    """Gold and predicted grades of queries of five rows."""
    draw = random.Random(0)
    return tuple([[draw.randrange(5) for _ in range(5)] for _ in range(queries)] for _ in range(2))  # type: ignore[return-value]


def references() -> dict[str, Callable[[Any, Any], float]]:
    """The same scores by the libraries that XGLUE's evaluator calls, as they are today."""
    import numpy as np
    import seqeval.metrics
    from sklearn.metrics import ndcg_score

    def names(name: str, rows: Any) -> list[list[str]]:
        return [[TASKS[name].labels[tag] for tag in tags] for tags in rows]

    return {
        "ner": lambda g, p: float(seqeval.metrics.f1_score(names("ner", g), names("ner", p))),
        "pos": lambda g, p: float(seqeval.metrics.precision_score(names("pos", g), names("pos", p))),
        "wpr": lambda g, p: float(np.mean([ndcg_score([a], [b]) for a, b in zip(g, p, strict=True)])),
    }


def compare_scores(rounds: int, sentences: int) -> None:
    """Official scores, ours and theirs in turn."""
    data = {"ner": tagged("ner", sentences), "pos": tagged("pos", sentences), "wpr": ranked(sentences // 2)}
    theirs = references()
    sides: dict[str, list[dict[str, float]]] = {"ours": [], "libraries": []}
    for _ in range(rounds):
        figures: tuple[dict[str, float], dict[str, float]] = ({}, {})
        for name, (gold, predicted) in data.items():
            spec, reference = TASKS[name], theirs[name]
            seconds, both = clock(lambda s=spec, g=gold, p=predicted: kind_of(s).official(g, p))
            one = both.official if both.official_seqeval1 is None else both.official_seqeval1
            others, other = clock(lambda r=reference, g=gold, p=predicted: r(g, p))
            assert abs(one - other) < 1e-12, (name, one, other)
            figures[0][f"official {name}, s"], figures[1][f"official {name}, s"] = seconds, others
        sides["ours"].append(figures[0])
        sides["libraries"].append(figures[1])
    print_ratios(sides, 18)


def compare_files(rounds: int, sentences: int) -> None:
    """Predictions as Parquet and as JSON lines: seconds to write and read, and size."""
    gold, predicted = tagged("pos", sentences)
    scores = [[-0.01 * (place + 1) for place in range(20)] for _ in gold]
    header = Header(task="pos", language="en", protocol="finetune", scores="log_probability", rows=len(gold))
    places = list(range(len(gold)))
    rows = RowPredictions(header, places, places, gold, predicted, scores)
    sides: dict[str, list[dict[str, float]]] = {"Parquet": [], "JSON": []}
    with TemporaryDirectory() as folder:
        parquet, lines = Path(folder) / "x.parquet", Path(folder) / "x.jsonl"

        def write_lines() -> None:
            columns = zip(places, gold, predicted, scores, strict=True)
            lines.write_text("".join(json.dumps(row) + "\n" for row in columns))

        for _ in range(rounds):
            for side, path, write, load in (
                ("Parquet", parquet, lambda: parquet.write_bytes(encoded(rows)), lambda: read(parquet)),
                ("JSON", lines, write_lines, lambda: [json.loads(line) for line in lines.read_text().splitlines()]),
            ):
                written, _ = clock(write)
                loaded, _ = clock(load)
                size = path.stat().st_size / 1e6
                sides[side].append({"written, s": written, "read, s": loaded, "size, MB": size})
    print_ratios(sides, 18)


def compare_prompts(rounds: int) -> None:
    """Requests of XNLI in German, zero-shot: built by our task, and by lm-eval's own from the same prompt."""
    from lm_eval.api.task import ConfigurableTask
    from lm_eval.models.dummy import DummyLM
    from lm_eval.tasks import TaskManager

    from xglue_harness.harness.plugin import register
    from xglue_harness.resources import tasks_folder

    register()
    manager = TaskManager(include_path=str(tasks_folder()), include_defaults=False, metadata={"data": "sample"})
    [ours] = manager.load(["xglue_xnli_zs_de"])["tasks"].values()
    ours.bind_model(DummyLM())
    ours.set_config("num_fewshot", 0)
    prompt = ours.protocol.prompt
    config = {
        "task": "plain",
        "test_split": "test",
        "output_type": "multiple_choice",
        "description": f"{prompt.description}\n\n",
        "doc_to_text": prompt.question,
        "doc_to_target": "label",
        "doc_to_choice": list(prompt.choices.values()),
        "num_fewshot": 0,
        "metric_list": [{"metric": "acc", "aggregation": "mean", "higher_is_better": True}],
    }

    class Plain(ConfigurableTask):
        def download(self, *_: Any, **__: Any) -> None:
            self.dataset = ours.dataset

    plain = Plain(config=config)
    sides: dict[str, list[dict[str, float]]] = {"ours": [], "lm-eval": []}
    for _ in range(rounds):
        for side, task in (("ours", ours), ("lm-eval", plain)):
            seconds, _ = clock(task.build_all_requests)
            sides[side].append({"60 prompts, s": seconds})
    ours_texts = {request.args for request in ours.instances[:3]}
    assert ours_texts == {request.args for request in plain.instances[:3]}, "the prompts differ"
    print_ratios(sides, 18)


def main() -> None:
    """Run all."""
    parser = parser_of(__doc__, rounds=5)
    parser.add_argument("--sentences", type=int, default=5000)
    options = parser.parse_args()
    warnings.filterwarnings("ignore")
    compare_scores(options.rounds, options.sentences)
    compare_files(options.rounds, options.sentences)
    compare_prompts(options.rounds)


if __name__ == "__main__":
    main()
