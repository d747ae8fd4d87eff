"""XNLI: entailed is what leaves something out, contradictory what negates, neutral what adds something."""

from __future__ import annotations

from dataclasses import dataclass, replace
from random import Random

from tools.sample import world
from tools.sample.clauses import Clause, draw_clause, sentence
from tools.sample.lexicon import Lexicon
from tools.sample.plan import balanced, distinct, split_up, total

LABELS = ("entailment", "neutral", "contradiction")
OTHER_VERB = 0.2
"""Share of the neutral hypotheses that tell of another action instead of adding to the same one."""


@dataclass(frozen=True)
class Row:
    """A premise, a hypothesis and the label."""

    premise: Clause
    hypothesis: Clause
    label: str


def _entailed(rng: Random, premise: Clause) -> Clause:
    weaker = (
        replace(premise, time=""),
        replace(premise, place=""),
        replace(premise, time="", place=""),
        replace(premise, subject="somebody"),
        replace(premise, subject="somebody", time=""),
    )
    return rng.choice(weaker)


def _neutral(rng: Random, premise: Clause) -> Clause:
    shorter = rng.choice((premise, replace(premise, time="")))
    if rng.random() >= OTHER_VERB:
        extras = [extra for extra in world.EXTRAS if (premise.verb, extra) not in world.UNLIKELY]
        return replace(shorter, extra=rng.choice(extras))
    verbs = [verb for verb in world.VERBS if verb != premise.verb and (verb, premise.place) not in world.UNLIKELY]
    return replace(shorter, verb=rng.choice(verbs))


def _contradicting(rng: Random, premise: Clause) -> Clause:
    denied = replace(premise, negative=True)
    return rng.choice((denied, replace(denied, time=""), replace(denied, place="")))


def plan(rng: Random) -> dict[str, list[Row]]:
    """Draw the rows; no premise occurs twice."""
    make = {"entailment": _entailed, "neutral": _neutral, "contradiction": _contradicting}
    premises = split_up(distinct(total(), lambda: draw_clause(rng)))
    return {
        split: [
            Row(premise, make[label](rng, premise), label)
            for premise, label in zip(clauses, balanced(rng, LABELS, len(clauses)), strict=True)
        ]
        for split, clauses in premises.items()
    }


def render(row: Row, lexicon: Lexicon) -> list[str]:
    """Premise, hypothesis, label."""
    return [sentence(lexicon, row.premise), sentence(lexicon, row.hypothesis), row.label]
