"""Sweeps: many trainings from one file, as a queue of jobs in a shared folder that any number of workers take from."""
