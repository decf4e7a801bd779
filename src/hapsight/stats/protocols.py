"""The choices of each study under one name, which goes with every number."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Final, Literal

__all__ = ["PROTOCOLS", "Protocol", "headlines", "protocol_named"]


@dataclass(frozen=True, slots=True)
class Protocol:
    """What a study compared, and by which numbers it is told.

    Attributes
    ----------
    statistic
        The correlation over people, gene by gene, that leads the summary.
    test
        Which of `hapsight.stats.nulls.TESTS` gives ``qval`` and the significant genes that lead the
        summary. All others are computed and shown beside it.
    variants
        Which variants enter personal sequences; ``None`` leaves it to the configuration.
    haplotypes
        How a person's two haplotypes become the person's value.
    expression
        How the study treated expression, in words; the configuration does it.
    """

    name: str
    statistic: Literal["pearson", "spearman"]
    test: str
    variants: Literal["snv"] | None
    haplotypes: Literal["mean"]
    expression: str

    def test_of(self, held_out: bool) -> str:
        """The test that leads: of a prediction fold by fold, the one that is made for it."""
        return "folds" if held_out else self.test

    @property
    def correlation(self) -> str:
        """The statistic as a reader calls it."""
        return "Spearman" if self.statistic == "spearman" else "R"

    @property
    def share_negative(self) -> str:
        """The quantity of the summary that counts negative correlations of this kind."""
        return "share_negative_spearman" if self.statistic == "spearman" else "share_negative"


PROTOCOLS: Final[Mapping[str, Protocol]] = MappingProxyType(
    {
        protocol.name: protocol
        for protocol in (
            Protocol(
                name="default",
                statistic="pearson",
                test="empirical",
                variants=None,
                haplotypes="mean",
                expression="as configured; log10 with covariates regressed out",
            ),
            Protocol(
                name="sasse2023",
                statistic="pearson",
                test="sasse2023",
                variants="snv",
                haplotypes="mean",
                expression="logarithm, residual on the covariates",
            ),
            Protocol(
                name="huang2023",
                statistic="spearman",
                test="empirical",
                variants="snv",
                haplotypes="mean",
                expression="logarithm, residual on the covariates",
            ),
        )
    }
)
"""The protocols by name. Huang 2023 published no null with its tables, so hapsight's own stands there."""


def protocol_named(name: str | None) -> Protocol:
    """Find the protocol of that name; one that this version does not know reads as the default."""
    return PROTOCOLS.get(name or "default", PROTOCOLS["default"])


def headlines(protocol: Protocol) -> dict[str, str]:
    """Quantities of the summary that come first under `protocol`, each with its words; its own test leads."""
    from hapsight.stats.nulls import TESTS

    words = {
        "across_genes_spearman": "across genes, Spearman (reference prediction v mean expression)",
        "within_person_spearman_median": "across genes within a person, median Spearman",
        f"across_people_{protocol.statistic}_mean": f"across people, mean {protocol.correlation} over genes",
        protocol.share_negative: f"share of genes with {protocol.correlation} < 0",
        "significant": f"genes with q < 0.05 ({TESTS[protocol.test]}; held out: {TESTS['folds']})",
        "significant_negative_share": "of these, share with R < 0",
    }
    for test, name in TESTS.items():
        if test != protocol.test:
            words[f"significant.{test}"] = f"genes with q < 0.05 ({name})"
            words[f"significant_negative_share.{test}"] = "of these, share with R < 0"
    return words
