"""What starts workers: this process, Ray, or Slurm. An engine knows nothing of trainings; a worker is `work`'s."""
