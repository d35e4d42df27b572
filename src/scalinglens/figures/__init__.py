"""Figures as data (`figures.figure`) and what draws them (`figures.matplotlib`)."""
