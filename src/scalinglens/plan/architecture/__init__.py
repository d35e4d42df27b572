"""Transformers by their shape: parameters and operations, counted term by term."""
