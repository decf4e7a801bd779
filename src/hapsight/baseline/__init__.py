"""Predictors of expression from genotypes alone, to compare sequence models with."""
