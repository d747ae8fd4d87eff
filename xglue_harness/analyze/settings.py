"""How an analysis reads its encoders, and how often it draws."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from xglue_analysis.representations import Pooling
    from xglue_harness.analyze.sentences import Texts


@dataclass(frozen=True)
class Settings:
    """What two analyses of hidden states have in common.

    Attributes:
        pooling: of a sentence's subwords.
        max_length: subwords of a sentence.
        permutations: for the null.
        replicates: of the bootstrap.
        seed: of both.
        device: ``cuda``, ``cpu``, ...; ``None``: a GPU where there is one.
        max_disk: GB that states may take.
    """

    pooling: Pooling
    max_length: int
    permutations: int
    replicates: int
    seed: int
    device: str | None
    max_disk: float | None = None

    def facts(self, texts: Texts) -> dict[str, Any]:
        """What the record says of them, and of the sentences."""
        return {
            "texts": texts.description,
            "text_files": texts.files,
            "languages": {language: len(sentences) for language, sentences in texts.by_language.items()},
            "parallel": texts.parallel,
            "pooling": self.pooling,
            "max_length": self.max_length,
            "layers": "0 is what the embeddings give, the last one the encoder's output",
            "states": "float16, each vector divided by a power of two",
            "seed": self.seed,
            "permutations": self.permutations,
            "replicates": self.replicates,
        }
