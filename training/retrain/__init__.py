"""Retraining that may run at night: a challenger is trained, judged beside the champion, and promoted or not."""

from training.retrain.evidence import Evidence, gather
from training.retrain.gate import Check, Decision, Gate, decide, load_gate
from training.retrain.job import Retraining, RetrainSettings, retrain
from training.retrain.lock import only_one
from training.retrain.triggers import Reason, Triggers, due

__all__ = [
    "Check",
    "Decision",
    "Evidence",
    "Gate",
    "Reason",
    "RetrainSettings",
    "Retraining",
    "Triggers",
    "decide",
    "due",
    "gather",
    "load_gate",
    "only_one",
    "retrain",
]
