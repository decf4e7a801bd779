"""Tables of a run -> one HTML file that explains itself and works offline."""

from hapsight.report.build import build_report

__all__ = ["build_report"]
