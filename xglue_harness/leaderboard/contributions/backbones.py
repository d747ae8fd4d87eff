"""What is known of a backbone beside its scores: ``leaderboard/backbones/<name>.yaml``, one file each."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Literal

import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator, model_validator

from xglue_harness.benchmark import LANGUAGES
from xglue_harness.encoders.languages import MBART_CODES
from xglue_harness.errors import LeaderboardError
from xglue_harness.published.families import Family
from xglue_harness.published.tracks import Track, track_problem
from xglue_harness.records.parts import BackboneRecord, Sha256
from xglue_harness.untrusted.problems import problems_of
from xglue_harness.untrusted.text import FROM_LIST, Commit, HubId, Link, Name, Text
from xglue_harness.untrusted.values import INTEGER_LIMIT, read_yaml

LIMIT = 20_000
"""Most bytes of a file."""

Positive = Annotated[int, Field(gt=0, le=INTEGER_LIMIT)]


class _Part(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class Parameters(_Part):
    """Numbers of parameters."""

    all: Positive = Field(description="of the checkpoint as it is published")
    encoder: Positive = Field(description="of the encoder, embeddings included")
    embedding: Positive = Field(description="of the table of word embeddings")

    @model_validator(mode="after")
    def _nested(self) -> Parameters:
        if not self.embedding <= self.encoder <= self.all:
            raise ValueError("expected embedding <= encoder <= all")
        return self


class Pretraining(_Part):
    """What the weights were trained on before anything of ours."""

    data: Text = Field(description="corpora, in words")
    languages: Annotated[tuple[str, ...], FROM_LIST] = Field(
        description="which of the benchmark's languages it has seen"
    )
    languages_source: Text = Field(description="where it stands that it has seen them: paper and section, model card")

    @field_validator("languages")
    @classmethod
    def _of_the_benchmark(cls, languages: tuple[str, ...]) -> tuple[str, ...]:
        if unknown := [language for language in languages if language not in LANGUAGES]:
            raise ValueError(f"no languages of the benchmark: {', '.join(unknown)}; it has {', '.join(LANGUAGES)}")
        if len(set(languages)) < len(languages):
            raise ValueError("a language stands there twice")
        return languages


IN_CHECKPOINT = {
    "converter": "converter",
    "version": "version",
    "sha256": "checkpoint_sha256",
    "dictionary_sha256": "dictionary_sha256",
    "sentencepiece_sha256": "sentencepiece_sha256",
}
"""What an `Original` has in common with `xglue_harness.records.parts.ConvertedFrom`: its fields, by ours."""


class Original(_Part):
    """The published file that a checkpoint was converted from, which stands for weights that lie nowhere else."""

    converter: Literal["fairseq"] = Field(description="toolkit whose file it is")
    version: Positive = Field(description="of the converter, as it writes it into the checkpoint")
    repository: HubId = Field(description="of the file on GitHub: owner/name")
    commit: Commit = Field(description="of the repository")
    file: Text = Field(description="its path in the repository")
    sha256: Sha256 = Field(description="of the file; Git LFS names it in its pointer")
    dictionary_sha256: Sha256 = Field(description="of the model's dictionary")
    sentencepiece_sha256: Sha256 | None = Field(description="of the model that cut its text; null: not known")

    def problems(self, record: BackboneRecord) -> Iterator[str]:
        """Why a run was not of what this becomes; a line each, with the key.

        Args:
            record: what the run says of its encoder.
        """
        noted = record.converted_from
        if noted is None:
            yield (
                f"converted_from: null; expected a checkpoint that 'xglue-harness backbone convert {self.converter}' "
                f"made of {self.file}, which says so"
            )
            return
        for key, noted_key in IN_CHECKPOINT.items():
            found, expected = getattr(noted, noted_key), getattr(self, key)
            if expected is not None and found != expected:
                yield f"converted_from.{noted_key}: {found}; expected {expected}, as the YAML says"


class Backbone(_Part):
    """A pretrained encoder, as its contributor describes it."""

    name: Name = Field(description="name of the file and of the folder of results")
    title: Text = Field(description="name in tables")
    hub: HubId | None = Field(description="id on the Hub; null: not there, so that nobody else can run it")
    revision: Commit | None = Field(description="commit on the Hub; null: not known yet, and then no result is taken")
    encoder_sha256: Sha256 | None = Field(description="of the encoder's weights, as records have it; null: any")
    converted_from: Original | None = Field(None, description="the file of another toolkit that it was made from")
    track: Track = Field("main", description="with which others it is compared")
    family: Family = Field(description="LM, MT or CP")
    continued_from: Name | None = Field(description="name of the backbone that its pretraining began with")
    architecture: Text = Field(description="model_type of transformers")
    parameters: Parameters
    layers: Positive = Field(description="of the encoder")
    width: Positive = Field(description="of its hidden states")
    tokenizer: Text = Field(description="kind and size of the vocabulary")
    pretraining: Pretraining
    parallel_data: Text = Field(description="what translations were used for; 'none' where for nothing")
    licence: Text = Field(description="SPDX identifier; NOASSERTION where none is stated")
    paper: Link = Field(description="of the paper, or of the model card where there is none")
    pooling: Literal["first", "mean", "max", "eos"] = Field(description="how a sentence becomes a vector")
    pairs: Text = Field(description="what joins two texts")
    contributor: Text = Field(description="who added it")

    @model_validator(mode="after")
    def _consistent(self) -> Backbone:
        if (self.family == "CP") != (self.continued_from is not None):
            raise ValueError("continued_from: a CP names the backbone that it continues, and no other family does")
        if self.name == self.continued_from:
            raise ValueError("continued_from: a backbone does not continue itself")
        source = self.converted_from
        repository, commit = (source.repository, source.commit) if source else (None, None)
        if problem := track_problem(self.track, repository, commit):
            raise ValueError(f"track: {problem}")
        if self.architecture == "mbart":
            without_code = [lang for lang in self.pretraining.languages if MBART_CODES[lang] is None]
            if without_code:
                raise ValueError(
                    f"pretraining.languages: {', '.join(without_code)}: mBART-50's tokenizer has no code for them, so "
                    "it has not seen them"
                )
        return self


def read_backbone(path: Path) -> Backbone:
    """Read and check one file.

    Raises:
        LeaderboardError: where it is no backbone, or has another name than its file; the message names the keys.
    """
    try:
        backbone = Backbone.model_validate(read_yaml(path, LIMIT), strict=True)
    except ValidationError as error:
        raise LeaderboardError(f"{path}: {problems_of(error)}") from None
    if backbone.name != path.stem:
        raise LeaderboardError(f"{path}: name: {backbone.name!r}; expected {path.stem!r}, the name of the file")
    return backbone


def unlike_base(backbone: Backbone, base: Backbone) -> str | None:
    """What is wrong where a backbone is in another track, or claims less, than the one that it was continued from.

    Returns:
        A line that begins with the key; ``None``: nothing is.
    """
    if backbone.track != base.track:
        return f"continued_from: {base.name} is in the track {base.track}, and tracks are never compared"
    lost = [lang for lang in base.pretraining.languages if lang not in backbone.pretraining.languages]
    if not lost:
        return None
    return f"pretraining.languages: lacks {', '.join(lost)}, which {base.name}, that it was continued from, has seen"


def render(backbone: Backbone) -> str:
    """The file of a backbone; `read_backbone` reads it back."""
    value = backbone.model_dump(mode="json")
    return str(yaml.safe_dump(value, sort_keys=False, allow_unicode=True, width=1000, default_flow_style=None))
