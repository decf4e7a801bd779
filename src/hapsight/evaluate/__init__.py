"""Statistics of the studies: arrays in, numbers out; no torch, no files."""
