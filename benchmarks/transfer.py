"""Fine-tuning and evaluation: ours against a plain transformers `Trainer` script, in turn, each in its own process.

python -m benchmarks.transfer --encoder FacebookAI/xlm-roberta-base --data xglue_full_dataset.tar.gz
python -m benchmarks.transfer --encoder DIR --data DIR --task nc --steps 20 --eval-rows 100 --json nc.json
python -m benchmarks.transfer --encoder DIR --data sample --shapes xlm-r-base --steps 4

Both sides read the same rows and use the same batch size, length, steps, learning rate (with linear warm-up and decay),
seed and precision; all else of the Trainer's side is its default: random batches, padded to their longest row. Timed
are the steps of a training, after one of 2 steps from the same weights, and the predictions of all languages' test
sets: ours in one pass, the Trainer's language by language in batches of 32. Loading, tokenising and imports are left
out. Peak memory is that of the process up to the end of training (on a GPU: torch's). Printed are medians over the
rounds, and the median of the rounds' ratios with its range.

The share of the peak is real tokens/s x 6 x parameters of the encoder without embeddings (products within attention
are not counted), by the best of 2048 x 2048 torch.mm in the same process, right before and after training. Of long
sentences of words the Trainer's side loses what is beyond the length; we cut windows, so real tokens may differ a
little. A loss is the mean over a batch's labels, and over the last steps the mean of those.

With --shapes the encoder has random weights, the shapes named and --encoder's tokenizer; nothing is evaluated.
"""

from __future__ import annotations

import argparse
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

from tqdm import tqdm

from benchmarks.rounds import in_turn, print_difference, print_ratios
from benchmarks.workload import Setting, ask, command_line, default_device, last_steps, load, write_figures

SIDES = {"ours": "benchmarks.engine", "Trainer": "benchmarks.trainer_baseline"}
SHAPES = {
    "xlm-r-base": {
        "vocab_size": 250002,
        "hidden_size": 768,
        "num_hidden_layers": 12,
        "num_attention_heads": 12,
        "intermediate_size": 3072,
        "max_position_embeddings": 514,
        "type_vocab_size": 1,
        "layer_norm_eps": 1e-5,
    }
}


def build(sizes: Mapping[str, Any], tokenizer: str, folder: Path) -> None:
    """Write a random XLM-R of some sizes with another checkpoint's tokenizer."""
    from transformers import AutoTokenizer, XLMRobertaConfig, XLMRobertaModel, set_seed

    words = AutoTokenizer.from_pretrained(tokenizer)
    if len(words) > sizes["vocab_size"]:
        rows = sizes["vocab_size"]
        raise SystemExit(f"the tokenizer of {tokenizer} knows {len(words)} subwords, the table has {rows} rows")
    ids = {name: getattr(words, name) for name in ("pad_token_id", "bos_token_id", "eos_token_id")}
    set_seed(1)
    XLMRobertaModel(XLMRobertaConfig(**sizes, **ids), add_pooling_layer=False).save_pretrained(folder)
    words.model_input_names = ["input_ids", "attention_mask"]  # XLM-R knows no segments
    words.save_pretrained(folder)


def compare(setting: Setting, rounds: int) -> dict[str, list[dict[str, Any]]]:
    """Answers of both sides, round by round; each goes first in every other round."""
    answers: dict[str, list[dict[str, Any]]] = {side: [] for side in SIDES}
    with tqdm(total=2 * rounds, unit="run") as bar:
        for number in range(rounds):
            for side in in_turn(SIDES, number):
                bar.set_description(f"round {number + 1} of {rounds}, {side}")
                answers[side].append(ask(SIDES[side], setting))
                bar.update()
    return answers


def parse(arguments: Sequence[str] | None) -> argparse.Namespace:
    """The command line."""
    parser = command_line(__doc__)
    parser.add_argument("--rows", type=int, default=640, help="training rows, the first ones (default: 640)")
    length = parser.add_mutually_exclusive_group()
    length.add_argument("--epochs", type=float, default=1, help="passes over them (default: 1)")
    length.add_argument("--steps", type=int, help="steps of the training, instead of passes")
    parser.add_argument("--eval-rows", type=int, help="rows of each language's test set; 0: none (default: all)")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--shapes", choices=list(SHAPES), help="train a random encoder of these shapes")
    return parser.parse_args(arguments)


def main(arguments: Sequence[str] | None = None) -> None:
    """Run both sides in turn and print a table."""
    given = parse(arguments)
    setting = Setting.of(given, eval_rows=0 if given.shapes else given.eval_rows)
    train, tests = load(setting)  # which parses the files once, for all processes
    if given.steps:
        setting = replace(setting, epochs=given.steps / setting.steps(len(train), 1))
    with tempfile.TemporaryDirectory(prefix="xglue-benchmark-") as folder:
        if given.shapes:
            build(SHAPES[given.shapes], setting.encoder, Path(folder))
            setting = replace(setting, encoder=folder)
        compared = compare(setting, given.rounds)
    figures = {side: [answer["figures"] for answer in answers] for side, answers in compared.items()}
    steps = setting.steps(len(train), setting.epochs)
    print(
        f"{setting.spec.title}, {setting.precision}, {given.rounds} rounds: {steps} steps of {setting.batch_size} on "
        f"{len(train)} rows; {sum(map(len, tests.values()))} test rows in {len(tests)} languages"
    )
    print_ratios(figures, 33)
    print_difference(figures, "loss, mean of last steps")
    print(f"(the last steps are {last_steps(steps)} of {steps})")
    if given.json:
        facts = {
            "setting": {**asdict(setting), "encoder": given.encoder, "shapes": given.shapes},
            "test_rows": {language: len(rows) for language, rows in tests.items()},
            "rounds": figures,
        }
        write_figures(given.json, "transfer", facts, default_device())


if __name__ == "__main__":
    main()
