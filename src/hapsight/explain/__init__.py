"""From a model to variants: what drives a prediction, and whether its direction can be trusted."""
