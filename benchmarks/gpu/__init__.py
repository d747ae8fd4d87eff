"""What a CUDA machine must show: checks that numbers stay the same there, and speeds beside a plain `Trainer`."""
