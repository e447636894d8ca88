"""Populations, labels, fitting, evaluation and the model registry."""
