"""Replay of policies on real markets: what the predictor said at every decision, for the rules that decide."""
