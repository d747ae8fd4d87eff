"""Checkpoints of other toolkits, made into folders that transformers' ``AutoModel`` loads."""
