"""Sequence-to-expression models behind one protocol; none knows of people or genes."""
