"""Predict margin calls, and recommend how to avoid them: the public face of the four rooms."""

__version__ = "0.1.0"
