"""Tables whose places are not those of the FASTA are told from tables of variants that the cohort lacks."""

import numpy as np
import pytest

from hapsight.cohort.alleles import Place, WeightRow
from hapsight.cohort.effect_fit import require_fit
from hapsight.cohort.nouns import Variants
from hapsight.dna import encode
from hapsight.errors import InputError

RNG = np.random.default_rng(5)
SEQUENCE = "".join(RNG.choice(list("ACGT"), 4000))
PLACES = np.arange(20, 3980, 40)


class Fasta:
    """A reference of one contig."""

    path = "r.fa"

    def fetch(self, interval):
        return encode(SEQUENCE[interval.start : interval.end].ljust(len(interval), "N"))


def cohort(places=PLACES) -> Variants:
    ref = tuple(SEQUENCE[p] for p in places)
    alt = tuple("ACGT"["ACGT".index(base) ^ 1] for base in ref)
    names = tuple(f"rs{p}" for p in places)
    return Variants("chr22", places, ref, alt, names, np.zeros((len(places), 2, 2), np.uint8), ("a", "b"))


def rows(variants, shift=0, **changes) -> list[WeightRow]:
    return [
        WeightRow("", "", ref, alt, 1.0, Place("22", int(p) + shift))._replace(**changes)
        for p, ref, alt in zip(variants.position, variants.ref, variants.alt, strict=True)
    ]


def judge(given, variants, unplaced=0):
    require_fit("t.tsv", "weights", [(given, variants)], Fasta(), unplaced)


def test_a_table_that_fits():
    everything = cohort()
    judge(rows(everything), everything)
    judge(
        [row._replace(ref_allele=row.eff_allele, eff_allele=row.ref_allele) for row in rows(everything)],
        everything,
    )
    flip = str.maketrans("ACGT", "TGCA")
    other = [
        r._replace(ref_allele=r.ref_allele.translate(flip), eff_allele=r.eff_allele.translate(flip))
        for r in rows(everything)
    ]
    judge(other, everything)


def test_variants_that_the_cohort_lacks_are_no_fault():
    judge(rows(cohort()), cohort(PLACES[:3]))
    judge(rows(cohort()), cohort(PLACES[:0]))
    judge([], cohort())


@pytest.mark.parametrize("few", [3, len(PLACES)])
@pytest.mark.parametrize(("shift", "counted"), [(-1, 0), (1, 1)])
def test_positions_counted_from_the_wrong_number(few, shift, counted):
    variants = cohort()
    message = rf"counted from {counted}, where they are read as from {1 - counted}[\s\S]*neither allele at"
    with pytest.raises(InputError, match=message):
        judge(rows(variants, shift)[:few], variants)


def test_places_of_another_build():
    variants = cohort()
    with pytest.raises(
        InputError, match=r"another genome build[\s\S]*r\.fa[\s\S]*0 of 99 rows find a variant"
    ):
        judge(rows(variants, 17), variants)
    accidents = rows(variants, 17) + rows(variants)[:5]
    with pytest.raises(InputError, match=r"another genome build[\s\S]*5 of 104 rows find a variant"):
        judge(accidents, variants)


def test_a_table_that_was_lifted_over_is_taken():
    """What the words of the error say is done: the places of the other build, 700 bases off, are moved."""
    everything = cohort()
    other = rows(everything, shift=700)
    with pytest.raises(InputError, match=r"another genome build[\s\S]*lift the table over"):
        judge(other, everything)
    judge([row._replace(place=Place("22", row.place.position - 700)) for row in other], everything)


def test_names_of_another_build():
    variants = cohort()
    elsewhere = rows(variants, place=None, other_build=True)
    with pytest.raises(InputError, match=r"another genome build[\s\S]*99 of 99 variants are named"):
        judge(elsewhere, variants)
    named = [row._replace(rsid=name) for row, name in zip(elsewhere, variants.variant_id, strict=True)]
    judge(named, variants)
    with pytest.raises(InputError, match=r"another genome build[\s\S]*7 of 7 variants are named"):
        judge([], variants, unplaced=7)


def test_places_on_other_contigs():
    variants = cohort()
    elsewhere = [row._replace(place=Place("NC_000022.11", row.place.position)) for row in rows(variants)]
    message = r"other contigs than their genes[\s\S]*such as 22[\s\S]*NC_000022\.11, in 99 of 99 rows"
    with pytest.raises(InputError, match=message) as error:
        judge(elsewhere, variants)
    assert error.value.details["to mend"] == "name the contigs as the cohort does"
    judge([row._replace(place=Place("22", row.place.position)) for row in elsewhere], variants)
    judge(elsewhere[:40] + rows(variants)[40:], variants)
