"""A frozen encoder of ours as a model of mteb: any family, a layer, and the language of each row.

Needs ``xglue-harness[mteb]``.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from mteb.models.abs_encoder import AbsEncoder
from mteb.models.model_meta import ModelMeta, ScoringFunction

from xglue_harness.benchmark import SOURCE_LANGUAGE
from xglue_harness.encoders.calling import language_argument
from xglue_harness.errors import EncoderError
from xglue_harness.probing.states import keep_states

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from xglue_harness.benchmark import TaskSpec
    from xglue_harness.probing.frozen_encoder import FrozenEncoder
    from xglue_harness.probing.probes import Floats
    from xglue_harness.probing.states import Part


class FrozenModel(AbsEncoder):
    """One layer of a frozen encoder.

    A batch's column ``language`` says what language each of its texts is in; ours tasks give it. What mteb calls the
    subset is not read: in English-trained classification it names the test language for English training rows, too.
    """

    def __init__(self, encoder: FrozenEncoder, layer: int, layers: Sequence[int] | None = None) -> None:
        """Nothing is computed yet.

        Args:
            encoder: the frozen encoder.
            layer: that the model is: 0 is what the embeddings give, the last one the encoder's own output.
            layers: what a pass computes, for models of other layers beside this one; ``None``: this layer alone.

        Raises:
            EncoderError: where there is no such layer.
        """
        (self._layer,) = encoder.layers([layer])
        self._layers = encoder.layers([layer, *(layers or ())])
        self._encoder = encoder
        self.model = encoder.backbone.encoder
        self.mteb_model_meta = model_meta(encoder, layer)

    def encode(self, inputs: Iterable[Mapping[str, Any]], **_: Any) -> Floats:
        """Vectors of texts, ``[texts, width]`` float64.

        Args:
            inputs: batches with ``text``, and ``language`` by XGLUE's codes.

        Raises:
            EncoderError: where the encoder reads a language, and the rows don't say theirs.
        """
        texts: list[str] = []
        languages: list[str] = []
        for batch in inputs:
            texts += batch["text"]
            languages += batch.get("language") or self._unnamed(len(batch["text"]))
        places: list[int] = []
        pieces = []
        for language in dict.fromkeys(languages):
            own = [place for place, name in enumerate(languages) if name == language]
            pieces.append(self._states(self._encoder.texts([texts[place] for place in own], language)))
            places += own
        vectors: Floats = np.concatenate(pieces)[np.argsort(places)]
        return vectors

    def encode_words(self, spec: TaskSpec, rows: Sequence[Mapping[str, Any]], language: str) -> Floats:
        """Vectors of the words of sentences, end to end, ``[words, width]`` float64.

        Args:
            spec: the task.
            rows: its sentences.
            language: that they are in.
        """
        return self._states(self._encoder.words(spec, rows, language))

    def _states(self, part: Part) -> Floats:
        keep_states([(self._encoder, [part], self._layers)], say_size=False)
        return part.states(self._layer)

    def _unnamed(self, rows: int) -> list[str]:
        """The language of rows that name none: it does not matter, or can't be known."""
        backbone = self._encoder.backbone
        if hasattr(backbone.tokenizer, "src_lang") or language_argument(backbone.encoder) is not None:
            raise EncoderError(
                f"{backbone.name} reads the language of each text, and these rows have no column 'language': use the "
                "tasks of xglue_harness.probing.tasks, or add the column"
            )
        return [SOURCE_LANGUAGE] * rows


def model_meta(encoder: FrozenEncoder, layer: int) -> ModelMeta:
    """What mteb is told of a layer of an encoder; layer, pooling and length keep its results apart from others."""
    backbone, name = encoder.backbone, encoder.backbone.name.rstrip("/")
    known = {
        "name": name if _is_hub_id(name) else f"local/{Path(name).name}",
        "revision": f"{backbone.revision or 'local'}-{encoder.identity.weights[:12]}",
        "similarity_fn_name": ScoringFunction.COSINE,
        "framework": ["PyTorch", "Transformers"],
        "n_parameters": sum(tensor.numel() for tensor in backbone.encoder.parameters()),
        "max_tokens": encoder.max_length,
        "embed_dim": encoder.width,
        "experiment_kwargs": {"layer": layer, "pooling": encoder.pooling, "max_length": encoder.max_length},
    }
    return ModelMeta.create_empty(known)


def _is_hub_id(name: str) -> bool:
    return name.count("/") == 1 and not Path(name).exists()
