"""The record of a frozen encoder's number, of the same parts as a run's (`xglue_harness.records.parts`)."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from xglue_harness.records.parts import (
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
)


class ProbeFit(Part):
    """The one probe that was fitted on English, which all languages share."""

    layer: Count = Field(description="layer whose states were read; 0: what the embeddings give")
    layers: Count = Field(description="number of the last layer, which gives the encoder's own output")
    train_rows: Count = Field(description="English training rows that it was fitted on")
    train_rows_there: Count = Field(description="rows of the English training set, of which the seed drew them")
    truncated: Count = Field(description="training inputs that were cut at max_length")
    iterations: Count = Field(description="that the solver took; as many as it may: it has not converged")
    after_pooling: Sha256 | None = Field(
        description="sha256 over what the checkpoint, a model of sentence-transformers, does after its pooling; null: "
        "nothing, or not done"
    )


class ProbeSession(Part):
    """What this run did itself."""

    cost: Cost = Field(description="of states that were not in the cache, and of the probe, over all languages")


class ProbeEvaluation(Part):
    """Predicting one language's test set."""

    documents: Count = Field(description="documents predicted")
    truncated: Count = Field(description="inputs that were cut at max_length")
    single_row_queries_left_out: Count | None = Field(description="queries of one row; null: not a ranking task")


class ProbeRecord(Record):
    """Where one language's number of a frozen encoder comes from."""

    protocol: Literal["probe"] = Field(description="how the model was used")
    recipe: JsonObject = Field(description="all that decides the probe, none left at a default, and its key")
    data: Data = Field(description="the rows that were read")
    backbone: BackboneRecord = Field(description="the frozen encoder and its tokenizer")
    probe: ProbeFit = Field(description="the probe that was fitted on English")
    session: ProbeSession = Field(description="what this run did itself")
    evaluation: ProbeEvaluation = Field(description="the predictions on the target language")
    predictions: PredictionsRef | None = Field(description="predictions of the test set; null: not put together yet")
    flags: Flags = Field(description="signs that the number should not be trusted")
    environment: Environment = Field(description="where all of it was done")
