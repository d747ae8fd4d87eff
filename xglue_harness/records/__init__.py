"""What a result carries beside its score."""
