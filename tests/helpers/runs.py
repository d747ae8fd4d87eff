"""Options of a run that is over in seconds."""

from __future__ import annotations

QUICK = {
    "data": "sample",
    "dev": "none",
    "epochs": 1,
    "train_limit": 32,
    "learning_rate": 1e-3,
    "batch_size": 16,
    "max_length": 64,
}
