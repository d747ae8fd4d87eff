"""Fine-tune on English once, predict every language."""
