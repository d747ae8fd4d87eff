"""The gate for what strangers write."""
