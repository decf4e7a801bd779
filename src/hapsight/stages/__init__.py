"""The stages of a run, one subject a file; `hapsight.pipeline` has their order."""
