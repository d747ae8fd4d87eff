"""The record of a prompted language model's number, of the same parts as a run's (`xglue_harness.records.parts`)."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from xglue_harness.records.parts import (
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


class ModelRecord(Part):
    """The language model that was prompted."""

    name: str = Field(description="name on the Hub or of the API, or path")
    backend: str = Field(description="lm-eval's class of models")
    revision: str | None = Field(
        description="commit on the Hub, or what was asked for; null: unknown, as for a folder or an API"
    )
    weights_sha256: Sha256 | None = Field(description="sha256 over the weights; null: a commit is known, or no weights")
    adapter: str | None = Field(description="Hub id or folder of a peft adapter; null: none")
    dtype: str | None = Field(description="type of the weights; null: unknown")
    parameters: Count | None = Field(description="number of the model's parameters; null: unknown")


class PromptSettings(Part):
    """What the model was asked, and how."""

    language: str = Field(description="language of instruction, question and choices")
    file_sha256: Sha256 = Field(description="sha256 of the file of prompts")
    description: str = Field(description="the instruction")
    question: str = Field(description="Jinja template of the question about a row")
    choices: dict[str, str] | None = Field(description="words of each class; null: the model generates tags")
    delimiter: str = Field(description="what stands between question and answer, without a chat template")
    num_fewshot: Count = Field(description="examples from English train that each prompt shows")
    fewshot_seed: int | None = Field(description="lm-eval's seed of the examples that are drawn; null: none was set")
    chat_template: bool = Field(description="whether the model's chat template was applied")
    fewshot_as_multiturn: bool = Field(description="whether examples were turns of a conversation")
    system_instruction: str | None = Field(description="lm-eval's --system_instruction")
    generation: JsonObject | None = Field(description="of generation, beside length and stop; null: likelihoods")


class PromptEvaluation(Part):
    """Asking about one language's test set."""

    documents: Count = Field(description="documents answered")
    single_row_queries_left_out: Count | None = Field(description="queries of one row; null: not a ranking task")


class PromptRecord(Record):
    """Where one language's number of a prompted language model comes from."""

    protocol: Literal["prompt"] = Field(description="how the model was used")
    data: Data = Field(description="the rows that were read")
    model: ModelRecord = Field(description="the language model")
    prompt: PromptSettings = Field(description="what it was asked")
    evaluation: PromptEvaluation = Field(description="its answers on the target language")
    predictions: PredictionsRef | None = Field(description="predictions of the test set; null: not put together yet")
    flags: Flags = Field(description="signs that the number should not be trusted")
    environment: Environment = Field(description="where the predictions were made")
