"""What a run is: configuration, folder, store, units of work, arms, and who does the work."""
