"""PAWS-X: two wordings of a scene, with the same participants (1) or with two of them swapped (0)."""

from __future__ import annotations

from dataclasses import dataclass
from random import Random

from tools.sample import world
from tools.sample.lexicon import Lexicon
from tools.sample.plan import balanced, split_up, total
from tools.sample.tokens import fill

SWAPPED = {
    "sold": ("a", "b"),
    "worked": ("c", "d"),
    "train": ("c", "d"),
    "final": ("a", "b"),
    "moved": ("c", "d"),
    "older": ("a", "b"),
    "letter": ("a", "b"),
}
"""Each scene of the lexicons and the two slots that a different meaning swaps."""


@dataclass(frozen=True)
class Row:
    """A scene, its participants, the wordings of the two sentences and whether they mean the same."""

    scene: str
    people: tuple[str, str]
    cities: tuple[str, str, str]
    year: int
    wordings: tuple[int, int]
    label: str

    def participants(self) -> object:
        """Who and what the sentences name, whatever the order of the two that may be swapped."""
        if SWAPPED[self.scene] == ("a", "b"):
            return self.scene, frozenset(self.people)
        return self.scene, frozenset(self.cities[:2]), self.cities[2] if self.scene == "train" else self.people[0]

    def slots(self, lexicon: Lexicon, *, swapped: bool) -> dict[str, str]:
        """What fills the wording."""
        names = [lexicon.plain(lexicon.city(key)) for key in self.cities]
        slots = dict(zip("abcdey", [*self.people, *names, str(self.year)], strict=True))
        if swapped:
            x, y = SWAPPED[self.scene]
            slots[x], slots[y] = slots[y], slots[x]
        return slots


def _draw(rng: Random, label: str) -> Row:
    first, last = rng.sample(world.FIRST_NAMES, 2), rng.sample(world.LAST_NAMES, 2)
    wording = rng.randrange(2)
    other = 1 - wording if label == "1" else rng.randrange(2)
    a, b, c = rng.sample(world.CITIES, 3)
    return Row(
        scene=rng.choice(list(SWAPPED)),
        people=(f"{first[0]} {last[0]}", f"{first[1]} {last[1]}"),
        cities=(a, b, c),
        year=rng.randrange(1950, 2020),
        wordings=(wording, other),
        label=label,
    )


def plan(rng: Random) -> dict[str, list[Row]]:
    """Draw the pairs; no participants occur twice in a scene."""
    rows: list[Row] = []
    seen: set[object] = set()
    for part in split_up(range(total())).values():
        for label in balanced(rng, ("0", "1"), len(part)):
            row = _draw(rng, label)
            while row.participants() in seen:
                row = _draw(rng, label)
            seen.add(row.participants())
            rows.append(row)
    return split_up(rows)


def render(row: Row, lexicon: Lexicon) -> list[str]:
    """First sentence, second sentence, label (the id is the writer's)."""
    wordings = lexicon.data["pawsx"][row.scene]
    same = row.slots(lexicon, swapped=False)
    other = row.slots(lexicon, swapped=row.label == "0")
    return [fill(wordings[row.wordings[0]], **same), fill(wordings[row.wordings[1]], **other), row.label]
