"""What every record is made of, however the model was used: its head, and the parts that they have in common.

Write a record with ``model_dump(mode="json", by_alias=True)``. Two equal runs give equal records, apart from what they
cost (every `Cost`) and how the second came by its weights (``session``); `comparable` leaves those out.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, ValidationInfo

SCHEMA_VERSION = 3  # raised when a field is renamed, removed or changes its meaning

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


class Flags(Part):
    """Signs that a number should not be trusted."""

    collapsed: bool = Field(description="whether the training failed to learn the task")
    reasons: list[str] = Field(description="the signs, in words")

    @classmethod
    def of(cls, constant: str | None, *others: str) -> Flags:
        """The flags of a run.

        Args:
            constant: the class that all predictions are (`xglue_harness.collapse.constant`); ``None``: they differ.
            others: other signs, in words.
        """
        reasons = [*others, *([] if constant is None else [f"every prediction on this test set is {constant!r}"])]
        return cls(collapsed=bool(reasons), reasons=reasons)


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
