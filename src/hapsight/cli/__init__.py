"""The command line; importing it brings no heavy package."""
