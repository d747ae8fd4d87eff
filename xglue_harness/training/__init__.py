"""Fine-tuning an encoder on English, once for each recipe."""
