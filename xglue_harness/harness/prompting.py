"""The protocol ``prompt``, as lm-eval meets it: its own ``loglikelihood`` and ``generate_until`` requests.

The context (instruction, few-shot examples, chat template) is built by lm-eval, so ``--num_fewshot``,
``--apply_chat_template``, ``--fewshot_as_multiturn`` and ``--system_instruction`` work as for its own tasks.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

from lm_eval.api.instance import Instance
from lm_eval.api.task import ConfigurableTask

from xglue_harness.benchmark import SOURCE_LANGUAGE
from xglue_harness.errors import RecipeError
from xglue_harness.harness.leaf_task import new_request
from xglue_harness.harness.prompt_record import prompt_record
from xglue_harness.harness.protocol import DOCUMENT, Answer, EvaluationProtocol, Metadata
from xglue_harness.prompting import labels
from xglue_harness.prompting.prompts import content_free, load_prompts
from xglue_harness.prompting.tags import read_tags, strict_answer
from xglue_harness.records.prompt_schema import PromptSettings
from xglue_harness.resources import tasks_folder
from xglue_harness.transfer.leaf import Document

if TYPE_CHECKING:
    from xglue_harness.harness.language_model import LanguageModel
    from xglue_harness.harness.leaf_task import LeafTask
    from xglue_harness.harness.protocol import Scored

_SLACK = 1.5
"""Tokens that an answer may have, to those of the strict answer with the longest tags."""
_METRICS = {"choice": ("acc_norm", "acc_pmi"), "grades": ("ndcg_expected",), "tags": ("unparsable", "untagged")}
"""The protocol's own numbers, by what is asked for (`xglue_harness.kinds.base.TaskKind.asks`)."""


