"""Numbers that papers have published, shared by analysis commands and leaderboard.

`paper` holds the tables of Ji et al. 2024 as they are printed; `reference` has every publication as systems with
scores, read strictly, as the leaderboard shows them beside ours.
"""
