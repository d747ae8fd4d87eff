"""``xglue-harness probe``: what a frozen encoder knows before any fine-tuning."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

import typer

from xglue_harness.cli import options
from xglue_harness.cli.options import Device, Json, Languages, MaxDisk


def probe(
    model: Annotated[str, options.model("An encoder: Hub id (@revision) or folder.")],
    tasks: Annotated[str | None, options.tasks("E.g. nc,wpr,pos,bitext; by default all that the data have.")] = None,
    layers: Annotated[
        str, typer.Option("--layers", metavar="N,...", help="last, all, or numbers: 0,6,12 (0: the embeddings).")
    ] = "last",
    data: Annotated[str | None, options.data()] = None,
    languages: Languages = None,
    parallel: Annotated[
        Path | None,
        typer.Option(
            "--parallel", metavar="DIR", help="Bitext mining on a folder of <language>.txt, not on XNLI's premises."
        ),
    ] = None,
    pooling: Annotated[
        Literal["auto", "mean", "first", "max", "eos"],
        typer.Option("--pooling", help="Of a text's subwords; auto: that of sentence-transformers' files, else mean."),
    ] = "auto",
    max_length: Annotated[int, typer.Option("--max-length", metavar="N", min=8, help="Subwords of a text.")] = 256,
    train_rows: Annotated[
        int,
        typer.Option(
            "--train-rows", metavar="N", min=2, help="English rows that a probe is fitted on; the seed draws them."
        ),
    ] = 10_000,
    max_disk: MaxDisk = None,
    seed: Annotated[int, options.seed("Draws the training rows; lm_eval's default.")] = 1234,
    device: Device = None,
    output: Annotated[Path, options.output("Folder for tables, figure, predictions, mteb's files.")] = Path("probes"),
    form: Annotated[Literal["csv", "parquet"], options.form("Of the tables that are written.")] = "csv",
    as_json: Json = False,
) -> None:
    """Score a frozen encoder: a probe fitted on English, in every language and layer.

    States of all layers come from one pass and are kept in the cache. mteb's result files need
    pip install 'xglue-harness[mteb]'.

    \b
    Examples:
      xglue-harness probe --model FacebookAI/xlm-roberta-base --tasks nc,pos
      xglue-harness probe --model DIR --data sample --layers all --output probes
    """
    from xglue_harness.analyze.frozen import Wishes, probe_model
    from xglue_harness.analyze.output import Output
    from xglue_harness.cli.console import print_json, print_summary

    out = Output(output, form)
    wishes = Wishes(
        tasks=options.names(tasks),
        languages=options.names(languages),
        layers=layers,
        pooling=pooling,
        max_length=max_length,
        train_rows=train_rows,
        max_disk=max_disk,
        seed=seed,
        device=device,
    )
    summary = probe_model(model, data, parallel, wishes, out)
    if as_json:
        print_json(out.as_json())
        return
    print_summary(summary, out)
    typer.echo(f"written: {len(out.written)} files in {output}")
