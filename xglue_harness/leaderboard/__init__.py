"""The leaderboard: backbones and results that people contribute, checked, compared and shown.

They are read in `contributions`, judged in `validation`, compared in `ranking` and shown in `site`; `add` puts new
results into the tree.
"""
