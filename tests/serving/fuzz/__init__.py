"""Tests of the server with what nobody would send."""
