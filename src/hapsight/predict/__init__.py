"""The engine that runs models on personal sequences, and the store that its results go to."""
