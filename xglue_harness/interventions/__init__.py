"""What becomes of a score when states no longer tell their language."""
