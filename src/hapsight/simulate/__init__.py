"""Cohorts whose truth is known: real haplotypes copied piece by piece, expression by a known grammar."""