class Prompting(EvaluationProtocol):
    """A language model reads a prompt and gives likelihoods of the classes' words, or generates tags."""

    name = "prompt"

    def __init__(self, task: LeafTask, lm: LanguageModel) -> None:
        """Settle the prompt and put it where lm-eval looks for it.

        Raises:
            PromptError: where the prompts are missing or malformed.
        """
        self.task, self.lm, spec = task, lm, task.spec
        self.prompts, self.prompts_sha256 = load_prompts(spec, tasks_folder())
        self.language = SOURCE_LANGUAGE if task.options.prompt_language == "en" else task.language
        self.prompt = self.prompts.languages[self.language]
        self._generates = task.kind.asks == "tags"
        self.output_type = "generate_until" if self._generates else "multiple_choice"
        self.score_kind = None if self._generates else "log_likelihood"
        self.metrics = _METRICS[task.kind.asks]
        self.choices = list((self.prompt.choices or {}).values())
        self.context: dict[str, Any] = {}
        """What lm-eval was asked to put around the questions."""
        self._neutral: dict[int, list[Instance]] = {}
        """Requests without content that calibrate a document, by its number."""
        self._shared: list[Instance] = []
        task.set_delimiter(self.prompts.delimiter)
        task.set_config("description", f"{self.prompt.description.rstrip()}{task.config.fewshot_delimiter}")
        task.set_config("doc_to_text", self.prompt.question)

    def check(self, documents: int, processes: int) -> None:
        """lm-eval splits the documents; any number but 0 will do. What an earlier run left is forgotten.

        Raises:
            RecipeError: where there are none.
        """
        if not documents:
            raise RecipeError(f"{self.task.config.task}: 0 documents: raise --limit")
        self._neutral, self._shared = {}, []

    # ---------------------------------------------------------------- questions

    def question(self, row: Document) -> str:
        """The question about a row."""
        return str(ConfigurableTask.doc_to_text(self.task, row))

    def target(self, row: Document) -> str:
        """The right answer, as few-shot examples show it."""
        spec, gold = self.task.spec, row[self.task.spec.label_column]
        if self._generates:
            return strict_answer(row["words"], [spec.labels[label] for label in gold])
        return str(self.choices[gold])

    def contexts(self, doc: Document, **arguments: Any) -> list[str]:
        """Prompt of each row; for a class, the prompt without content last, where this document needs its own.

        All of them show the same few-shot examples: rows of a query are ranked against each other, and what calibrates
        an answer differs from it by the content alone.
        """
        spec, draw = self.task.spec, self.task.sampler.rnd
        self.context = arguments
        rows = list(self.task.kind.rows_of(doc))
        shots = arguments.get("num_fewshot", 0)
        if self._calibrates and (shots or not self._shared):
            rows.append(content_free(spec))
        before, prompts = draw.getstate(), []
        for row in rows:
            draw.setstate(before)
            prompts.append(ConfigurableTask.fewshot_context(self.task, row, **arguments))
        return prompts

    @property
    def _calibrates(self) -> bool:
        return "acc_pmi" in self.metrics

    def requests(
        self,
        doc: Document,
        contexts: Sequence[str],
        metadata: Metadata,
        *,
        apply_chat_template: bool = False,
        **_: object,
    ) -> list[Instance]:
        """A likelihood for each class of each row, or one generation for a sentence."""
        delimiter = "" if apply_chat_template else self.prompts.delimiter
        if self._generates:
            # Behind an API a chat's context is no plain str, and has to stay what it is.
            context = f"{contexts[0]}{delimiter}" if delimiter else contexts[0]
            arguments = (context, self._generation(doc["words"], chat=apply_chat_template))
            return [new_request(Instance, "generate_until", doc, arguments, metadata)]
        pairs = [(context, f"{delimiter}{choice}") for context in contexts for choice in self.choices]
        requests = [new_request(Instance, "loglikelihood", doc, pair, metadata, i) for i, pair in enumerate(pairs)]
        if self._calibrates:
            if len(contexts) > 1:
                self._shared = requests[len(self.choices) :]
            self._neutral[doc[DOCUMENT]] = self._shared
        return requests

    def _generation(self, words: Sequence[str], *, chat: bool) -> dict[str, Any]:
        """How to generate the tags of a sentence: greedily, as long as the strict answer can get and some more.

        Lengths are powers of two, for lm-eval batches requests of equal arguments only.
        """
        longest = max(self.task.spec.labels, key=len)
        answer = strict_answer(words, [longest] * len(words))
        encode: Callable[[str], Sequence[int]] | None = getattr(self.lm, "tok_encode", None)
        tokens = len(encode(answer)) if encode is not None else 1
        if tokens <= 1:  # a model that keeps its tokenizer to itself
            tokens = len(answer.encode())
        wanted = 2 ** max(5, (int(tokens * _SLACK) - 1).bit_length())
        limit = getattr(self.lm, "max_length", None)
        budget = min(wanted, limit // 2) if isinstance(limit, int) else wanted
        until = [] if chat else [self.task.config.fewshot_delimiter]
        return {"until": until, "max_gen_toks": budget, **(self.task.config.generation_kwargs or {})}

    # ---------------------------------------------------------------- answers

    def answer(self, doc: Document, results: Sequence[Any]) -> Answer:
        """What the model's answers for a document mean.

        Raises:
            PromptError: for likelihoods that are NaN.
        """
        read = {"choice": self._classified, "grades": self._graded, "tags": self._tagged}[self.task.kind.asks]
        return read(doc, results)

    def _graded(self, doc: Document, results: Sequence[Any]) -> Answer:
        values, count = _loglikelihoods(results), len(self.choices)
        rows = [values[start : start + count] for start in range(0, len(values), count)]
        grades = [labels.likeliest(row) for row in rows]
        expected = [labels.expected_grade(row) for row in rows]
        item = self.task.kind.document_score(doc[self.task.spec.label_column], expected)
        return Answer(grades, rows, {"ndcg_expected": item})

    def _classified(self, doc: Document, results: Sequence[Any]) -> Answer:
        values = _loglikelihoods(results)[: len(self.choices)]
        neutral = [float(request.resps[0][0]) for request in self._neutral[doc[DOCUMENT]]]
        gold = doc[self.task.spec.label_column]
        others = (labels.likeliest_by_length(values, self.choices), labels.likeliest_calibrated(values, neutral))
        metrics = {name: float(choice == gold) for name, choice in zip(self.metrics, others, strict=True)}
        return Answer(labels.likeliest(values), values, metrics)

    def _tagged(self, doc: Document, results: Sequence[Any]) -> Answer:
        words, known = doc["words"], self.task.spec.labels
        tags = read_tags(results[0], words, known, self.prompts.aliases)
        assert self.prompts.fallback is not None
        fallback = known.index(self.prompts.fallback)
        missing = tags.count(None)
        metrics = {"unparsable": (float(missing > 0), 1.0), "untagged": (float(missing), float(len(words)))}
        return Answer([fallback if tag is None else tag for tag in tags], None, metrics)

    def finalize(self, scored: Sequence[Scored]) -> None:
        """Write the record, once all documents are answered."""
        self.task.run = prompt_record(self.task, self.lm, self._settings(), scored)

    def _settings(self) -> PromptSettings:
        task, context = self.task, self.context
        return PromptSettings(
            language=self.language,
            file_sha256=self.prompts_sha256,
            description=self.prompt.description,
            question=self.prompt.question,
            choices=self.prompt.choices,
            delimiter=self.prompts.delimiter,
            num_fewshot=context["num_fewshot"],
            fewshot_seed=task.fewshot_seed,
            chat_template=bool(context.get("apply_chat_template")),
            fewshot_as_multiturn=bool(context.get("fewshot_as_multiturn")),
            system_instruction=context.get("system_instruction"),
            generation=task.config.generation_kwargs if self._generates else None,
        )


def _loglikelihoods(results: Sequence[Any]) -> list[float]:
    return [float(loglikelihood) for loglikelihood, _ in results]
