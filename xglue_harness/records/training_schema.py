"""What a record says of a training: what was asked for, how it went, and which of its weights count."""

from __future__ import annotations

from itertools import pairwise
from typing import Annotated, Literal

from pydantic import Field, model_validator

from xglue_harness.records.parts import Amount, Cost, Count, Environment, JsonObject, Part, Sha256, Share

NamedRule = Literal["last", "en_dev", "all_dev", "oracle", "average"]
AVERAGE_LAST = "^average_last_([2-9]|[1-9][0-9]+)$"
Rule = NamedRule | Annotated[str, Field(pattern=AVERAGE_LAST)]
"""Which weights count: of one epoch, or the mean of all epochs', or of the last 2 or more (``average_last_3``)."""


class NamedRecipe(Part):
    """The recipe that a run was given by its name, or by the path of its file."""

    name: str = Field(description="of the recipe: one that comes with xglue-harness, or its file's name")
    sha256: Sha256 = Field(description="sha256 of its file")
    options: JsonObject = Field(description="the options that it sets for this task")
    changed: JsonObject = Field(
        description="options that were given beside it and are other than its own, or than the default where it has "
        "none: these count"
    )


class EpochScores(Part):
    """Dev scores after an epoch."""

    epoch: Amount = Field(description="passes over the training set so far")
    dev: dict[str, Share] = Field(description="the task's metric (0..1) on each language's dev set; may be empty")
    constant: bool | None = Field(None, description="whether English dev got one class only; null: not predicted")


class Curve(Part):
    """How a training went: a point every 16 steps, or every multiple of 16 where it is long, and one at its end."""

    step: list[Count] = Field(description="steps taken at each point, rising")
    loss: list[float] = Field(description="mean loss of the steps since the point before")
    learning_rate: list[Amount] = Field(description="that of the point's own step")
    gradient_norm: list[Amount | None] = Field(
        description="mean norm of the gradients, before clipping, of the steps since the point before; null: none was "
        "finite (fp16 skips such steps)"
    )

    @model_validator(mode="after")
    def _of_one_length(self) -> Curve:
        lengths = {len(values) for values in (self.step, self.loss, self.learning_rate, self.gradient_norm)}
        if len(lengths) > 1:
            raise ValueError("step, loss, learning_rate and gradient_norm differ in length")
        if any(later <= earlier for earlier, later in pairwise(self.step)):
            raise ValueError("step does not rise")
        return self


class GradientPoint(Part):
    """Two gradients at one step; lists: a number for each of the layers, and one for all of them together."""

    step: Count = Field(description="updates of the weights so far")
    task_loss: float | None = Field(description="mean cross-entropy (nats) of a training row or word")
    alignment_loss: float | None = Field(description="mean InfoNCE (nats) of a translation")
    cosine: list[float | None] = Field(description="of the two gradients (-1..1); null: one of them is 0")
    shuffled: list[float | None] = Field(description="the same with sentences and translations that do not match")
    task_agreement: list[float | None] = Field(description="cosine of the task's gradients of two halves of the rows")
    alignment_agreement: list[float | None] = Field(description="the same of the alignment loss's gradients")
    task_norm: list[Amount | None] = Field(description="norm of the task's gradient; null: not finite")
    alignment_norm: list[Amount | None] = Field(description="norm of the alignment loss's gradient")


class GradientCost(Cost):
    """What looking at gradients cost, beside the training."""

    share: Amount | None = Field(None, description="seconds for each second of the training's steps")


class Gradients(Part):
    """The task's gradient beside that of an alignment loss while the task was learnt (`xglue_analysis.gradients`)."""

    loss: str = Field(description="the alignment loss in words")
    texts: str = Field(description="parallel texts: 'dev' (the task's dev sets), or a folder")
    files: dict[str, Sha256] = Field(description="sha256 of each of their files, or of its rows, by path")
    rows: Count = Field(description="training rows of the task's gradient, and pairs of the alignment loss's")
    languages: dict[str, Count] = Field(description="pairs of each language with English")
    layers: list[str] = Field(description="layers, counted from 1 above the embeddings, which are left out; and 'all'")
    parameters: list[Count] = Field(description="numbers in each layer's gradient")
    null_p95: list[Amount] = Field(description="|cosine| that 95% of random gradients of that size stay below")
    planned: list[Count] = Field(description="steps that are looked at")
    points: list[GradientPoint] = Field(description="what was seen at each of them")
    cost: GradientCost = Field(description="of all points, summed over interruptions; no part of the training's cost")


