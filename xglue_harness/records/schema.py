"""The record of a run: all that a reader needs to judge, or to repeat, one language's number.

Write it with ``model_dump(mode="json", by_alias=True)``. Two equal runs give equal records, apart from what they cost
(every `Cost`) and how the second came by its weights (`Session`); `comparable` leaves those out.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from itertools import pairwise
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, ValidationInfo, model_validator

SCHEMA_VERSION = 3  # raised when a field is renamed, removed or changes its meaning

NamedRule = Literal["last", "en_dev", "all_dev", "oracle", "average"]
AVERAGE_LAST = "^average_last_([2-9]|[1-9][0-9]+)$"
Rule = NamedRule | Annotated[str, Field(pattern=AVERAGE_LAST)]
"""Which weights count: of one epoch, or the mean of all epochs', or of the last 2 or more (``average_last_3``)."""

OfficialRule = Literal["seqeval 0.0.12", "ndcg", "accuracy"]
"""Those of `xglue_harness.official_metrics`, which ``xglue-harness schema`` need not import."""


def _as_json(value: dict[str, Any], info: ValidationInfo) -> dict[str, Any]:
    """The value as JSON holds it (tuples become lists); NaN and objects, which ``Any`` lets through, are refused.

    With the context ``"json"`` it comes from JSON, and is not copied: languages may share a large one.
    """
    if info.context == "json":
        return value
    try:
        return dict(json.loads(json.dumps(value, allow_nan=False)))
    except TypeError as error:  # pydantic wraps a ValueError, but lets a TypeError through
        raise ValueError(str(error)) from None


Sha256 = Annotated[str, Field(pattern="^[0-9a-f]{64}$")]
Count = Annotated[int, Field(ge=0)]
Amount = Annotated[float, Field(ge=0)]
Share = Annotated[float, Field(ge=0, le=1)]
JsonObject = Annotated[dict[str, Any], AfterValidator(_as_json)]


class Part(BaseModel):
    """A part of a record: nothing unknown in it, and nothing that changes."""

    model_config = ConfigDict(
        extra="forbid",
        frozen=True,
        allow_inf_nan=False,
        populate_by_name=True,
        protected_namespaces=(),  # older pydantic keeps model_* for itself
        json_schema_serialization_defaults_required=True,
    )


class Cost(Part):
    """What a piece of work cost. All that differs between two equal runs stands in a cost, or in the session."""

    seconds: Amount = Field(description="wall time in s")
    tokens_per_second: Amount | None = Field(None, description="real subwords a second; null: not counted")
    peak_memory_mb: Amount | None = Field(None, description="10^6 bytes: torch's on a GPU, the process's on a CPU")
    energy_kwh: Amount | None = Field(None, description="kWh that codecarbon measured or estimated; null: unknown")


class Data(Part):
    """The rows that were trained on, selected by and scored."""

    source: str = Field(description="where the rows came from, as the option 'data' names it")
    description: str = Field(description="the source in words")
    fingerprint: Sha256 = Field(description="sha256 over the paths and digests of 'files'")
    files: dict[str, str] = Field(
        description="sha256 over the rows of each split that was read, by its path in the official archive: the same "
        "from every source that has the same rows"
    )
    unofficial: list[str] = Field(
        description="splits that have another number of rows than XGLUE's, in words; the toy has none: SAMPLE says it"
    )


class ConvertedFrom(Part):
    """What a checkpoint was converted from, as ``xglue-harness backbone convert`` wrote it into the configuration."""

    converter: Literal["fairseq"] = Field(description="toolkit whose file it was")
    version: Annotated[int, Field(ge=1)] = Field(description="of the converter: one version makes the same weights")
    checkpoint_sha256: Sha256 = Field(description="sha256 of the original file")
    dictionary_sha256: Sha256 = Field(description="sha256 of its dictionary")
    sentencepiece_sha256: Sha256 = Field(description="sha256 of the sentencepiece model that cut its text")
    encoder_sha256: Sha256 = Field(
        description="sha256 over the encoder's weights as they were converted; other than that of the encoder: they "
        "were changed since"
    )


