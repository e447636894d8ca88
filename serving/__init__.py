"""The prediction API, its settings and its state."""
