"""The record of a fine-tuned encoder's run: all that a reader needs to judge, or to repeat, one language's number."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from xglue_harness.records.parts import (
    Amount,
    BackboneRecord,
    Cost,
    Count,
    Data,
    Environment,
    Flags,
    JsonObject,
    Part,
    PredictionsRef,
    Record,
    Sha256,
    Share,
)
from xglue_harness.records.training_schema import NamedRecipe, Selection, Session, Training


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
