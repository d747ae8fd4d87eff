"""The gate for what strangers write: what a `text` may hold, files of `values`, and `problems` that can be shown."""
