"""Contributions: what may lie in the tree, and reading it without trusting it."""
