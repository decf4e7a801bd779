"""The stages of a run: they open files, call the rooms, and write tables into the run folder."""
