"""hapsight: does a sequence-to-expression model know which way a person's gene goes?"""

__version__ = "0.1.0"
