"""The work of ``xglue-harness probe``: a frozen encoder on all tasks, in all languages, layer by layer."""

from __future__ import annotations

import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from tqdm import tqdm

from xglue_harness.analyze.output import DataMark, Output
from xglue_harness.analyze.sentences import read_texts
from xglue_harness.analyze.summary import Summary, number, short_name
from xglue_harness.atomic import replacing
from xglue_harness.benchmark import SOURCE_LANGUAGE, TASKS
from xglue_harness.data import Source, fingerprint, open_source, unofficial
from xglue_harness.encoders.checks import device_of
from xglue_harness.encoders.languages import NLLB_CODES
from xglue_harness.encoders.loading import load_backbone
from xglue_harness.encoders.unknown import unknown_shares, warning
from xglue_harness.errors import DataError
from xglue_harness.kinds import kind_of
from xglue_harness.probing.bitext import BitextProbe, ParallelTexts, xnli_premises
from xglue_harness.probing.opening import check_packages, frozen_encoder
from xglue_harness.probing.recipe import probe_recipe
from xglue_harness.probing.run import TaskProbe, prepare_probe
from xglue_harness.probing.states import keep_states
from xglue_harness.records.predictions import Header, RowPredictions, encoded

if TYPE_CHECKING:
    from xglue_harness.benchmark import TaskSpec
    from xglue_harness.probing.files import ResultFiles
    from xglue_harness.probing.frozen_encoder import FrozenEncoder
    from xglue_harness.probing.run import ProbeScore

BITEXT = "bitext"
READ = 512
"""Rows of a test set that are looked at for subwords that the tokenizer does not know."""
_NO_MTEB = "no result files of mteb: they need pip install 'xglue-harness[mteb]' (Python 3.11 or later)"


@dataclass(frozen=True)
class Wishes:
    """What is asked for.

    Attributes:
        tasks: short names, ``bitext`` among them; ``None``: all that the data have.
        languages: those wanted; ``None``: all that there are.
        layers: ``last``, ``all``, or numbers with commas.
        pooling: of a text's subwords; ``auto``: what the checkpoint says, else the mean.
        max_length: subwords of a text; less where the encoder can't read as many.
        train_rows: English rows that a probe is fitted on.
        max_disk: GB that states may take.
        seed: draws those rows.
        device: ``cuda``, ``cpu``, ...; ``None``: a GPU where there is one.
    """

    tasks: Sequence[str] | None
    languages: Sequence[str] | None
    layers: str
    pooling: str
    max_length: int
    train_rows: int
    max_disk: float | None
    seed: int
    device: str | None

    def numbers(self, encoder: FrozenEncoder) -> list[int]:
        """The layers by number.

        Raises:
            DataError: for what is no number.
            EncoderError: for a layer that the encoder does not have.
        """
        if self.layers in ("last", "all"):
            return encoder.layers(None if self.layers == "last" else range(encoder.last + 1))
        try:
            return encoder.layers([int(layer) for layer in self.layers.split(",")])
        except ValueError:
            raise DataError(f"--layers {self.layers}: expected last, all, or numbers such as 0,6,12") from None


@dataclass
class _Work:
    """Everything that is to be probed, and what has come of it."""

    source: Source | None
    probes: list[TaskProbe] = field(default_factory=list)
    bitext: BitextProbe | None = None
    files: dict[str, str] = field(default_factory=dict)
    unlike: list[str] = field(default_factory=list)
    rows: list[dict[str, Any]] = field(default_factory=list)


def probe_model(name: str, data: str | None, parallel: Path | None, wishes: Wishes, out: Output) -> Summary:
    """Probe an encoder; tables, figure, record, predictions and mteb's files are written.

    Args:
        name: of the encoder: Hub id (``@revision``) or folder.
        data: as the option ``data`` of a run.
        parallel: a folder of parallel texts for bitext mining, in place of XNLI's premises.
        wishes: what is asked for.
        out: where to.

    Raises:
        DataError: where data are missing, states would not fit on the disk, or a wish can't be met.
        EncoderError: where the encoder can't be used.
    """
    device = device_of(wishes.device or ("cuda" if torch.cuda.is_available() else "cpu"))
    source, tasks = _tasks(data, parallel, wishes)
    if tasks != [BITEXT]:
        check_packages()
    backbone = load_backbone(name, device)
    ways: Any = {"pooling": wishes.pooling, "max_length": wishes.max_length}
    encoder = frozen_encoder(backbone, name, **ways, progress=True)
    layers = wishes.numbers(encoder)
    work = _prepared(source, tasks, parallel, encoder, wishes)
    out.data = _mark(work)
    unknown = unknown_shares(backbone.tokenizer, _texts(work))
    parts = [part for probe in work.probes for part in probe.parts]
    parts += [] if work.bitext is None else work.bitext.states.values()
    start = time.monotonic()
    keep_states([(encoder, parts, layers)], max_disk=wishes.max_disk)
    computing = time.monotonic() - start
    results = _result_files(out.folder / "mteb", encoder)
    _score(work, layers, results, out, name)
    out.table("probes", work.rows)
    out.figure("probes", "probe_lines", _drawn(work.rows), title=f"{short_name(name)}, frozen")
    told = {"unknown_subwords": unknown}
    out.record("probes", device, told | _facts(work, encoder, layers, wishes, computing, time.monotonic() - start))
    summary = _summary(work.rows, layers)
    summary.remark = warning(name, unknown)
    return summary