class Training(Part):
    """The one fine-tuning on English that all languages share."""

    store_key: str = Field(description="name of the weights in the store")
    train_rows: Count = Field(description="rows of the training set")
    train_inputs: Count = Field(description="encoder inputs made of them (a long tagging row gives several)")
    truncated: Count = Field(description="training inputs that were cut at max_length")
    steps: Count = Field(description="updates of the weights")
    final_loss: float | None = Field(description="loss of the last step; null: none was taken")
    embedding_rows: Count | None = Field(description="rows of the embedding table that were trained; null: all of them")
    real_tokens: Count = Field(description="subwords that the encoder saw, over all epochs, without padding")
    padded_tokens: Count = Field(description="subword positions that the encoder computed, padding included")
    padding_ratio: float = Field(ge=1, description="subword positions for each real subword: padded / real")
    batch_splits: int = Field(ge=1, description="most parts that a batch was computed in, to save memory and padding")
    world_size: int = Field(ge=1, description="processes that trained together")
    mode: str | None = Field(
        None, description="how steps were taken: 'graphs' (CUDA graphs), or 'eager:' and why; null: older records"
    )
    nondeterministic: list[str] | None = Field(
        None, description="what torch says of a GPU's operations without a deterministic form; null: not looked at"
    )
    curve: Curve | None = Field(None, description="how the training went; null: trained before curves were kept")
    gradients: Gradients | None = Field(
        None, description="what the option 'gradients' asks for; null: it was not given when the training began"
    )
    epochs: list[EpochScores] = Field(description="dev scores after each epoch, in order")
    chance: Share | None = Field(description="score (0..1) of guessing one class on English dev; null: not scored")
    chance_limit: Amount | None = Field(description="score up to which English dev is not significantly above chance")
    environment: Environment = Field(description="where the training ran")
    tokenising_cost: Cost = Field(description="of making encoder inputs of the training set, once")
    cost: Cost = Field(description="of all steps, summed over interruptions; its peak is that of everything")
    steps_cost: Cost | None = Field(
        None, description="as 'cost', but its peak is that of taking steps alone; null: older records"
    )
    recording_cost: Cost | None = Field(
        None, description="of recording steps as CUDA graphs, in the run that ended the training; null: older records"
    )
    dev_cost: Cost = Field(description="of scoring dev sets, tokenising included, summed over interruptions")


class Session(Part):
    """How this run came by the weights."""

    from_store: bool = Field(description="whether the finished weights lay in the store")
    resumed_from_step: Count | None = Field(description="step of the checkpoint that this run went on from; null: none")
    trained_steps: Count = Field(description="updates that this run itself made")
    cost: Cost = Field(description="of the training within this run; 0 s where the weights came from the store")


class RuleScore(Part):
    """What one selection rule leads to."""

    epoch: Amount = Field(description="the epoch that the rule selects; the last one of those that it averages")
    averaged: int = Field(1, ge=1, description="epochs, up to that one, whose weights' mean it is; 1: its own weights")
    score: Share | None = Field(description="test score (0..1) with that epoch's weights; null: predictions only")


class Selection(Part):
    """Which epoch's weights were scored."""

    rule: Rule = Field(description="the rule in force")
    epoch: Amount = Field(description="the epoch that it selected; the last one of those that it averaged")
    averaged: int = Field(1, ge=1, description="epochs, up to that one, whose weights' mean it is; 1: its own weights")
    scores: dict[Rule, RuleScore] = Field(description="what each available rule leads to")
    unavailable: dict[Rule, str] = Field(description="why each of the other rules has no score")
    dev_languages: list[str] = Field(description="languages whose dev sets all_dev is the mean over")
