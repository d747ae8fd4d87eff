r"""What each diagnostic and each intervention costs, as a share of the run that it stands beside.

    python -m benchmarks.diagnostics --encoder DIR --data DIR --parallel DIR \
        --tasks xglue_pos_zs_en,xglue_pos_zs_de --metadata '{"epochs": 2, "train_limit": 2500}' --limit 400

The first run trains, looks at gradients (`--parallel` has texts for them), and has everything else on. Each of the
others takes the same weights from the store and has one thing on alone, so that its cost is whole: what several share,
such as states of the pretrained encoder, counts for each. All seconds are those of the records; the run, of which they
are shares, is the training and the predictions of that first run, and nothing else.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch

from benchmarks.rounds import parser_of
from benchmarks.workload import write_figures

DIAGNOSTICS = ("cka", "spectra", "alignment")
INTERVENTIONS = ("center", "erase")


def records(command: Sequence[str], options: dict[str, Any], output: Path, cache: Path) -> list[dict[str, Any]]:
    """Run lm_eval, and read the record of each language.

    Args:
        command: its arguments.
        options: for ``--metadata``.
        output: for its results.
        cache: for all that is kept, the training among it.
    """
    line = [sys.executable, "-m", "lm_eval", *command, "--metadata", json.dumps(options), "--output_path", str(output)]
    done = subprocess.run(line, env={**os.environ, "XGLUE_CACHE": str(cache)}, capture_output=True, text=True)
    if done.returncode:
        raise SystemExit(f"{' '.join(line)} failed:\n{done.stderr}")
    (results,) = output.rglob("results_*.json")
    configs = json.loads(results.read_text(encoding="utf-8"))["configs"]
    return [config["metadata"]["xglue"] for config in configs.values()]


def measure(command: Sequence[str], options: dict[str, Any], parallel: Path, folder: Path) -> dict[str, Any]:
    """Seconds of the training, of the predictions, and of each thing that may stand beside them."""
    cache = folder / "cache"
    whole = {"gradients": str(parallel), "diagnostics": [*DIAGNOSTICS], "intervene": [*INTERVENTIONS]}
    first = records(command, {**options, **whole}, folder / "all", cache)
    training = first[0]["training"]
    seconds = {
        "training": training["tokenising_cost"]["seconds"] + training["cost"]["seconds"],
        "predictions": sum(record["evaluation"]["cost"]["seconds"] for record in first),
    }
    costs = {"gradients": training["gradients"]["cost"]["seconds"]}
    for key, name in [
        *(("diagnostics", name) for name in DIAGNOSTICS),
        *(("intervene", name) for name in INTERVENTIONS),
    ]:
        (again, *_) = records(command, {**options, "gradients": str(parallel), key: [name]}, folder / name, cache)
        assert again["session"]["from_store"], "the weights were trained again"
        costs[name] = again["interventions" if key == "intervene" else key]["cost"]["seconds"]
    return {"run": seconds, "costs": costs, "steps": training["steps"], "languages": len(first)}


def main() -> None:
    """Run all and print."""
    parser = parser_of(__doc__)
    parser.add_argument("--encoder", required=True, help="Hub id or folder")
    parser.add_argument("--data", required=True, help="as in --metadata")
    parser.add_argument("--parallel", required=True, type=Path, help="folder of <language>.txt, for gradients")
    parser.add_argument("--tasks", required=True, help="of one task, as for lm_eval")
    parser.add_argument("--metadata", type=json.loads, default={}, help="further options of the run")
    parser.add_argument("--limit", type=int, help="documents of each language")
    parser.add_argument("--json", type=Path, help="write the figures to a file")
    given = parser.parse_args()
    command = ["--model", "hf-encoder", "--model_args", f"pretrained={given.encoder}", "--tasks", given.tasks]
    if given.limit is not None:
        command += ["--limit", str(given.limit)]
    with tempfile.TemporaryDirectory() as folder:
        options = {"dev": "none", **given.metadata, "data": given.data}
        figures = measure(command, options, given.parallel.resolve(), Path(folder))
    run = sum(figures["run"].values())
    print(f"{figures['steps']} steps, {figures['languages']} languages; {figures['run']}")
    for name, seconds in figures["costs"].items():
        print(f"{name:<10}{seconds:>9.1f} s{seconds / run:>8.1%}")
    if given.json:
        write_figures(given.json, "diagnostics", figures, torch.device("cpu"))


if __name__ == "__main__":
    main()
