"""Predictions of a fine-tuned encoder: one pass over all languages."""
