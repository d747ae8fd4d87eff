"""``xglue-harness plan``: what a run has before it, by the arguments of the run itself."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from xglue_harness.cli.options import Json, Share

if TYPE_CHECKING:
    from xglue_harness.sweeps.run_plan import RunPlan


def plan(
    context: typer.Context,
    rate: Annotated[
        float | None,
        typer.Option("--rate", min=0.001, metavar="N", help="Subwords a second in training, where you know it."),
    ] = None,
    share: Share = None,
    as_json: Json = False,
) -> None:
    """Say what a run will do before anything starts: trainings, steps, time, memory, room on disk.

    It takes the arguments of `run`, which are lm_eval's. --device may also name a card that is not here, such as
    'NVIDIA A100'. Minutes come from trainings in the store, else from arithmetic; the last column says which.

    \b
    Example:
      xglue-harness plan --model hf --tasks xglue_zs --device 'NVIDIA A100' \\
          --model_args pretrained=FacebookAI/xlm-roberta-base
    """
    from xglue_harness.cli.console import print_json
    from xglue_harness.harness.asked import asked_of_lm_eval
    from xglue_harness.store.trainings import Store
    from xglue_harness.sweeps.estimates import SHARE
    from xglue_harness.sweeps.run_plan import device_here, plan_run

    if not context.args:
        raise typer.BadParameter("give the arguments of the run: --model, --model_args, --tasks, --metadata, ...")
    asked = asked_of_lm_eval(context.args)
    made = plan_run(
        asked,
        Store(),
        device=device_here(asked.device),
        rates=None if rate is None else {"": rate},
        share=SHARE if share is None else share,
    )
    if as_json:
        print_json(made.as_json())
    else:
        _print(made)


def _print(made: RunPlan) -> None:
    from xglue_harness.cli.console import PlainConsole, table
    from xglue_harness.sweeps.plan import size, subwords

    shown = table(("task", "languages", "steps", "subwords", "minutes", "memory", "store", "state", "how"), "lrrrrrrll")
    for task in made.tasks:
        group, memory = task.group, task.memory
        minutes = "?" if group.minutes_left is None else f"{group.minutes_left:,.1f}"
        held = "?" if memory is None else f"{size(memory.bytes)}{'' if memory.measured else '+'}"
        store = "?" if group.store_bytes is None else size(group.store_bytes)
        numbers = (f"{task.languages}", f"{task.steps:,}", subwords(group), minutes, held, store)
        shown.add_row(group.task, *numbers, task.state, f"{group.how}: {group.why}")
    console = PlainConsole()
    console.print(shown)
    for line in made.words():
        console.print(line)
