"""Charts as inline SVG: colours follow the page (light, dark, print), every series has a mark of its own."""

from training.report.drawing.charts import fan_chart, interval_chart, line_chart
from training.report.drawing.series import Band, Series

__all__ = ["Band", "Series", "fan_chart", "interval_chart", "line_chart"]