def _texts(work: _Work) -> dict[str, list[str]]:
    """By language, the first texts of what is predicted, of each task."""
    texts: dict[str, list[str]] = {}
    for probe in work.probes:
        kind = kind_of(probe.spec)
        for language, test in probe.tests.items():
            texts.setdefault(language, []).extend(map(kind.row_text, islice(test.rows.rows, READ)))
    for language, mined in ({} if work.bitext is None else work.bitext.texts.by_language).items():
        texts.setdefault(language, []).extend(mined[:READ])
    return texts


def _tasks(data: str | None, parallel: Path | None, wishes: Wishes) -> tuple[Source | None, list[str]]:
    """The source, and the tasks by name: those that were asked for, or all that can be probed."""
    if wishes.tasks is not None:
        known = [*TASKS, BITEXT]
        if strange := [name for name in wishes.tasks if name not in known]:
            raise DataError(f"--tasks: no task {', '.join(map(repr, strange))}; there are {', '.join(known)}")
        if not wishes.tasks:
            raise DataError("--tasks names none")
        if [*wishes.tasks] == [BITEXT] and parallel is not None:
            return None, [BITEXT]
        return open_source(data), [name for name in known if name in wishes.tasks]
    source = open_source(data)
    there = [name for name, spec in TASKS.items() if source.available(spec, "train") and source.available(spec)]
    several = len(source.available(TASKS["xnli"])) > 1
    return source, [*there, *([BITEXT] if several or parallel is not None else [])]


def _prepared(
    source: Source | None, tasks: Sequence[str], parallel: Path | None, encoder: FrozenEncoder, wishes: Wishes
) -> _Work:
    """Read and tokenise all that is to be probed."""
    work = _Work(source)
    for name in tasks:
        if name == BITEXT:
            work.bitext = BitextProbe.of(encoder, _parallel(source, parallel, wishes))
        else:
            work.probes.append(_probe(work, TASKS[name], encoder, wishes))
    return work


def _probe(work: _Work, spec: TaskSpec, encoder: FrozenEncoder, wishes: Wishes) -> TaskProbe:
    source = work.source
    assert source is not None
    there = source.available(spec)
    chosen = [language for language in there if wishes.languages is None or language in wishes.languages]
    if not chosen:
        raise DataError(
            f"{source.description} has no test set of {spec.title} in {', '.join(wishes.languages or ['any language'])}"
        )
    ways: Any = {"pooling": encoder.pooling, "max_length": encoder.max_length}
    recipe = probe_recipe(spec, **ways, seed=wishes.seed, train_rows=wishes.train_rows)
    train = source.load(spec, "train", SOURCE_LANGUAGE)
    splits = [("train", SOURCE_LANGUAGE, train)]
    splits += [("test", language, source.load(spec, "test", language)) for language in chosen]
    for split, language, loaded in splits:
        work.files.update(loaded.files)
        work.unlike += unofficial(source, spec, split, language, len(loaded.dataset))
    tests = {language: kind_of(spec).documents(loaded.dataset) for _, language, loaded in splits[1:]}
    return prepare_probe(encoder, spec, recipe, train.dataset, tests)


def _parallel(source: Source | None, folder: Path | None, wishes: Wishes) -> ParallelTexts:
    if folder is None:
        assert source is not None
        return xnli_premises(source, wishes.languages)
    texts = read_texts(folder, wishes.languages, None)
    if len(texts.by_language) < 2:
        raise DataError(f"{folder}: bitext mining needs two languages")
    if strange := [language for language in texts.by_language if language not in NLLB_CODES]:
        raise DataError(f"{folder}: no language {', '.join(strange)}; there are {', '.join(NLLB_CODES)}")
    return ParallelTexts(folder.name, texts.by_language, fingerprint(texts.files))


def _mark(work: _Work) -> DataMark:
    if work.source is None:
        return DataMark("text")
    return DataMark("SAMPLE" if work.source.is_sample else "UNOFFICIAL" if work.unlike else "XGLUE", work.unlike)


def _result_files(folder: Path, encoder: FrozenEncoder) -> ResultFiles | None:
    try:
        from xglue_harness.probing.files import ResultFiles
    except ModuleNotFoundError as error:
        if (error.name or "").partition(".")[0] not in ("mteb", "sentence_transformers"):
            raise
        print(_NO_MTEB, file=sys.stderr)  # noqa: T201
        return None
    return ResultFiles(folder, encoder)


