"""Find the diagnostics that a run asks for, check before its training that they can be had, and call them.

A diagnostic is a function that takes a `DiagnosticContext` and returns a `DiagnosticResult`::

    def ruggedness(context):
        states = context.states("finetuned", "de")  # [layers + 1, documents, width]
        return DiagnosticResult(languages={"de": {"ruggedness_de": Metric(value, stderr)}})

With several processes each of them calls it, and all must get the same numbers.
"""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Sequence
from importlib.metadata import EntryPoint, entry_points
from typing import TYPE_CHECKING, Any

from xglue_analysis.result import DiagnosticResult
from xglue_harness import benchmark
from xglue_harness.encoders.backbone import weights_sha256
from xglue_harness.encoders.loading import Checkpoint, load_config, load_tokenizer
from xglue_harness.errors import RecipeError, XGlueError
from xglue_harness.records.cost_meter import CostMeter
from xglue_harness.records.schema import DiagnosticMetric, Diagnostics

if TYPE_CHECKING:
    from xglue_harness.diagnostics.context import DiagnosticContext
    from xglue_harness.recipe import Options

GROUP = "xglue_harness.diagnostics"

Diagnostic = Callable[["DiagnosticContext"], Any]
"""Returns what `DiagnosticResult.of` reads."""


def available() -> dict[str, EntryPoint]:
    """The diagnostics that are installed, by name; none is imported yet."""
    return {point.name: point for point in entry_points(group=GROUP)}


def find(names: Sequence[str]) -> dict[str, Diagnostic]:
    """Import diagnostics.

    Raises:
        RecipeError: for a name that none is installed under, or one that can't be imported.
    """
    points = available()
    if unknown := [name for name in names if name not in points]:
        raise RecipeError(
            f"no diagnostic {', '.join(map(repr, unknown))} is installed; there are: {', '.join(sorted(points))}"
        )
    diagnostics = {}
    for name in names:
        try:
            diagnostics[name] = points[name].load()
        except Exception as error:
            raise RecipeError(f"the diagnostic {name!r} ({points[name].value}) can't be imported: {error!r}") from error
    return diagnostics


def check(options: Options) -> None:
    """Find out before a training whether the diagnostics can be had.

    Raises:
        RecipeError: as `find`; for a ``reference`` that nothing is compared with.
        EncoderError: for a reference without configuration or tokenizer.
    """
    if options.diagnostics:
        find(options.diagnostics)
    if options.reference is None:
        return
    if not options.diagnostics:
        raise RecipeError('reference is what diagnostics compare with: add "diagnostics": ["cka"], or leave it out')
    checkpoint = Checkpoint.of(options.reference)
    load_config(checkpoint)
    load_tokenizer(checkpoint)


def diagnose(names: Sequence[str], context: DiagnosticContext) -> dict[str, Diagnostics]:
    """Run diagnostics.

    Args:
        names: of the diagnostics.
        context: what they look at.

    Returns:
        The record of each language.

    Raises:
        RecipeError: for a diagnostic that fails; its error is named. The training is kept in the store.
    """
    metrics: dict[str, dict[str, DiagnosticMetric]] = {language: {} for language in context.languages}
    details: dict[str, dict[str, Any]] = {language: {} for language in context.languages}
    reserved = {"score", benchmark.task(context.task).metric, "alias", "name", "sample_len", "bypass"}
    with CostMeter(context.backbones["pretrained"].device) as meter:
        for name, diagnostic in find(names).items():
            try:
                result = DiagnosticResult.of(diagnostic(context))
                json.dumps(result.details, allow_nan=False)
            except XGlueError:
                raise
            except Exception as error:
                raise RecipeError(f"the diagnostic {name!r} failed: {error!r}") from error
            for language in context.languages:
                kept = result.details
                details[language][name] = {key: kept[key] for key in (language, "task") if key in kept}
                named = {**result.languages.get(language, {}), **result.task}
                if taken := sorted(named.keys() & {*metrics[language], *reserved}):
                    raise RecipeError(f"the diagnostic {name!r} calls a metric {taken[0]!r}, which is another's name")
                metrics[language].update({key: _metric(*pair) for key, pair in named.items() if math.isfinite(pair[0])})
    encoders = {
        name: {"name": backbone.name, "revision": backbone.revision, "encoder_sha256": weights_sha256(backbone.encoder)}
        for name, backbone in context.backbones.items()
    }
    return {
        language: Diagnostics(
            documents=len(context.rows[language]),
            parallel=context.parallel,
            pooling="mean",
            layers="0 is what the embeddings give, the last one what the head reads",
            encoders=encoders,
            metrics=metrics[language],
            details=details[language],
            cost=meter.cost(),
        )
        for language in context.languages
    }


def _metric(value: float, stderr: float | None) -> DiagnosticMetric:
    known = stderr is not None and math.isfinite(stderr)
    return DiagnosticMetric(value=float(value), stderr=float(stderr) if known and stderr is not None else None)
