"""Substitutions under a credit support annex: what may be exchanged, when it comes back, and what it saves."""
