"""Solvable models of learning: their limits in closed form and their training as it really happens."""
