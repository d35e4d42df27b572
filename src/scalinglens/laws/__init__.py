"""What may be true: laws as formulas, and the catalogue of published ones."""
