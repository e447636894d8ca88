"""Replay of rules for collateral: many accounts, months of bars, one policy, the same chance for every rule.

Every account has one lever: the asset with which it is helped. What it needs of it bar by bar is walked once
(`watch`), and so is what the predictor says about more and more of it at every decision (`epochs`); after that a rule
is some arithmetic (`run`). Executed transfers are checked against the policy by code that shares nothing with what
ordered them (`check`).
"""
