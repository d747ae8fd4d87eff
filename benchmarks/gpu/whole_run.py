"""A whole run of lm_eval on the device, as a user starts it: probes, training, dev set, predictions, diagnostics.

Worker: ``python -m benchmarks.gpu.whole_run '{"setting": {...}, "limit": 64}'``
"""

from __future__ import annotations

import json
import math
import os
import subprocess
import sys
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from benchmarks.gpu.results import arguments, check
from benchmarks.workload import Setting
from xglue_harness.benchmark import SOURCE_LANGUAGE
from xglue_harness.data import open_source

SECONDS = 140
"""That the run may take."""

DIAGNOSTICS = ("alignment", "cka", "spectra", "trajectory")

_COMMAND = "from xglue_harness.cli import main; main()"


def leaves(setting: Setting) -> list[str]:
    """English and one language more, as lm-eval's tasks."""
    others = sorted({*open_source(setting.data).available(setting.spec, "test")} - {SOURCE_LANGUAGE})
    return [setting.spec.leaf(language) for language in (SOURCE_LANGUAGE, *others[:1])]


def records(setting: Setting, limit: int) -> dict[str, Any]:
    """The record of each leaf that a run of its own process leaves.

    Raises:
        RuntimeError: where it fails; with the end of what it said.
    """
    metadata = {"data": setting.data, "epochs": 2, "train_limit": setting.rows, "dev": "en", "keep_epochs": "all",
                "max_length": 64, "diagnostics": "+".join(DIAGNOSTICS)}  # fmt: skip
    with tempfile.TemporaryDirectory(prefix="xglue-gpu-") as temporary:
        folder = Path(temporary)
        words = ["run", "--model", "hf-encoder", "--model_args", f"pretrained={setting.encoder}", "--tasks",
                 ",".join(leaves(setting)), "--limit", str(limit), "--output_path", str(folder / "out"),
                 "--metadata", json.dumps(metadata)]  # fmt: skip
        environment = {**os.environ, "XGLUE_STORE": str(folder / "store"), "XGLUE_CACHE": str(folder / "cache")}
        done = subprocess.run(
            [sys.executable, "-c", _COMMAND, *words], env=environment, capture_output=True, text=True, timeout=SECONDS
        )
        found = sorted((folder / "out").rglob("results_*.json"))
        if done.returncode or not found:
            raise RuntimeError(f"ended with code {done.returncode}: {done.stderr[-800:]}")
        configs = json.loads(found[-1].read_text(encoding="utf-8"))["configs"]
    return {leaf: configs[leaf]["metadata"]["xglue"] for leaf in leaves(setting)}


def verdict(found: Mapping[str, Any], device: str) -> tuple[bool, dict[str, Any], str]:
    """Whether records are of a training on a device that recorded its steps, with diagnostics and peaks of memory."""
    training = next(iter(found.values()))["training"]
    hardware = training["environment"]["hardware"]
    values = [metric["value"] for record in found.values() for metric in record["diagnostics"]["metrics"].values()]
    figures = {
        "mode": training["mode"],
        "hardware": hardware,
        "nondeterministic": training["nondeterministic"],
        "peak MB of steps, dev": [training[phase]["peak_memory_mb"] for phase in ("steps_cost", "dev_cost")],
        "peak MB of predictions": [record["evaluation"]["cost"]["peak_memory_mb"] for record in found.values()],
        "numbers of diagnostics": len(values),
    }
    peaks = [*figures["peak MB of steps, dev"], *figures["peak MB of predictions"]]
    holds = (
        hardware["device"].startswith(device)
        and (training["mode"] == "graphs" or device == "cpu")
        and all(peaks)
        and bool(values)
        and all(map(math.isfinite, values))
    )
    return holds, figures, f"{training['mode']}; nondeterministic: {training['nondeterministic']}"


def main() -> None:
    """Run it."""
    import torch

    given = arguments()
    device = "cuda" if torch.cuda.is_available() else "cpu"
    check("checks/a whole run", lambda: verdict(records(Setting(**given["setting"]), given["limit"]), device))


if __name__ == "__main__":
    main()