class BackboneRecord(Part):
    """The pretrained encoder and its tokenizer."""

    name: str = Field(description="name on the Hub, or path")
    revision: str | None = Field(description="commit on the Hub; null: none, as for a local folder")
    model_type: str = Field(description="architecture, as transformers names it")
    encoder_sha256: Sha256 = Field(description="sha256 over the encoder's pretrained weights")
    config_sha256: Sha256 = Field(description="sha256 over the configuration, without names and versions")
    encoder_parameters: Count = Field(description="number of the encoder's parameters, embeddings included")
    tokenizer_sha256: Sha256 = Field(description="sha256 over the tokenizer")
    batches: Literal["any length", "one length", "one input"] | None = Field(
        None,
        description="inputs that shared a batch: of one length, or one alone, where the encoder's answer depends on "
        "padding or on its neighbours; null: older records, which did not look",
    )
    converted_from: ConvertedFrom | None = Field(
        None, description="of a checkpoint that was converted from another toolkit's; null: it says nothing of it"
    )


class Environment(Part):
    """Software and hardware."""

    versions: dict[str, str] = Field(description="version of Python and of each package that can move a score")
    hardware: JsonObject = Field(description="processor, cores, threads, device; what bf16 gains on a CPU")
    git_revision: str | None = Field(description="commit of the harness, with '-dirty' if changed; null: unknown")
    code_sha256: Sha256 = Field(description="sha256 over the code that trains and predicts")


class EpochScores(Part):
    """Dev scores after an epoch."""

    epoch: Amount = Field(description="passes over the training set so far")
    dev: dict[str, Share] = Field(description="the task's metric (0..1) on each language's dev set; may be empty")
    constant: bool | None = Field(None, description="whether English dev got one class only; null: not predicted")


class NamedRecipe(Part):
    """The recipe that a run was given by its name, or by the path of its file."""

    name: str = Field(description="of the recipe: one that comes with xglue-harness, or its file's name")
    sha256: Sha256 = Field(description="sha256 of its file")
    options: JsonObject = Field(description="the options that it sets for this task")
    changed: JsonObject = Field(
        description="options that were given beside it and are other than its own, or than the default where it has "
        "none: these count"
    )


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


class Evaluation(Part):
    """Predicting one language's test set."""

    documents: Count = Field(description="documents predicted")
    truncated: Count = Field(description="inputs that were cut at max_length")
    missing_words: Count = Field(description="words of a tagging task that got no prediction of their own")
    unknown: Share | None = Field(
        None,
        description="share (0..1) of the text's subwords that the tokenizer does not know; null: it has no unknown "
        "subword, or an older record",
    )
    duplicates: Count = Field(description="inputs not computed, for an equal one of this or another language was")
    real_tokens: Count = Field(description="subwords that the encoder saw, without padding")
    padded_tokens: Count = Field(description="subword positions that the encoder computed, padding included")
    padding_ratio: float = Field(ge=1, description="subword positions for each real subword: padded / real")
    single_row_queries_left_out: Count | None = Field(description="queries of one row; null: not a ranking task")
    cost: Cost = Field(description="share, by subwords, of the pass over all languages; the peak is the pass's")


class DiagnosticMetric(Part):
    """One number of a diagnostic."""

    value: float = Field(description="what the results table shows")
    stderr: Amount | None = Field(description="its standard error; null: none is known")


class Diagnostics(Part):
    """Measures of the encoder beside its score."""

    documents: Count = Field(description="documents of the language that were looked at")
    parallel: bool = Field(description="whether they are translations of each other, row by row")
    pooling: Literal["mean"] = Field(description="how an input's hidden states become one vector: over its subwords")
    layers: str = Field(description="how layers are counted")
    encoders: dict[str, JsonObject] = Field(description="what the fine-tuned encoder was compared with")
    metrics: dict[str, DiagnosticMetric] = Field(description="the numbers, by name")
    details: JsonObject = Field(description="what each diagnostic adds, such as values by layer")
    cost: Cost = Field(description="of all diagnostics of the task, over all languages")


class Change(Part):
    """What a change of states does to a score."""

    score: Share = Field(description="score (0..1) with the states changed")
    gain: float = Field(description="that score less the score of the unchanged states")
    gain_stderr: Amount | None = Field(description="its standard error over documents, paired; null: not defined")
    better: Count = Field(description="documents that score more than before")
    worse: Count = Field(description="documents that score less")
    length: Amount = Field(description="root mean square of how far the dev texts' states are moved")


