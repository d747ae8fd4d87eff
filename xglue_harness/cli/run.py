"""``xglue-harness run``, ``demo`` and ``schema``: run the benchmark, or a miniature of it; the form of its records."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated, Literal

import typer

from xglue_harness.cli import options


def run(context: typer.Context) -> None:
    """Run lm_eval's own command line with the plug-in registered.

    For places where Python reads no .pth files (zip applications, some containers).

    \b
    Example:
      xglue-harness run --model hf-encoder --model_args pretrained=DIR \\
          --tasks xglue_pos_zs --metadata '{"data": "sample"}'
    """
    from xglue_harness.harness.plugin import run_lm_eval

    run_lm_eval(context.args)


def demo(
    keep: Annotated[
        Path | None, typer.Option("--keep", metavar="DIR", help="Keep the tiny encoder in this folder.")
    ] = None,
    output: Annotated[Path | None, options.output("Folder for what lm_eval writes: results JSON, predictions.")] = None,
    json: options.Json = False,
) -> None:
    """Score all eight tasks on the embedded sample, offline, with a tiny encoder.

    With --json, all but the JSON goes to standard error.

    \b
    Examples:
      xglue-harness demo --output results
      xglue-harness demo --json > scores.json
    """
    from xglue_harness.harness.demo import run_demo, sample_scores

    if not json:
        run_demo(keep=keep, output=output)
        return
    from contextlib import redirect_stdout

    from xglue_harness.cli.console import print_json

    with redirect_stdout(sys.stderr):
        results = run_demo(keep=keep, output=output)
    print_json(sample_scores(results))


def schema(
    protocol: Annotated[
        Literal["finetune", "prompt", "probe"], typer.Option(help="How the model was used.")
    ] = "finetune",
) -> None:
    """Print the JSON Schema of what the results JSON says about a run (configs.<leaf>.metadata.xglue).

    \b
    Examples:
      xglue-harness schema > run.schema.json
      xglue-harness schema --protocol prompt
      xglue-harness schema --protocol probe
    """
    import json

    from xglue_harness.records.json_schema import json_schema

    typer.echo(json.dumps(json_schema(protocol), indent=2))
