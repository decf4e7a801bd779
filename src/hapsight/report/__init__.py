"""Tables of a run -> one HTML file that explains itself and works offline."""
