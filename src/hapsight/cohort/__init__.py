"""Files become validated nouns: reference, genotypes, genes, expression, covariates, people."""
