"""Clusters of accelerators: time, money, energy and memory."""
