"""Correlations, nulls, direction, eQTLs: statistics of predictions beside expression."""
