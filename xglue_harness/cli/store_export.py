"""``xglue-harness store export``: a fine-tuned encoder as a checkpoint that others load."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from xglue_harness.cli.options import Key


def export(
    key: Key,
    folder: Annotated[Path, typer.Argument(metavar="DIR", help="Where the checkpoint goes: a new or an empty folder.")],
    epoch: Annotated[
        str | None,
        typer.Option(
            metavar="N", help="Epoch of the weights, or average, or average_last_3; by default the last epoch."
        ),
    ] = None,
    results: Annotated[
        list[Path] | None,
        typer.Option(metavar="RESULTS", help="Results whose scores the model card shows; once for each."),
    ] = None,
    model_args: Annotated[
        str | None,
        typer.Option(
            "--model-args",
            "--model_args",
            metavar="ARGS",
            help="The backbone as the run had it, as for lm_eval; by default pretrained=NAME.",
        ),
    ] = None,
    push: Annotated[
        str | None,
        typer.Option(metavar="NAME", help="Also bring it to the Hub, as ORG/NAME; a new repository is private."),
    ] = None,
) -> None:
    """Write a fine-tuned encoder as a checkpoint, with tokenizer and model card.

    It is one of transformers (AutoModelForTokenClassification, AutoModelForSequenceClassification) where the family's
    own class computes what was trained; else xglue_harness.export.load reads it. The backbone is loaded again, and has
    to be the one that was trained.

    \b
    Examples:
      xglue-harness store export 3fa9c1 checkpoint --results results
      xglue-harness store export 3fa9c1 checkpoint --epoch 2 --push me/my-tagger
    """
    from xglue_harness.data.prepare import check_new
    from xglue_harness.export.checkpoint import write
    from xglue_harness.export.hub import check_name
    from xglue_harness.export.hub import push as push_folder
    from xglue_harness.export.scores import scores_of
    from xglue_harness.export.trained import chosen_weights, entry_of, rebuilt
    from xglue_harness.harness.backbones import load_as_lm_eval
    from xglue_harness.store.trainings import Store

    if push is not None:
        check_name(push)
    check_new(folder)
    entry = entry_of(Store(), key)
    chosen = chosen_weights(entry, epoch)
    runs = scores_of(entry, chosen, results) if results else []
    backbone = load_as_lm_eval("hf-encoder", {"pretrained": entry.name} if model_args is None else model_args)
    written = write(rebuilt(entry, chosen, backbone), folder, runs)
    loads = written.family_class or "xglue_harness.export.load"
    typer.echo(f"{folder}: {entry.key[:12]} after {chosen}, to be loaded by {loads}")
    typer.echo(f"read back, its scores differ from those of the trained model by {written.difference:.1e} at most")
    shown = ", ".join(written.languages) or "none: give --results for them"
    typer.echo(f"test scores in the model card: {shown}")
    if push is not None:
        typer.echo(push_folder(folder, push, f"{backbone.name} fine-tuned by xglue-harness ({entry.key})"))
