"""What diagnostics look at: a sample of the test documents, in hidden states and weights of encoders."""

from __future__ import annotations

import logging
from collections.abc import Callable, Collection, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import torch

from xglue_harness.benchmark import SOURCE_LANGUAGE, TaskSpec
from xglue_harness.encoders.backbone import in_fp32
from xglue_harness.encoders.heads import TransferModel
from xglue_harness.encoders.pooling import Pooling
from xglue_harness.errors import RecipeError
from xglue_harness.kinds import kind_of
from xglue_harness.prediction.hidden_states import HiddenStateRecorder, States
from xglue_harness.prediction.predict import Prepared, predict, prepare

if TYPE_CHECKING:
    from xglue_harness.diagnostics.epochs import Epoch, EpochModels
    from xglue_harness.encoders.backbone import Backbone
    from xglue_harness.recipe import Recipe
    from xglue_harness.training.distributed import World

logger = logging.getLogger(__name__)

LEAST = 8
"""Documents of a language without which no diagnostic says anything."""

_SHARE, _FEWEST, _MOST = 20, 32, 512
"""Each encoder beside the fine-tuned one costs a twentieth of the evaluation, where a test set has 640 documents."""

Documents = Mapping[int, Mapping[str, Any]]
"""Documents by number."""


def bare_model(backbone: Backbone, spec: TaskSpec, pooling: Pooling) -> TransferModel:
    """A pretrained encoder, in fp32, with a head that has learnt nothing."""
    tagging = kind_of(spec).per_word
    with torch.random.fork_rng(devices=[]):  # the head is of no account
        model = TransferModel(in_fp32(backbone.encoder), len(spec.labels), tagging=tagging, pooling=pooling)
    return model.to(backbone.device).eval()


class DocumentSample:
    """The documents to look at, chosen before the predictions, so that their hidden states can be kept."""

    def __init__(self, world: World, documents: Mapping[str, Documents], wanted: int | None, *, parallel: bool) -> None:
        """Choose.

        Args:
            world: the processes.
            documents: this process's, of each language.
            wanted: documents of a language; ``None``: a 20th of them, at least 32 and at most 512.
            parallel: choose the same ones in all languages.

        Raises:
            RecipeError: for fewer than `LEAST`.
        """
        numbers: dict[str, list[int]] = {language: [] for language in documents}
        for share in world.gather({language: list(rows) for language, rows in documents.items()}):
            for language, theirs in share.items():
                numbers[language].extend(theirs)
        if parallel:
            common = set.intersection(*map(set, numbers.values()))
            numbers = dict.fromkeys(numbers, sorted(common))
        self.rows = {language: sampled(ids, wanted) for language, ids in numbers.items()}
        self.world, self.documents = world, documents
        for language, rows in self.rows.items():
            if len(rows) < LEAST:
                raise RecipeError(
                    f"{len(rows)} documents of {language} are too few for diagnostics: raise --limit to {LEAST} or more"
                )

    def here(self, language: str) -> list[int]:
        """The documents of a language that this process has."""
        return [number for number in self.rows[language] if number in self.documents[language]]

    def gathered(self, language: str, states: States) -> torch.Tensor:
        """``[layers + 1, documents, width]`` from what each process has found, by number of the document."""
        together = {number: state for share in self.world.gather(states) for number, state in share.items()}
        return torch.stack([together[number] for number in self.rows[language]], dim=1)

    def column(self, name: str) -> dict[str, dict[int, Any]]:
        """A column of the documents that are looked at, by language and number, from all processes."""
        share = {
            language: {n: self.documents[language][n][name] for n in self.here(language)} for language in self.rows
        }
        joint: dict[str, dict[int, Any]] = {language: {} for language in self.rows}
        for values in self.world.gather(share):
            for language, by_number in values.items():
                joint[language].update(by_number)
        return joint


