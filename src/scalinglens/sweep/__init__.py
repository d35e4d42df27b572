"""Experiments, sweeps of them, and the executors that run them into a store."""
