"""What is kept by content: fine-tuned encoders and tokens; the same work is done once on a machine."""