def _score(work: _Work, layers: Sequence[int], results: ResultFiles | None, out: Output, model: str) -> None:
    steps = [(layer, probe) for probe in work.probes for layer in layers]
    for layer, probe in tqdm(steps, desc="probes", unit="layer", leave=False):
        start = time.monotonic()
        scores = probe.score(layer)
        theirs: Mapping[str, Any] = {}
        if results is not None and work.source is not None:
            theirs = results.add_task(work.source, probe, scores, time.monotonic() - start)
        for one in scores:
            _keep(probe, one, out)
            row = {"model": model, "task": probe.spec.name, "metric": probe.spec.metric, "language": one.language}
            row |= {"layer": layer, "score": one.score, "score_by_cosine": one.ranking}
            row |= {"mteb_metric": theirs.get("metric"), "mteb_score": theirs.get(one.language)}
            work.rows.append(row)
    if work.bitext is not None:
        for layer in tqdm(layers, desc="bitext", unit="layer", leave=False):
            _mine(work, work.bitext, layer, results, model)


def _mine(work: _Work, bitext: BitextProbe, layer: int, results: ResultFiles | None, model: str) -> None:
    start = time.monotonic()
    mined = bitext.score(layer)
    theirs: Mapping[str, Any] = {}
    if results is not None:
        theirs = results.add_bitext(bitext, mined, time.monotonic() - start)
    for one in mined:
        row = {"model": model, "task": BITEXT, "metric": "f1", "language": one.pair, "layer": layer}
        row |= {"score": one.scores["f1"], "score_by_cosine": None}
        work.rows.append({**row, "mteb_metric": theirs.get("metric"), "mteb_score": theirs.get(one.pair)})


def _keep(probe: TaskProbe, one: ProbeScore, out: Output) -> None:
    """Write the predictions of a language in a layer, in the form that a run's have."""
    rows, spec = probe.tests[one.language].rows, probe.spec
    assert one.scored is not None
    header = Header(
        task=spec.name, language=one.language, protocol="probe", scores="log_probability", rows=len(rows.rows)
    )
    kind = kind_of(spec)
    scores = [list(score) for document in one.scores for score in kind.by_row(document)]
    found = RowPredictions(header, rows.documents, range(len(rows.rows)), rows.gold, one.scored.predicted, scores)
    path = out.folder / "predictions" / f"{spec.name}_{one.language}_layer_{one.layer:02d}.parquet"
    with replacing(path) as temporary:
        temporary.write_bytes(encoded(found))
    out.written.append(path)


def _facts(
    work: _Work, encoder: FrozenEncoder, layers: Sequence[int], wishes: Wishes, computing: float, total: float
) -> dict[str, Any]:
    backbone = encoder.backbone
    return {
        "encoder": {
            "name": backbone.name,
            "revision": backbone.revision,
            "model_type": backbone.config.model_type,
            "weights_sha256": encoder.identity.weights,
            "batches": backbone.batch_rule,
        },
        "text_files": work.files,
        "layers": list(layers),
        "layer_0": "what the embeddings give; the last one is the encoder's output",
        "recipes": {probe.spec.name: {"key": probe.recipe.key, **probe.recipe.model_dump()} for probe in work.probes},
        "bitext": None if work.bitext is None else work.bitext.texts.name,
        "seed": wishes.seed,
        "seconds": {"states": round(computing, 3), "all": round(total, 3)},
    }


def _drawn(rows: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """The rows of the figure: bitext mining into English alone, by the other language."""
    drawn = []
    for row in rows:
        if row["task"] != BITEXT:
            drawn.append({**row, "task": TASKS[row["task"]].title})
        elif row["language"].endswith(f"-{SOURCE_LANGUAGE}"):
            drawn.append({**row, "task": f"bitext, to {SOURCE_LANGUAGE}", "language": row["language"].split("-")[0]})
    return drawn


def _summary(rows: Sequence[Mapping[str, Any]], layers: Sequence[int]) -> Summary:
    """Each language's score in the last layer that was probed, and in the best for the task's mean."""
    last = layers[-1]
    heads = ("task", "language", "metric", f"layer {last}", "best", "in layer", f"mteb, layer {last}")
    note = "best: the layer with the highest mean over languages; chosen on the test sets"
    summary = Summary(heads, note, names=2)
    for task in dict.fromkeys(row["task"] for row in rows):
        own = {(row["language"], row["layer"]): row for row in rows if row["task"] == task}
        languages = list(dict.fromkeys(language for language, _ in own))
        means = {layer: sum(own[name, layer]["score"] for name in languages) / len(languages) for layer in layers}
        best = max(layers, key=lambda layer: (means[layer], layer))
        for language in languages:
            row = own[language, last]
            theirs = "-" if row["mteb_score"] is None else f"{row['mteb_metric']} {number(row['mteb_score'], 3)}"
            shown = number(row["score"], 3), number(own[language, best]["score"], 3)
            summary.add(task, language, row["metric"], *shown, str(best), theirs)
        summary.add(task, "mean", "", number(means[last], 3), number(means[best], 3), str(best), "")
    return summary
