"""A stand-in for lm_eval in processes that have this folder on their PYTHONPATH: its runs only take a while.

A run makes ``STUB_STEPS`` steps of ``STUB_STEP`` seconds. How many it has made lies in ``STUB_FOLDER``, as a training's
checkpoint would: written when it is asked to stop, and every tenth step. There, too, is a line for each run that was
made to its end.
"""

from __future__ import annotations

import json
import os
import sys
import time
import types
from collections.abc import Sequence
from pathlib import Path


class LmEval:
    """As `xglue_harness.harness.command.LmEval`."""

    def run(self, arguments: Sequence[str]) -> Path:
        """Sleep from the last checkpoint on, and write what the arguments say."""
        from xglue_harness.interrupt import is_stop_requested, stopping_after_checkpoints

        given = dict(zip(arguments[::2], arguments[1::2], strict=True))
        name = f"{given['--tasks']}-{given['--seed']}"
        folder = Path(os.environ["STUB_FOLDER"])
        checkpoint = folder / name
        first = step = int(checkpoint.read_text()) if checkpoint.exists() else 0
        with stopping_after_checkpoints():
            while step < int(os.environ["STUB_STEPS"]) and not is_stop_requested():
                time.sleep(float(os.environ["STUB_STEP"]))
                step += 1
                if step % 10 == 0 or is_stop_requested():
                    aside = checkpoint.with_name(f"{name}.{os.getpid()}")
                    aside.write_text(str(step))
                    aside.replace(checkpoint)
        output = Path(given["--output_path"])
        output.mkdir(parents=True, exist_ok=True)
        (output / "results.json").write_text(
            json.dumps({"run": name, "steps": step, "gpus": os.environ.get("CUDA_VISIBLE_DEVICES")})
        )
        with (folder / "finished").open("a") as file:
            file.write(f"{name} from {first}\n")
        return output / "results.json"


_module = types.ModuleType("xglue_harness.harness.command")
_module.LmEval = LmEval  # type: ignore[attr-defined]
sys.modules[_module.__name__] = _module