def sampled(ids: Sequence[int], wanted: int | None, seed: int = 0) -> list[int]:
    """Documents to look at: the same ones in every language that has them.

    Args:
        ids: the documents that there are.
        wanted: how many; ``None``: a 20th of them, at least 32 and at most 512.
        seed: of the choice.
    """
    count = min(max(len(ids) // _SHARE, _FEWEST), _MOST) if wanted is None else wanted
    generator = torch.Generator().manual_seed(seed)
    order = torch.randperm(max(ids, default=0) + 1, generator=generator).tolist()
    there = set(ids)
    return sorted([number for number in order if number in there][:count])


def first_inputs(prepared: Prepared, documents: Sequence[int]) -> list[int]:
    """The first input of some documents: of a query its first row, of a long sentence its first window.

    Args:
        prepared: tokenised documents.
        documents: places among them.
    """
    rows: dict[int, int] = {}
    for row, (document, _) in enumerate(prepared.places):
        rows.setdefault(document, row)
    inputs: dict[int, int] = {}
    for place, row in enumerate(prepared.inputs.rows.tolist()):
        inputs.setdefault(row, place)
    return [inputs[rows[document]] for document in documents]


class DiagnosticContext:
    """What a diagnostic may look at: hidden states and weights of up to three encoders, and of epochs.

    ``finetuned`` is what was scored, ``pretrained`` what it was trained from, ``reference`` another encoder, where one
    was named. What the training came to after an epoch is an encoder, too, by the name of that epoch. Documents are a
    sample of the test sets; of long ones the beginning is read.

    Attributes:
        task: short name of the task.
        source: the language of the training.
        languages: the languages that are scored.
        parallel: document i of one language is a translation of document i of every other.
        rows: documents of each language that are looked at, by number.
        encoders: names of the encoders that there are, without those of epochs.
        epochs: of the training, in their order, those whose weights were not kept among them.
        seed: of whatever a diagnostic draws.
        device: where the encoders are, and where much arithmetic is best done.
        backbones: the encoders that are no outcome of this run, by name.
    """

    def __init__(
        self,
        spec: TaskSpec,
        recipe: Recipe,
        sample: DocumentSample,
        languages: Sequence[str],
        finetuned: TransferModel,
        backbones: Mapping[str, Backbone],
        taken: Mapping[str, States],
        epochs: EpochModels,
        *,
        progress: bool = False,
    ) -> None:
        """Take what the predictions have left.

        Args:
            spec: the task.
            recipe: of the training.
            sample: the documents.
            languages: those that are scored.
            finetuned: with the weights that were scored.
            backbones: ``pretrained``, and ``reference`` where there is one.
            taken: states of the fine-tuned encoder, by language and number of the document.
            epochs: of the training.
            progress: show a bar for each epoch.
        """
        self._spec, self._recipe, self._sample, self._finetuned = spec, recipe, sample, finetuned
        self.task, self.source, self.seed = spec.name, SOURCE_LANGUAGE, recipe.seed
        self.languages, self.rows, self.backbones = tuple(languages), sample.rows, backbones
        self.encoders, self.device = ("finetuned", *backbones), backbones["pretrained"].device
        self.parallel = spec.parallel and self._same_labels()
        self.epochs, self._epoch_models, self._progress = epochs.epochs, epochs, progress
        self._bares: dict[str, TransferModel] = {}
        self._parts: dict[tuple[str, str], Prepared] = {}
        self._states = {
            ("finetuned", language): sample.gathered(language, states) for language, states in taken.items()
        }

    def states(self, encoder: str, language: str) -> torch.Tensor:
        """Hidden states of an encoder, mean over each input's subwords.

        Of an epoch all languages are read at once, and kept until another epoch is asked for: go through the epochs
        once, and through the languages within each.

        Args:
            encoder: one of ``encoders``, or the name of one of ``epochs``.
            language: one of ``rows``.

        Returns:
            ``[layers + 1, documents, width]`` float32 on the CPU; layer 0 is what the embeddings give.

        Raises:
            RecipeError: for an epoch whose weights were not kept.
        """
        epoch = self._epoch(encoder)
        if epoch is not None and epoch.scored:
            encoder = "finetuned"
        if (encoder, language) not in self._states:
            if epoch is not None and not epoch.scored:  # in the place of the one before
                self._states = {key: states for key, states in self._states.items() if key[0] in self.encoders}
                self._read(encoder, self._epoch_models.model(epoch), self.rows, progress=self._progress)
            else:
                self._read(encoder, self._finetuned if encoder == "finetuned" else self._bare(encoder), [language])
        return self._states[encoder, language]

    def weights(self, encoder: str) -> Mapping[str, torch.Tensor]:
        """Weights of an encoder in fp32, by their names in it; those of an epoch are a copy.

        Args:
            encoder: one of ``encoders``, or the name of one of ``epochs``.

        Raises:
            RecipeError: for an epoch whose weights were not kept.
        """
        epoch = self._epoch(encoder)
        if epoch is not None:
            model: Any = self._epoch_models.model(epoch).encoder
        else:
            model = self._finetuned.encoder if encoder == "finetuned" else self.backbones[encoder].encoder
        weights: Mapping[str, torch.Tensor] = model.state_dict()
        if epoch is not None:  # the next one takes this one's place
            weights = {name: tensor.clone() for name, tensor in weights.items()}
        return {name: tensor.float() if tensor.is_floating_point() else tensor for name, tensor in weights.items()}

    def _epoch(self, encoder: str) -> Epoch | None:
        """The epoch of that name, if there is one."""
        found = next((epoch for epoch in self.epochs if epoch.name == encoder), None)
        if found is not None and found.missing is not None:
            raise RecipeError(f"{found.name}: {found.missing}")
        return found

    def _read(self, encoder: str, model: TransferModel, languages: Collection[str], *, progress: bool = False) -> None:
        """Keep states of an encoder, of the documents of some languages, from one pass in each process."""
        name = encoder if encoder in self.backbones else "pretrained"
        numbers = {language: here for language in languages if (here := self._sample.here(language))}
        parts = [self._part(name, language, here) for language, here in numbers.items()]
        inputs = [first_inputs(part, range(part.documents)) for part in parts]
        recorder, note = HiddenStateRecorder(inputs), f", {encoder}: states"
        predict(model, self.backbones[name], self._recipe, parts, progress=progress, note=note, recorder=recorder)
        found: dict[str, States] = {}
        for (language, here), places, states in zip(numbers.items(), inputs, recorder.states, strict=True):
            found[language] = {number: states[place] for number, place in zip(here, places, strict=True)}
        for language in languages:
            self._states[encoder, language] = self._sample.gathered(language, found.get(language, {}))

    def _part(self, name: str, language: str, numbers: Sequence[int]) -> Prepared:
        """This process's share of the documents, tokenised once for all encoders that read a backbone's subwords."""
        if (name, language) not in self._parts:
            documents = [self._sample.documents[language][number] for number in numbers]
            self._parts[name, language] = prepare(self.backbones[name], self._spec, self._recipe, documents, language)
        return self._parts[name, language]

    def _bare(self, encoder: str) -> TransferModel:
        if encoder not in self._bares:  # one copy of an encoder that is not stored in fp32 will do
            self._bares[encoder] = bare_model(self.backbones[encoder], self._spec, "mean")
        return self._bares[encoder]

    def _same_labels(self) -> bool:
        golds = self._sample.column(self._spec.label_column)
        differ = [language for language in golds if golds[language] != golds.get(SOURCE_LANGUAGE)]
        if differ:
            logger.warning(
                "%s in %s has other labels than in English: not row by row the same, so no language is compared",
                self._spec.title,
                ", ".join(differ),
            )
        return not differ


class ContextBuilder:
    """Chooses documents before the predictions, has their hidden states kept, makes a `DiagnosticContext` of them."""

    def __init__(
        self,
        spec: TaskSpec,
        world: World,
        leaves: Mapping[str, tuple[Documents, Prepared]],
        wanted: int | None,
        english: Callable[[], Sequence[Mapping[str, Any]]],
    ) -> None:
        """Choose.

        Args:
            spec: the task.
            world: the processes.
            leaves: this process's documents of each language that is scored, by number, and the same tokenised.
            wanted: documents of each language, as for `DocumentSample`.
            english: reads the English documents, where they are not scored but others are compared with them.

        Raises:
            RecipeError: for too few documents.
        """
        self._spec, self._languages = spec, list(leaves)
        documents_of = {language: documents for language, (documents, _) in leaves.items()}
        if spec.parallel and SOURCE_LANGUAGE not in documents_of:
            rows = english()
            share = range(world.rank, len(rows), world.size)
            documents_of[SOURCE_LANGUAGE] = {number: rows[number] for number in share}
        self._sample = DocumentSample(world, documents_of, wanted, parallel=spec.parallel)
        self._inputs: dict[str, dict[int, int]] = {}
        for language, (documents, prepared) in leaves.items():
            here, places = self._sample.here(language), {number: place for place, number in enumerate(documents)}
            inputs = first_inputs(prepared, [places[number] for number in here])
            self._inputs[language] = dict(zip(here, inputs, strict=True))
        self.recorder = HiddenStateRecorder([list(inputs.values()) for inputs in self._inputs.values()])

    def build(
        self,
        recipe: Recipe,
        finetuned: TransferModel,
        backbones: Mapping[str, Backbone],
        epochs: EpochModels,
        *,
        progress: bool = False,
    ) -> DiagnosticContext:
        """What was kept, once the predictions with the weights that count are made."""
        taken = {
            language: {number: states[place] for number, place in self._inputs[language].items()}
            for language, states in zip(self._languages, self.recorder.states, strict=True)
        }
        spec, sample, languages = self._spec, self._sample, self._languages
        return DiagnosticContext(
            spec, recipe, sample, languages, finetuned, backbones, taken, epochs, progress=progress
        )