class Intervention(Part):
    """The score of states that no longer tell their language (`xglue_analysis.erasure`), and of a control."""

    layer: Count = Field(description="layer whose states were changed; 0: what the embeddings give")
    states: Literal["pooled", "words", "subwords"] = Field(description="which states of dev texts it was fitted on")
    documents: dict[str, Count] = Field(description="dev documents of each language that it was fitted on, unlabelled")
    files: dict[str, Sha256] = Field(description="sha256 of the rows that they come from, by path")
    rank: Count | None = Field(description="dimensions that were removed; null: none, states were moved")
    seed: Count = Field(description="of the control")
    change: Change = Field(description="the intervention")
    control: Change = Field(description="the same with a random direction, or subspace, of the same length, or rank")
    beyond_control: float = Field(description="gain of the intervention less that of the control")
    beyond_control_stderr: Amount | None = Field(description="its standard error over documents, paired")


class Interventions(Part):
    """What becomes of a score when states are changed at evaluation."""

    of: dict[Literal["center", "erase"], Intervention] = Field(description="by name")
    cost: Cost = Field(description="of all interventions of the task, over all languages")


class Flags(Part):
    """Signs that a number should not be trusted."""

    collapsed: bool = Field(description="whether the training failed to learn the task")
    reasons: list[str] = Field(description="the signs, in words")


class PredictionsRef(Part):
    """The predictions that are kept with the result (`xglue_harness.records.predictions`)."""

    sha256: Sha256 = Field(description="sha256 of the Parquet file")
    rows: Count = Field(description="rows of the test set that were predicted")
    total: Count = Field(description="rows that the test set has")


class Record(Part):
    """What heads a record, however the model was used."""

    schema_version: Literal[3] = Field(default=3, description="version of this schema")
    protocol: Literal["finetune", "prompt", "probe"] = Field(description="how the model was used")
    task: str = Field(description="short name of the task")
    source_language: str = Field(description="language that was trained on, or that few-shot examples come from")
    target_language: str = Field(description="language that was scored")
    sample: bool = Field(alias="SAMPLE", description="whether the data are the packaged toy, whose scores mean nothing")
    official: Share | None = Field(
        None, description="score (0..1) by XGLUE's own evaluator; null: not put together yet, or predictions only"
    )
    official_seqeval1: Share | None = Field(
        None, description="the same by seqeval 1.x instead of 0.0.12; null: as for official, or no tagging task"
    )
    official_rule: OfficialRule | None = Field(
        None, description="what 'official' is computed by; null: as for official"
    )


class RunRecord(Record):
    """Where one language's number of a fine-tuned encoder comes from."""

    protocol: Literal["finetune"] = Field(description="how the model was used")
    recipe: JsonObject = Field(description="all options of the fine-tuning, none left at a default, and their key")
    named_recipe: NamedRecipe | None = Field(
        None, description="the recipe that was asked for by name; null: none was, so defaults are the paper's"
    )
    data: Data = Field(description="the rows that were read")
    backbone: BackboneRecord = Field(description="the pretrained encoder and its tokenizer")
    selection: Selection = Field(description="which epoch's weights were scored")
    training: Training = Field(description="the fine-tuning on English")
    session: Session = Field(description="how this run came by the weights")
    evaluation: Evaluation = Field(description="the predictions on the target language")
    diagnostics: Diagnostics | None = Field(description="measures beside the score; null: none was asked")
    interventions: Interventions | None = Field(
        None, description="scores of changed states; null: none was asked for, or the language has none"
    )
    predictions: PredictionsRef | None = Field(description="predictions of the test set; null: not put together yet")
    flags: Flags = Field(description="signs that the number should not be trusted")
    environment: Environment = Field(description="where the predictions were made")


def comparable(record: Mapping[str, Any]) -> dict[str, Any]:
    """A written record without costs and the ``session``, at any depth: what two equal runs have in common."""
    return {
        name: _stripped(value)
        for name, value in record.items()
        if name != "session" and name != "cost" and not name.endswith("_cost")
    }


def _stripped(value: Any) -> Any:
    if isinstance(value, Mapping):
        return comparable(value)
    return [_stripped(item) for item in value] if isinstance(value, list | tuple) else value
