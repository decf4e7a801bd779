"""hapsight: find out whether a sequence-to-expression model knows which way a person's gene goes."""

__version__ = "0.1.0"
