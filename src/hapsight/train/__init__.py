"""Training of sequence models: on the reference genome, and on people."""
