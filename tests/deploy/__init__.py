"""Tests of the files that put the server somewhere."""
