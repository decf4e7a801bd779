"""Measured effects of variants and elements, and the statistics that set models beside them."""
