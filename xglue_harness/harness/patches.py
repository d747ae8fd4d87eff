"""What is patched in lm_eval, in one table: why, what upstream says of it, and until when it is needed."""

from __future__ import annotations

import functools
import inspect
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from xglue_harness.harness import evaluation, hf, showing
from xglue_harness.interrupt import told_how_to_go_on
from xglue_harness.resources import tasks_folder

if TYPE_CHECKING:
    from xglue_harness.harness.language_model import Function, LanguageModel
    from xglue_harness.harness.leaf_task import TransferRequest

MARK = "_xglue_harness"
"""Attribute of a function that stands in the place of one of lm_eval's (`xglue_harness.hook` has it, too)."""


@dataclass(frozen=True)
class Patch:
    """A function of lm_eval that another one takes the place of.

    Attributes:
        module: where it is; it is patched once lm_eval has loaded this.
        target: its name in the module, after that of its class.
        wrap: makes the replacement of the original, or of ``None`` where lm_eval has no such method; ``None`` where
            `xglue_harness.hook` does it, which may import nothing of this.
        why: what lm_eval lacks.
        upstream: its issue or pull request.
        until: the version that does without.
        adds: whether lm_eval has no such method.
    """

    module: str
    target: str
    wrap: Callable[[Any], Function] | None
    why: str
    upstream: str = "none filed"
    until: str = "0.5.0.dev1 needs it, too"
    adds: bool = False


# ---------------------------------------------------------------- replacements


def _including_tasks(original: Function) -> Function:
    """Scan our folder after lm_eval's own and before the user's ``--include_path``."""
    ours = tasks_folder()

    def __init__(  # noqa: N807
        self: object,
        verbosity: object = None,
        include_path: Any = None,
        include_defaults: bool = True,
        *args: object,
        **kwargs: object,
    ) -> None:
        if include_defaults and not _are_discovered(ours):
            given = include_path if isinstance(include_path, (list, tuple)) else [include_path] if include_path else []
            if not any(Path(path).resolve() == ours for path in given):
                include_path = [ours, *given]
        original(self, verbosity, include_path, include_defaults, *args, **kwargs)

    return __init__


def _are_discovered(ours: Path) -> bool:
    """Whether lm_eval itself finds our folder, by the entry point ``lm_eval.tasks``."""
    discover = getattr(sys.modules["lm_eval.tasks.manager"], "discover_plugin_task_paths", None)
    return discover is not None and ours in discover()


def _answering(_: None) -> Function:
    """Answer requests of type ``xglue_transfer``: fine-tune once for each recipe, predict every language."""

    def xglue_transfer(lm: LanguageModel, requests: list[TransferRequest], disable_tqdm: bool = False) -> list[Any]:
        from xglue_harness.harness.requests import answer

        with told_how_to_go_on():
            return answer(lm, requests, disable_tqdm=disable_tqdm)

    return xglue_transfer


def _making_from_string(original: Function) -> Function:
    """Note a model's arguments, and patch what was loaded meanwhile."""

    def create_from_arg_string(cls: Any, arg_string: str, additional_config: object = None) -> object:
        from lm_eval.utils import simple_parse_args_string

        arguments = simple_parse_args_string(arg_string)
        if simple_parse_args_string("revision='1'") != {"revision": "1"}:  # 0.5 leaves the quotes
            from xglue_harness.harness.model_arguments import unquoted

            return cls.create_from_arg_obj(unquoted(arguments), additional_config)
        return _noted(arguments, lambda: original(cls, arg_string, additional_config))

    return create_from_arg_string


def _making_from_object(original: Function) -> Function:
    """As `_making_from_string`."""

    def create_from_arg_obj(cls: object, arg_dict: Mapping[str, object], additional_config: object = None) -> object:
        from xglue_harness.harness.warm import kept_or_made

        def make() -> object:
            return original(cls, arg_dict, additional_config)

        return _noted(arg_dict, lambda: kept_or_made(cls, arg_dict, additional_config, make))

    return create_from_arg_obj


def _noted(arguments: Mapping[str, object], make: Callable[[], object]) -> object:
    from xglue_harness.harness import model_arguments

    model_arguments.begin(arguments)
    apply_patches()
    lm = make()
    model_arguments.made_with(lm).arguments = dict(arguments)
    return lm


def _averaging_over_tasks(original: Function) -> Function:
    """Let our groups say SAMPLE, and ``xglue_zs`` average the tasks' numbers instead of all leaves."""

    def aggregate(self: Any, task_metrics: Any) -> Any:
        from xglue_harness.harness.groups import adjust

        return adjust(self, original(self, task_metrics), task_metrics)

    return aggregate


def _handing_options_down(original: Function) -> Function:
    """Let options that a YAML gives to a group reach its leaves in 0.5, too, which has defaults of a group for that."""

    def _build_group(
        self: Any, name: str, config: Mapping[str, Any], overrides: Mapping[str, Any] | None, *args: Any, **kwargs: Any
    ) -> object:
        options = (overrides or {}).get("metadata")
        if options and hasattr(self, "_resolve_include"):
            defaults = self._resolve_include(config.get("include"), kwargs.get("yaml_path", args[-1]))
            config = {**config, "include": {**defaults, "metadata": options}}
        return original(self, name, config, overrides, *args, **kwargs)

    return _build_group


# ---------------------------------------------------------------- table

