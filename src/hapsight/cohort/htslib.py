"""What htslib says by itself: nothing."""

from __future__ import annotations

import pysam
from cyvcf2.cyvcf2 import set_htslib_log_level

__all__ = ["hush_htslib"]


def hush_htslib() -> None:
    """Keep both copies of htslib, pysam's and cyvcf2's, from writing to standard error.

    Their complaints quote the file, names of people and genotypes included; ours, which follow, do not.
    """
    pysam.set_verbosity(0)
    set_htslib_log_level(0)
