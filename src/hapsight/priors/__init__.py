"""Prior knowledge of genes, people and variants, and what it adds to a prediction."""
