"""placeholder"""

from training.population.columns import Columns, Population
from training.population.kinds import DEFAULT_MIXTURE, REGIMES, TYPES, Kind
from training.population.linear import sample_population

__all__ = ["DEFAULT_MIXTURE", "REGIMES", "TYPES", "Columns", "Kind", "Population", "sample_population"]
