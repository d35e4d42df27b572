"""Numerical methods without domain words: robust batched minimisation, linear algebra over lanes, resampling."""
