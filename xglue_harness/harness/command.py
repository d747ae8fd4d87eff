"""lm_eval's command line, run after run in one process: what takes seconds each time is done once.

A run is what ``lm_eval`` does with the same arguments: its own parser reads them, `simple_evaluate` runs, and
`EvaluationTracker` writes. Left out is what no run of ours needs: the scan of lm_eval's thousands of tasks, and all
but the first question to pip for the list of packages.
"""

from __future__ import annotations

import functools
import gc
import json
import logging
import os
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from xglue_harness.errors import DataError
from xglue_harness.resources import tasks_folder

logger = logging.getLogger(__name__)


class LmEval:
    """lm_eval, loaded once."""

    def __init__(self) -> None:
        """Load it, and register the plug-in; takes seconds."""
        os.environ["TOKENIZERS_PARALLELISM"] = "false"  # as lm_eval's command line does
        from lm_eval.utils import setup_logging
        from torch.utils import collect_env

        from xglue_harness.harness.plugin import register
        from xglue_harness.harness.warm import keep_models

        setup_logging()
        register()
        keep_models()
        collect_env.get_pretty_env_info = functools.cache(collect_env.get_pretty_env_info)

    def run(self, arguments: Sequence[str]) -> Path:
        """What ``lm_eval ARGUMENTS`` does.

        Args:
            arguments: as `xglue_harness.sweeps.jobs.arguments` gives them, an ``--output_path`` among them.

        Returns:
            The results file; the predictions lie beside it.

        Raises:
            SystemExit: where lm_eval's parser refuses the arguments.
            DataError: where the results were not written.
            OSError: where there was no room for them.
            XGlueError: as the run raises it.
        """
        from lm_eval import simple_evaluate
        from lm_eval.loggers import EvaluationTracker
        from lm_eval.tasks import TaskManager
        from lm_eval.utils import make_table

        config = parsed(arguments)
        tracker = EvaluationTracker(output_path=config.output_path)
        manager = TaskManager(include_path=str(tasks_folder()), include_defaults=False, metadata=config.metadata)
        results = simple_evaluate(
            model=config.model,
            model_args=config.model_args,
            tasks=config.tasks,
            batch_size=config.batch_size,
            max_batch_size=config.max_batch_size,
            device=config.device,
            log_samples=False,
            evaluation_tracker=tracker,
            fewshot_as_multiturn=config.fewshot_as_multiturn,
            gen_kwargs=config.gen_kwargs,
            task_manager=manager,
            random_seed=config.seed[0],
            numpy_random_seed=config.seed[1],
            torch_random_seed=config.seed[2],
            fewshot_random_seed=config.seed[3],
            metadata=config.metadata,
        )
        tracker.save_results_aggregated(results)
        print(make_table(results))  # noqa: T201
        if "groups" in results:
            print(make_table(results, "groups"))  # noqa: T201
        written = _written(tracker, results)
        del results
        _free_memory()
        return written


def parsed(arguments: Sequence[str]) -> Any:
    """lm_eval's own reading of its arguments, an ``EvaluatorConfig``.

    Raises:
        SystemExit: where its parser refuses them.
    """
    from lm_eval._cli import HarnessCLI
    from lm_eval.config.evaluate_config import EvaluatorConfig

    sys.argv = ["lm_eval", "run", *arguments]
    return EvaluatorConfig.from_cli(HarnessCLI().parse_args())


def _written(tracker: Any, results: Any) -> Path:
    """The results file, once it and the predictions of all leaves are there whole; lm_eval only logs what went wrong.

    Raises:
        OSError: where the disk has no room.
        DataError: where they are not, for another reason.
    """
    folder = Path(tracker.output_path, tracker.general_config_tracker.model_name_sanitized)
    path = folder / f"results_{getattr(tracker, 'date_id', None)}.json"
    leaves = [leaf for leaf, config in results["configs"].items() if (config.get("metadata") or {}).get("xglue")]
    expected = [path, *(folder / f"predictions_{leaf}_{tracker.date_id}.parquet" for leaf in leaves)]
    missing = [file for file in expected if not file.is_file()]
    if not missing:
        try:
            json.loads(path.read_bytes())
        except ValueError:
            missing = [path]
    if missing:
        folder.mkdir(parents=True, exist_ok=True)
        probe = folder / ".probe"
        try:
            probe.write_bytes(bytes(1 << 20))  # says why, where there is no room
        finally:
            probe.unlink(missing_ok=True)
        raise DataError(f"{missing[0]}: was not written; the log says why")
    return path


def _free_memory() -> None:
    """Leave no memory of a run to the next."""
    import torch

    gc.collect()
    torch.cuda.empty_cache()  # does nothing where no GPU was begun with
