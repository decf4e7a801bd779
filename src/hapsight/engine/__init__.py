"""Running a model on what is distinct among people's haplotypes; nothing of who does the work."""
