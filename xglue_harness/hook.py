"""Make plain ``lm_eval`` find the tasks and ``--model hf-encoder``.

lm-eval 0.4.13 discovers only its own folder and ``--include_path``. ``xglue_harness.pth`` imports this module when the
interpreter starts; it puts one finder on ``sys.meta_path`` that waits for those modules of lm_eval that the plug-in
patches (`TARGETS`) and, when lm_eval loads one, calls `xglue_harness.harness.plugin.register`. Nothing else is
imported before, and nothing here raises: a broken plug-in warns and leaves lm_eval as it is.
"""

import sys

TYPE_CHECKING = False  # neither typing nor __future__ is imported: this runs at every start of the interpreter
if TYPE_CHECKING:
    from typing import Any

TARGETS = {
    "lm_eval.tasks.manager",
    "lm_eval.models.huggingface",
    "lm_eval.evaluator",
    "lm_eval.loggers.evaluation_tracker",
}
PARSER = "lm_eval._cli.utils"
"""Reads the options of lm_eval's command line, long before it knows any task."""
MARK = "_xglue_harness"
"""Attribute of a function that stands in the place of one of lm_eval's."""
waiting = {*TARGETS, PARSER}
"""Those of these modules that lm_eval has not loaded yet."""


class _RegisteringLoader:
    """Load the module as its own loader would, then register the plug-in."""

    def __init__(self, loader: "Any") -> None:
        self._loader = loader

    def __getattr__(self, name: str) -> "Any":
        return getattr(self._loader, name)

    def create_module(self, spec: "Any") -> "Any":
        return self._loader.create_module(spec)

    def exec_module(self, module: "Any") -> None:
        self._loader.exec_module(module)
        if module.__name__ == PARSER:
            _refuse_depth(module)
        else:
            register_or_warn()


class _Finder:
    """Steps in once for each target."""

    @staticmethod
    def find_spec(name: str, path: "Any" = None, target: "Any" = None) -> "Any":
        if name not in waiting:
            return None
        waiting.remove(name)
        if not waiting - {PARSER}:
            uninstall()
        from importlib.util import find_spec

        spec: Any = find_spec(name)  # by the other finders, an editable install's own among them
        if spec is not None and spec.loader is not None:
            spec.loader = _RegisteringLoader(spec.loader)
        return spec


def _refuse_depth(module: "Any") -> None:
    """Options (``--metadata``) whose JSON is nested too deeply are refused as other bad options are.

    A row of the table in `xglue_harness.harness.patches`, which may not be imported yet.
    """
    original = getattr(module, "try_parse_json", None)
    if original is None or hasattr(original, MARK):
        return

    def try_parse_json(value: "Any") -> "Any":
        try:
            return original(value)
        except RecursionError:
            from argparse import ArgumentError

            raise ArgumentError(None, "an option's JSON is nested too deeply") from None

    setattr(try_parse_json, MARK, True)
    module.try_parse_json = try_parse_json


def register_or_warn() -> None:
    """Register with lm_eval; a failure is a warning, since lm_eval has other tasks to run."""
    try:
        from xglue_harness.harness.plugin import register

        register()
    except (Exception, SystemExit) as error:
        _warn(error)


def _warn(error: BaseException) -> None:
    """Say what is broken, and never raise: with ``python -W error``, a warning would."""
    try:
        what = f"{type(error).__name__}: {error}"
    except Exception:  # an exception whose text can't be made
        what = type(error).__name__
    message = f"xglue-harness can't be registered, so lm_eval has no xglue_* tasks: {what}"
    try:
        import warnings

        warnings.warn(message, RuntimeWarning, stacklevel=3)
    except Exception:
        try:
            sys.stderr.write(f"{message}\n")
        except Exception:
            return  # without an open stderr there is no one to tell


def install() -> None:
    """Wait for lm_eval; register at once where it is loaded already."""
    loaded = waiting & sys.modules.keys()
    waiting.difference_update(loaded)
    if loaded - {PARSER}:
        register_or_warn()
    if waiting - {PARSER} and _Finder not in sys.meta_path:
        sys.meta_path.insert(0, _Finder)


def uninstall() -> None:
    """Take the finder off ``sys.meta_path``."""
    if _Finder in sys.meta_path:
        sys.meta_path.remove(_Finder)


install()
