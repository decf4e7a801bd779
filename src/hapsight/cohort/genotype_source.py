"""What every source of genotypes offers, whatever its format and however many files it lies in."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from hapsight.cohort.nouns import Dropped, Interval, Variants
from hapsight.cohort.ploidy import Sex
from hapsight.cohort.policies import GenotypePolicy
from hapsight.cohort.reference import Reference

__all__ = ["Genotypes"]


class Genotypes(Protocol):
    """Phased genotypes of some people; may be pickled, forked and shared by processes."""

    @property
    def samples_in_file(self) -> tuple[str, ...]:
        """All people, in the file's order."""

    @property
    def samples(self) -> tuple[str, ...]:
        """The kept people, in the order asked."""

    @property
    def contigs(self) -> tuple[str, ...]:
        """Contigs that have records."""

    @property
    def policy(self) -> GenotypePolicy:
        """Which variants are used, and what to do with bad ones."""

    @property
    def sexes(self) -> dict[str, Sex]:
        """Sex of people, where the files say it."""

    @property
    def paths(self) -> tuple[Path, ...]:
        """Every file that the genotypes depend on, indexes apart."""

    def read(self, interval: Interval, reference: Reference | None = None) -> tuple[Variants, Dropped]:
        """Read the variants whose REF overlaps `interval`, and what was left out of them.

        Raises
        ------
        InputError
            A record offends against a policy of ``"error"``, or a file is damaged.
        """

    @property
    def has_phase_sets(self) -> bool:
        """Whether phased calls come in sets (FORMAT PS or PSL)."""

    def phase_sets(self, variants: Variants) -> NDArray[np.int64]:
        """(V, N) phase set of each heterozygous call of variants (at least one) that were read here.

        Raises
        ------
        InputError
            A file is damaged.
        """

    def expected_records(self, interval: Interval) -> float:
        """About how many records lie in `interval`, from indexes alone; 0 where these do not say.

        Raises
        ------
        InputError
            An index cannot be read.
        """

    def keeping(self, samples: Sequence[str], policy: GenotypePolicy) -> Genotypes:
        """The same files, read for these people and by this policy.

        Raises
        ------
        InputError
            A person is not there, or is asked for twice.
        """
