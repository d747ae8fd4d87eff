"""What official scores, kept predictions and prompts cost, against the libraries that the official evaluator uses.

python -m benchmarks.scoring
python -m benchmarks.scoring --rounds 1 --sentences 2000

In turn, on the same random predictions of the size of an XGLUE test set: our official scores of NER, POS and WPR
against seqeval's and scikit-learn's (which must agree to 1e-12), and writing and reading the predictions as Parquet
against JSON lines. Then the requests of a prompted task, built by our task against lm-eval's own from the same prompt.
Last what predicting costs beside the encoder: all of `predict` with a model that looks scores up, less its time.
"""

from __future__ import annotations

import json
import random
import time
import warnings
from collections.abc import Callable
from pathlib import Path
from tempfile import TemporaryDirectory
from types import SimpleNamespace
from typing import Any

import torch
from torch import nn

from benchmarks.rounds import clock, parser_of, print_ratios, spread
from xglue_harness.benchmark import TASKS
from xglue_harness.encoders.inputs import Inputs
from xglue_harness.kinds import kind_of
from xglue_harness.prediction.predict import Prepared, predict
from xglue_harness.recipe import Options, resolve
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


class _Lookup(nn.Module):
    """Stands for an encoder with a head, and costs next to nothing."""

    def __init__(self, classes: int, *, tagging: bool) -> None:
        super().__init__()
        self.tagging, self.seconds = tagging, 0.0
        self._scores = torch.randn(1000, classes, generator=torch.Generator().manual_seed(0))

    def forward(self, input_ids: torch.Tensor, **_: Any) -> dict[str, torch.Tensor]:
        began = time.process_time()
        logits = self._scores[input_ids if self.tagging else input_ids[:, 1]]
        self.seconds += time.process_time() - began
        return {"logits": logits}


def random_inputs(task: str, rows: int) -> Inputs:
    """Inputs of 10 to 40 random subwords, each after the first one a word (tagging)."""
    draw = torch.Generator().manual_seed(0)
    lengths = torch.randint(10, 41, (rows,), generator=draw)
    starts = torch.cat([torch.zeros(1, dtype=torch.long), lengths.cumsum(0)])
    ids = torch.randint(1000, (int(starts[-1]),), generator=draw, dtype=torch.int32)
    places, truncated = torch.arange(rows, dtype=torch.int32), torch.zeros(rows, dtype=torch.bool)
    if not kind_of(TASKS[task]).per_word:
        return Inputs(ids, starts, places, truncated, torch.zeros(rows, dtype=torch.int32))
    words = lengths - 1
    word_starts = torch.cat([torch.zeros(1, dtype=torch.long), words.cumsum(0)])
    positions = torch.arange(int(word_starts[-1])) - word_starts[:-1].repeat_interleave(words) + 1
    labels, firsts = torch.zeros(len(positions), dtype=torch.int32), torch.zeros(rows, dtype=torch.int32)
    tagging = {"positions": positions.int(), "word_starts": word_starts, "first_words": firsts}
    return Inputs(ids, starts, places, truncated, labels, **tagging)


def time_predicting(rounds: int, rows: int) -> None:
    """Microseconds of the processor a row that `predict` takes beside the model."""
    for task in ("xnli", "pos"):
        spec, inputs = TASKS[task], random_inputs(task, rows)
        tagging = kind_of(spec).per_word
        words = [1] * rows if inputs.word_starts is None else inputs.word_starts.diff().tolist()
        prepared = Prepared(spec, "en", list(enumerate(words)), rows, inputs)
        backbone: Any = SimpleNamespace(
            tokenizer=SimpleNamespace(pad_token_id=0), device=torch.device("cpu"), batch_rule="any length"
        )
        recipe = resolve(Options(), spec, seed=1, precision="fp32", pooling="first")
        each = []
        for _ in range(rounds):
            model: Any = _Lookup(len(spec.labels), tagging=tagging)
            began = time.process_time()
            predict(model, backbone, recipe, [prepared], progress=False)
            each.append(1e6 * (time.process_time() - began - model.seconds) / rows)
        print(f"predict {task}, us of CPU time a row beside the encoder: {spread(each, '.1f')}")


def main() -> None:
    """Run all."""
    parser = parser_of(__doc__, rounds=5)
    parser.add_argument("--sentences", type=int, default=5000)
    parser.add_argument("--predicted", type=int, default=20_000, help="rows that are predicted (default: 20000)")
    options = parser.parse_args()
    warnings.filterwarnings("ignore")
    compare_scores(options.rounds, options.sentences)
    compare_files(options.rounds, options.sentences)
    compare_prompts(options.rounds)
    time_predicting(options.rounds, options.predicted)


if __name__ == "__main__":
    main()
