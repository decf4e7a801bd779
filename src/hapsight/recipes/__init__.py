"""Public cohorts, from the places where they lie to a configuration that runs."""
