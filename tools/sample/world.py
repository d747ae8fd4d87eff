"""What the rows speak of: keys that every lexicon spells in its own language, and names that need no translation."""

from __future__ import annotations

SUBJECTS = (
    "teacher",
    "doctor",
    "student",
    "farmer",
    "neighbour",
    "baker",
    "driver",
    "gardener",
    "tourist",
    "journalist",
    "engineer",
    "singer",
    "cook",
    "merchant",
)
VERBS = (
    "read",
    "write",
    "drink",
    "eat",
    "sing",
    "buy",
    "sell",
    "repair",
    "paint",
    "boil",
    "seek",
    "plant",
    "photo",
    "carry",
)
PLACES = ("garden", "park", "village", "market", "station", "courtyard", "river", "house")
TIMES = ("today", "now", "morning", "afternoon", "evening", "break")
EXTRAS = ("friend", "first", "brother", "joy", "alone")
GOODS = ("books", "tickets", "apples", "pens", "bicycle", "apple", "clock", "box")
NAMES = ("david", "daniel", "adam", "martin", "robert", "victor")
CITIES = ("paris", "london", "berlin", "rome", "vienna", "madrid", "lisbon", "prague")

UNLIKELY = frozenset(
    {
        ("plant", "market"),
        ("plant", "station"),
        ("buy", "garden"),
        ("buy", "courtyard"),
        ("buy", "river"),
        ("boil", "station"),
        ("seek", "first"),
        ("seek", "joy"),
    }
)
"""Verb and place (or addition) that do not go together in the world."""

FIRST_NAMES = ("Anna", "Lukas", "Ines", "Peter", "Sofia", "Jan", "Elena", "Omar", "Clara", "Hugo", "Marta", "Paul")
LAST_NAMES = (
    "Berg",
    "Moreau",
    "Castillo",
    "Novak",
    "Rossi",
    "Visser",
    "Petrova",
    "Haddad",
    "Winter",
    "Lind",
    "Silva",
    "Keller",
)
ORGANISATIONS = (
    "Nordlicht Media",
    "Alba Bank",
    "Ferrovar",
    "Talon Motors",
    "Kestrel Air",
    "Lumenia Energy",
    "Orbisa",
    "Vega Software",
    "Delta Foods",
    "Aurora Records",
)
"""Invented companies."""
