"""The model card of an exported training: what it is, how it was made and scored, and how to get the same answers."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from xglue_harness.benchmark import SOURCE_LANGUAGE
from xglue_harness.encoders.subwords import glues_words
from xglue_harness.export.description import WEIGHTS
from xglue_harness.export.intervals import interval
from xglue_harness.kinds import kind_of

if TYPE_CHECKING:
    from xglue_harness.export.description import Description
    from xglue_harness.export.trained import Trained
    from xglue_harness.results.run import Run

_HUB_METRICS = {"acc": "accuracy", "f1": "f1", "ndcg": "ndcg"}
_POOLING = {
    "first": "the vector of the first subword",
    "mean": "the mean of all subwords' vectors",
    "max": "the largest value of all subwords' vectors, place by place",
    "eos": "the vector of the last subword",
}
_LICENCES = {
    "ner": "NER's text is Reuters' (CoNLL 2002 and 2003), licensed for research.",
    "pos": "POS is from Universal Dependencies, whose treebanks have licences of their own (CC BY-SA and others).",
}
_WORDS = """\
from bisect import bisect_right
from itertools import accumulate

from transformers import pipeline

tagger = pipeline("token-classification", model=PATH)  # this folder, or its name on the Hub


def tags(words):
    \"\"\"The class of each word, by its first subword; None for words beyond {length} subwords.\"\"\"
    starts = [*accumulate((len(word) + 1 for word in words), initial={start})][:-1]
    first = {{}}
    for piece in tagger([{given}, ignore_labels=[])[0]:
        first.setdefault(bisect_right(starts, max(piece["start"], piece["end"] - 1)) - 1, piece["entity"])
    return [first.get(place) for place in range(len(words))]
"""
_TEXTS = """\
from transformers import pipeline

classify = pipeline("text-classification", model=PATH)  # this folder, or its name on the Hub
classify({given}, truncation=True)
"""
_OURS = """\
from xglue_harness.export import load

model = load(PATH)  # this folder
model.predict([{row}], "{language}")
"""


def card(trained: Trained, description: Description, family_class: str | None, runs: Sequence[Run]) -> str:
    """The text of ``README.md``.

    Args:
        trained: the model.
        description: what lies beside it.
        family_class: transformers' class that loads it; ``None``: only ours does.
        runs: test scores of these weights, a language each.
    """
    spec, backbone = trained.spec, description.backbone
    sections = [
        f"---\n{_front_matter(trained, description, family_class, runs)}\n---",
        f"# {Path(backbone.name).name}, fine-tuned on XGLUE {spec.title}",
        f"An encoder that was fine-tuned on the English training set of XGLUE's {spec.title} "
        f"({', '.join(spec.labels)}) by xglue-harness, to be used in other languages without training in them.",
        *_warnings(runs),
        "## Scores",
        *_scores(trained, runs),
        "## Use",
        *_use(trained, family_class),
        "## How it was made",
        *_making(trained, description),
        "## Data and licences",
        "XGLUE (Liang et al. 2020, arXiv:2004.01401) is for research only. "
        + (f"{_LICENCES[spec.name]} " if spec.name in _LICENCES else "")
        + f"The licence of {backbone.name} holds for these weights, too: read it before you pass them on.",
    ]
    return "\n\n".join(sections) + "\n"


def _front_matter(trained: Trained, description: Description, family_class: str | None, runs: Sequence[Run]) -> str:
    from huggingface_hub import EvalResult, ModelCardData

    spec, name = trained.spec, description.backbone.name
    use = "token-classification" if kind_of(spec).per_word else "text-classification"
    official = [run for run in runs if not run.sample and not run.unofficial]
    results = [
        EvalResult(
            task_type=use,
            dataset_type="microsoft/xglue",
            dataset_name=f"XGLUE {spec.title} ({run.language})",
            dataset_config=spec.name,
            dataset_split=f"test.{run.language}",
            metric_type=_HUB_METRICS[spec.metric],
            metric_value=run.score.value,
        )
        for run in official
        if run.score is not None
    ]
    data = ModelCardData(
        language=sorted({SOURCE_LANGUAGE, *(run.language for run in runs)}),
        library_name="transformers" if family_class else "xglue-harness",
        pipeline_tag=use,
        base_model=None if Path(name).is_absolute() or Path(name).exists() else name,
        tags=["xglue", "cross-lingual-transfer", f"xglue-{spec.name}"],
        model_name=f"{Path(name).name} on XGLUE {spec.title}" if results else None,
        eval_results=results or None,
    )
    return str(data.to_yaml()).strip()


def _warnings(runs: Sequence[Run]) -> Iterator[str]:
    if any(run.sample for run in runs):
        yield "**SAMPLE: trained and scored on the packaged toy. The scores mean nothing.**"
    if lines := [*dict.fromkeys(line for run in runs for line in run.unofficial)]:
        yield f"**UNOFFICIAL data: scores do not compare with those on XGLUE: {'; '.join(lines)}.**"
    if reasons := [f"{run.language}: {reason}" for run in runs if run.record for reason in run.record.flags.reasons]:
        yield f"**COLLAPSED: these are not scores of an encoder that learnt the task: {'; '.join(reasons)}.**"


def _scores(trained: Trained, runs: Sequence[Run]) -> Iterator[str]:
    spec = trained.spec
    if runs:
        yield (
            f"On the test sets, measured by `{spec.metric}` (0 to 1), with a 95% interval over test documents, which "
            "says nothing of other seeds; beside it the score of XGLUE's own evaluator."
        )
        rows = [
            (
                run.language,
                _number(None if run.score is None else run.score.value),
                interval(run.score),
                _number(run.official),
            )
            for run in runs
        ]
        yield _table(("language", spec.metric, "95% interval", "official"), rows)
    dev: dict[str, float] = {}  # of a mean nobody scored them
    if trained.weights.averaged == 1:
        epochs = trained.entry.training["epochs"]
        dev = next((one["dev"] for one in epochs if one["epoch"] == trained.weights.epoch), {})
    if dev:
        yield f"On the dev sets, after these {trained.weights.epoch:g} epochs, which an epoch may have been chosen by:"
        yield _table(("language", spec.metric), [(language, _number(score)) for language, score in sorted(dev.items())])
    if not runs and not dev:
        yield "None were given when it was exported (`--results`)."


def _use(trained: Trained, family_class: str | None) -> Iterator[str]:
    spec, length = trained.spec, trained.recipe.max_length
    tokenizer, tagging = trained.backbone.tokenizer, kind_of(spec).per_word
    if family_class is None:
        yield (
            f"The family's own classes in transformers compute another head, so the weights lie in `{WEIGHTS}`, and "
            "no class of transformers takes them by mistake. xglue-harness reads them (`pip install xglue-harness`):"
        )
    else:
        yield f"It is a `{family_class}` of transformers, and its scores are those of the model that was trained."
        if tagging and tokenizer.is_fast:
            glued = glues_words(tokenizer)
            given = '" " + " ".join(words)]' if glued else "words], is_split_into_words=True"
            yield _code(_WORDS.format(length=length, start=int(glued), given=given))
            yield (
                "The benchmark's answer for a word is that for its first subword, so the pipeline's own aggregation "
                "is not it. Words come as the data have them, already split"
                + (", with a blank before the first one, too." if glued else ".")
            )
        elif not tagging:
            first, second = " + ' ' + ".join(spec.text_a), " + ' ' + ".join(spec.text_b)
            yield _code(_TEXTS.format(given=f'{{"text": {first}, "text_pair": {second}}}' if second else first))
        yield (
            f"The tokenizer cuts inputs at {length} subwords, as in training. "
            + ("Longer sentences need windows, which" if tagging else "What")
            + " xglue-harness makes as the benchmark does (`pip install xglue-harness`):"
        )
    row = ", ".join(f'"{name}": {"[...]" if tagging else "..."}' for name in (*spec.text_a, *spec.text_b))
    yield _code(_OURS.format(row=f"{{{row}}}", language=spec.languages[0]))


def _making(trained: Trained, description: Description) -> Iterator[str]:
    recipe, backbone, averaged = trained.recipe, description.backbone, trained.weights.averaged
    yield (
        f"From {backbone.name}"
        + (f" at revision {backbone.revision}" if backbone.revision else "")
        + f" (SHA-256 of the encoder's weights {backbone.weights_sha256}), after {trained.weights.epoch:g} of "
        f"{recipe.epochs:g} epochs"
        + (f", the mean of the weights at the ends of {averaged} of them. " if averaged > 1 else ". ")
        + (
            "A word's class is read from the vector of its first subword."
            if kind_of(trained.spec).per_word
            else f"A text is {_POOLING[recipe.pooling]}, then a dense layer with tanh, then a linear one."
        )
        + f" It was trained and scored in {recipe.precision}; the weights are in fp32."
        + ("" if recipe.precision == "fp32" else " In fp32, a close choice may fall otherwise.")
    )
    rows = [(name, f"`{value}`") for name, value in recipe.model_dump().items()]
    yield _table(("option", "value"), [*rows, ("training's key", f"`{description.store_key}`")])
    yield "Versions: " + ", ".join(f"{name} {version}" for name, version in description.versions.items()) + "."


def _number(value: float | None) -> str:
    return "-" if value is None else f"{value:.4f}"


def _code(text: str) -> str:
    return f"```python\n{text}```"


def _table(heads: Sequence[str], rows: Sequence[Sequence[Any]]) -> str:
    lines = [heads, ["---"] * len(heads), *rows]
    return "\n".join(f"| {' | '.join(map(str, line))} |" for line in lines)
