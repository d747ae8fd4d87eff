"""Language models for tests: a small random decoder, and one that answers as it is told to."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from lm_eval.api.model import LM

from xglue_harness.benchmark import Kind
from xglue_harness.harness.demo import sample_words
from xglue_harness.prompting.tags import strict_answer

CHAT_TEMPLATE = (
    "{% for message in messages %}<{{ message.role }}>{{ message.content }}</{{ message.role }}>\n{% endfor %}"
    "{% if add_generation_prompt %}<assistant>{% endif %}"
)


def build_decoder(folder: Path) -> None:
    """Write a random GPT-2 of two layers, with a byte-level tokenizer that can spell anything and a chat template."""
    import torch
    from tokenizers import Tokenizer, decoders, pre_tokenizers
    from tokenizers.models import BPE
    from tokenizers.trainers import BpeTrainer
    from transformers import GPT2Config, GPT2LMHeadModel, PreTrainedTokenizerFast

    tokenizer = Tokenizer(BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    trainer = BpeTrainer(
        vocab_size=1500,
        special_tokens=["<end>"],
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    tokenizer.train_from_iterator([f" {word}" for word in sorted(sample_words())], trainer)
    fast = PreTrainedTokenizerFast(tokenizer_object=tokenizer, eos_token="<end>", bos_token="<end>", pad_token="<end>")
    fast.chat_template = CHAT_TEMPLATE
    fast.save_pretrained(folder)
    config = GPT2Config(vocab_size=len(fast), n_positions=2048, n_embd=32, n_layer=2, n_head=2)
    config.bos_token_id = config.eos_token_id = config.pad_token_id = fast.eos_token_id
    with torch.random.fork_rng():
        torch.manual_seed(1234)
        GPT2LMHeadModel(config).save_pretrained(folder)


class ScriptedLM(LM):
    """Knows the right answers, and gives them, others, or none that can be read."""

    def __init__(self, answers: str) -> None:
        """``right``, ``wrong`` or ``malformed``."""
        super().__init__()
        self.answers = answers
        self.requests: list[Any] = []

    @property
    def tokenizer_name(self) -> str:
        """For lm-eval, which asks where a chat template is applied."""
        return "scripted"

    def apply_chat_template(self, chat_history: list[dict[str, str]], add_generation_prompt: bool = True) -> str:
        """Roles and contents."""
        turns = "".join(f"<{turn['role']}>{turn['content']}" for turn in chat_history)
        return f"{turns}<assistant>" if add_generation_prompt else turns

    def loglikelihood(self, requests: Sequence[Any], disable_tqdm: bool = False) -> list[tuple[float, bool]]:
        """0 for the words of one class, -9 for all others; without content all are equal."""
        self.requests += requests
        return [(self._likelihood(request), False) for request in requests]

    def _likelihood(self, request: Any) -> float:
        spec = _spec(request)
        row, choice = divmod(request.idx, len(spec.labels))
        gold = request.doc[spec.label_column]
        if spec.kind is Kind.RANKING:
            gold = gold[row]
        elif row:
            return -1.0
        wrong = len(spec.labels) - 1 - gold if spec.kind is Kind.RANKING else (gold + 1) % len(spec.labels)
        return 0.0 if choice == (gold if self.answers == "right" else wrong) else -9.0

    def generate_until(self, requests: Sequence[Any], disable_tqdm: bool = False) -> list[str]:
        """The strict answer, with right or wrong tags; or chatter."""
        self.requests += requests
        return [self._generation(request) for request in requests]

    def _generation(self, request: Any) -> str:
        spec, doc = _spec(request), request.doc
        if self.answers == "malformed":
            return "I would rather talk about the weather."
        shift = 0 if self.answers == "right" else 2  # of NER, the same sort of tag of another type
        tags = [spec.labels[(tag + shift) % len(spec.labels)] for tag in doc[spec.label_column]]
        return strict_answer(doc["words"], tags)

    def loglikelihood_rolling(self, requests: Sequence[Any], disable_tqdm: bool = False) -> Any:
        """Nobody asks for it."""
        raise NotImplementedError


def _spec(request: Any) -> Any:
    from xglue_harness.benchmark import TASKS

    return TASKS[request.task_name.split("_")[1]]
