"""Comparisons that anyone can run: two programs in turn, so that a ratio holds on a noisy machine."""
