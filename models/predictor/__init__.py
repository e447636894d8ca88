"""The predictor: prior, residual trees, calibration, size; stored as data."""

from models.predictor.calibration import Calibration
from models.predictor.predictor import MarginCallPredictor, schema_hash
from models.predictor.size import SizeModel, size_inputs

__all__ = ["Calibration", "MarginCallPredictor", "SizeModel", "schema_hash", "size_inputs"]