PATCHES = (
    Patch(
        "lm_eval.tasks.manager",
        "TaskManager.__init__",
        _including_tasks,
        "it finds tasks in lm_eval's own folder and in `--include_path`, not in installed packages",
        "pull request 4015 (open)",
        "a release with 4015, which reads our entry point `lm_eval.tasks`",
    ),
    Patch(
        "lm_eval.tasks._factory",
        "TaskFactory._build_group",
        _handing_options_down,
        "0.5 drops options (`metadata`) that a YAML gives to a group in a group; 0.4 hands them down to the leaves",
        until="0.4 does without; 0.5.0.dev1 needs it",
    ),
    Patch(
        "lm_eval.api.model",
        "LM.xglue_transfer",
        _answering,
        "a request that fine-tunes the model is of a type of its own, and a method of the model answers it",
        adds=True,
    ),
    Patch(
        "lm_eval.api.model",
        "LM.create_from_arg_string",
        _making_from_string,
        "a model's arguments are merged into the metadata of tasks, which can't tell them from misspelt options; and "
        "models don't all keep the name and revision that they were asked for by",
    ),
    Patch("lm_eval.api.model", "LM.create_from_arg_obj", _making_from_object, "as above, with arguments in a dict"),
    Patch(
        "lm_eval.api.group",
        "Group.aggregate",
        _averaging_over_tasks,
        "a group of groups averages all leaves, but XGLUE's number is the mean over tasks of their means",
    ),
    Patch(
        "lm_eval.models.huggingface",
        "HFLM._get_backend",
        hf.loading_encoders,
        "`hf` can't load families without a causal head (ModernBERT, DeBERTa-v2, ...)",
        "issue 1840 (closed): encoder-only models are unlikely to be supported",
    ),
    Patch(
        "lm_eval.models.huggingface",
        "HFLM.__init__",
        hf.making,
        "several processes on CPUs, or with one GPU a machine, don't know their ranks; over several machines, the rank "
        "within the machine is taken for the rank; what can't be loaded ends in a traceback",
        "issue 1081 (open): other numbers on several machines",
    ),
    Patch(
        "lm_eval.evaluator",
        "simple_evaluate",
        evaluation.beginning,
        "two threads of a process that seed its generators would change each other's training; our errors end the "
        "command line with a traceback",
    ),
    Patch(
        "lm_eval.evaluator",
        "evaluate",
        evaluation.binding,
        "tasks don't meet the model before their requests are built, so can't settle how it is used",
    ),
    Patch(
        "lm_eval.loggers.evaluation_tracker",
        "EvaluationTracker.__init__",
        evaluation.noting_output,
        "an `--output_path` that can't be written is noticed after the run",
    ),
    Patch(
        "lm_eval.loggers.evaluation_tracker",
        "EvaluationTracker.save_results_aggregated",
        evaluation.saving_predictions,
        "a task can't put files of its own beside the results",
    ),
    Patch(
        "lm_eval.api.task",
        "tqdm",
        showing.showing_long_bars,
        "a bar for each language while requests are built, which takes milliseconds",
    ),
    Patch(
        "lm_eval.utils",
        "make_table",
        showing.printing_tables,
        "a table of ours has each number three times, and each language a line of its own (`XGLUE_TABLE=off`: stays)",
    ),
    Patch(
        "lm_eval.evaluator",
        "get_git_commit_hash",
        showing.asking_git_quietly,
        "outside a repository git prints `fatal: not a git repository`",
    ),
    Patch(
        "lm_eval.config.evaluate_config",
        "EvaluatorConfig.process_tasks",
        evaluation.settling_threads,
        "how torch's threads wait must be chosen before torch is loaded, and only where a task is ours",
    ),
    Patch(
        "lm_eval._cli.utils",
        "try_parse_json",
        None,
        "an option whose JSON is nested too deeply ends in a traceback (done by `xglue_harness.hook`)",
    ),
)


def as_markdown() -> str:
    """The table for docs/architecture.md, ending in a line break."""
    rows = [("patched", "why", "upstream", "needed until"), ("---",) * 4]
    rows += [(f"`{patch.module}.{patch.target}`", patch.why, patch.upstream, patch.until) for patch in PATCHES]
    return "".join(f"| {' | '.join(row)} |\n" for row in rows)


def apply_patches() -> None:
    """Patch what lm_eval has loaded by now, each function once."""
    for patch in PATCHES:
        module = sys.modules.get(patch.module)
        *classes, name = patch.target.split(".")
        owner = getattr(module, classes[0], None) if classes else module  # None while the module is being loaded
        if patch.wrap is not None and owner is not None:
            wrap_once(owner, name, patch.wrap, adds=patch.adds)


def wrap_once(owner: Any, name: str, wrap: Callable[[Any], Function], *, adds: bool = False) -> None:
    """Put a replacement in the place of a function, a method or a class method, unless one stands there already.

    The mark is on the function, so it holds when this module, or lm_eval's, is loaded again.

    Args:
        owner: module or class.
        name: of the function.
        wrap: makes the replacement of the original.
        adds: whether there is no original.
    """
    attribute = inspect.getattr_static(owner, name, None)
    original = attribute.__func__ if isinstance(attribute, classmethod) else attribute
    if hasattr(original, MARK) or (original is None and not adds):
        return
    replacement = wrap(original)
    if original is not None:
        functools.update_wrapper(replacement, original)
    setattr(replacement, MARK, True)
    setattr(owner, name, classmethod(replacement) if isinstance(attribute, classmethod) else replacement)
