"""Tests of the Arrow endpoint."""
