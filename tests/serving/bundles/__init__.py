"""Tests of the models of a running server."""
