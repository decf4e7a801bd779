"""Personal sequences: both haplotypes of every person in a window around a TSS."""
