"""On-chain venues: their margin rules in their own integers, and as schedules for the fast engine.

Every venue has a module with the rule as it is published and three functions that fold it for a position of
one size: ``maintenance_schedule``, ``initial_rate`` and ``collateral_schedule``. `parameters` holds the dated
parameters of each venue.
"""
