"""Tables whose places are not those of the FASTA are told from tables of variants that the cohort lacks."""

from dataclasses import replace
from types import MappingProxyType

import numpy as np
import polars as pl
import pytest

from hapsight.cohort.alleles import Place, WeightRow
from hapsight.cohort.effect_fit import alleles_on_fasta, require_fit, sign_check, table_checks
from hapsight.cohort.effect_tables import effect_table, read_effect_table
from hapsight.cohort.nouns import Variants
from hapsight.cohort.reference import Reference
from hapsight.dna import encode
from hapsight.errors import InputError

RNG = np.random.default_rng(5)
SEQUENCE = "".join(RNG.choice(list("ACGT"), 4000))
PLACES = np.arange(20, 3980, 40)


class Fasta:
    """A reference of one contig."""

    path = "r.fa"
    contigs = MappingProxyType({"chr22": len(SEQUENCE)})

    def letters(self, interval):
        return SEQUENCE[interval.start : interval.end].ljust(len(interval), "N")

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


FLIP = str.maketrans("ACGT", "TGCA")
KINDS = ("fits", "exchanged", "flipped", "flipped_exchanged", "neither")


def mixed(kinds, effects=None, track=None):
    """A table with a variant of each kind, by hand; A/C and G/T, which no strand or exchange makes equal."""
    found = []
    for number, kind in enumerate(kinds):
        start = 20 + 30 * number
        base = SEQUENCE[start]
        other = {"A": "C", "C": "A", "G": "T", "T": "G"}[base]
        pair = (base, other) if kind.replace("flipped_", "") in ("fits", "flipped") else (other, base)
        if kind == "neither":
            pair = ("A" if base != "A" else "C") + "N", "GGG" if base != "G" else "CCC"
        if kind.startswith("flipped"):
            pair = tuple(allele.translate(FLIP) for allele in pair)
        effect = (effects or [1.0] * len(kinds))[number]
        found.append(("22", start + 1, *pair, effect) + ((track,) if track else ()))
    names = ["chrom", "pos", "ref", "alt", "effect"] + (["track"] if track else [])
    return effect_table("t.tsv", pl.DataFrame(found, schema=names, orient="row"), "effects", ("effect",))


def test_kinds_are_counted_and_effects_turned():
    kinds = KINDS * 5
    fit = alleles_on_fasta(mixed(kinds), Fasta())
    assert dict(fit.counts) == dict.fromkeys(KINDS, 5)
    assert (fit.total, fit.unplaced, fit.palindromic, fit.looked_at) == (25, 0, 0, 25)
    ((track, effects),) = fit.effects.items()
    assert track == ""
    turned = [-1.0 if kind.endswith("exchanged") else 1.0 for kind in kinds if kind != "neither"]
    assert sorted(effects) == sorted(turned)


def test_indels_palindromes_and_what_has_no_place():
    at = next(p for p in PLACES if len(set(SEQUENCE[p : p + 3])) == 3)
    three, base = SEQUENCE[at : at + 3], SEQUENCE[at]
    rows_of = [
        ("22", at + 1, three, base, 1.0),  # a deletion that the FASTA has not
        ("22", at + 1, base + three[2], base + three[1:], 1.0),  # exchanged: the FASTA has the ALT
        ("22", at + 1, base, base.translate(FLIP), 1.0),
        ("22", at + 1, "<DEL>", "N", 1.0),
        ("21", at + 1, "A", "C", 1.0),
    ]
    names = ["chrom", "pos", "ref", "alt", "effect"]
    table = effect_table("t.tsv", pl.DataFrame(rows_of, schema=names, orient="row"), "effects", ("effect",))
    fit = alleles_on_fasta(table, Fasta())
    assert dict(fit.counts) == {"fits": 2, "exchanged": 1}
    assert (fit.total, fit.unplaced, fit.palindromic) == (5, 2, 1)
    assert fit.words() == (
        "of 3 of 5 variants, 2 have their REF in the FASTA, 1 their ALT (swapped), 0 their REF on the "
        "other strand, 0 their ALT on the other strand, 0 neither; 1 are A/T or C/G; 2 have no place on this "
        "FASTA"
    )
    assert [row.status for row in table_checks("t", table, Fasta())] == ["pass", "pass"]


@pytest.mark.parametrize(
    ("kinds", "said"),
    [
        (("fits",) * 100, None),
        (("fits",) * 50 + ("exchanged",) * 50, None),
        (("fits",) * 20 + ("exchanged",) * 80, "nearly all swapped"),
        (("fits",) * 80 + ("flipped",) * 20, "alleles of the other strand"),
        (("fits",) * 80 + ("neither",) * 20, "look at the build"),
        (("fits",) * 97 + ("neither",) * 3, None),
        (("flipped",) * 100, "alleles of the other strand"),
    ],
)
def test_planted_faults_of_alleles(kinds, said):
    balanced = [(-1.0) ** number for number in range(len(kinds))]
    alleles, signs = table_checks("t", mixed(kinds, balanced), Fasta())
    assert (alleles.name, alleles.status) == ("alleles of t", "warn" if said else "pass")
    assert said is None or said in alleles.details[0]
    assert signs.status == "pass"


@pytest.mark.parametrize(
    ("shift", "said"),
    [(1, "counted from 1, where they are read as from 0"), (-1, "counted from 0"), (7, "of another build")],
)
def test_positions_of_another_place(shift, said):
    """One of an SNV's alleles or their complements is at every place, but for A/T and C/G."""
    given = mixed(("fits",) * 100)
    shifted = replace(given, table=given.table.with_columns(pl.col("position") + shift))
    assert alleles_on_fasta(shifted, Fasta()).counts["neither"] == 0
    alleles, _ = table_checks("t", shifted, Fasta())
    assert alleles.status == "warn"
    assert said in alleles.details[0]


def test_scores_without_a_sign():
    kinds = ("fits",) * 100
    _, signs = table_checks("t", mixed(kinds, [0.5] * 90 + [0.0] * 10), Fasta())
    assert (signs.name, signs.status) == ("signs of t", "warn")
    said = "100% of 90 effects, per copy of the allele that the FASTA has not, are positive"
    assert signs.message == f"{said}; 10 more are exactly 0"
    assert "column or dataset" in signs.details[0]
    harmonised = ("fits",) * 50 + ("exchanged",) * 50  # per copy of the allele that raises expression
    assert table_checks("t", mixed(harmonised, [0.5] * 100), Fasta())[1].status == "pass"


def test_the_track_that_leans_most_is_told():
    leaning, balanced = np.ones(40), np.tile([1.0, -1.0], 20)
    found = sign_check("m", {"one": balanced, "two": -leaning, "few": np.ones(3)}, "effects", "this")
    assert found.status == "warn"
    assert found.message.startswith("0% of 40 effects are positive")
    assert "(track two, of 3 the one that leans most)" in found.message
    three_quarters = np.repeat([1.0, -1.0], [30, 10])
    assert sign_check("m", {"": three_quarters}, "effects", "this").status == "pass"
    assert sign_check("m", {"": np.append(three_quarters, 1.0)}, "effects", "this").status == "warn"
    assert "19 effects are not 0" in sign_check("m", {"": np.ones(19)}, "effects", "this").message


def test_names_alone_have_no_place():
    names = pl.DataFrame([("rs1", "A", "C", 1.0)], schema=["rsid", "ref", "alt", "beta"], orient="row")
    found = table_checks("t", effect_table("t.tsv", names, "effects", ("beta",)), Fasta())
    said = "not tested: none of 1 variants has a place on this FASTA"
    assert [(row.status, row.message) for row in found] == [("warn", said)] * 2
    twice = [("rs1", "22", 21, "A", "C", 1.0, "g1"), ("rs2", "22", 21, "A", "C", 1.0, "g2")]
    columns = ["rsid", "chrom", "pos", "ref", "alt", "beta", "gene_id"]
    table = effect_table("t.tsv", pl.DataFrame(twice, schema=columns, orient="row"), "effects", ("beta",))
    fit = alleles_on_fasta(table, Fasta())
    assert (fit.total, fit.unplaced, fit.looked_at) == (1, 0, 1)


def test_a_large_table_is_sampled_evenly():
    """Every third base of the contig, of a table that is larger than what is looked at."""
    many = [("22", p + 1, SEQUENCE[p], "ACGT"["ACGT".index(SEQUENCE[p]) ^ 1], 1.0) for p in range(4000)]
    more = [("22", p + 1, SEQUENCE[p], "ACGT"["ACGT".index(SEQUENCE[p]) ^ 2], 1.0) for p in range(4000)]
    names = ["chrom", "pos", "ref", "alt", "effect"]
    frame = pl.DataFrame(many + more, schema=names, orient="row")
    fit = alleles_on_fasta(effect_table("t.tsv", frame, "effects", ("effect",)), Fasta())
    assert (fit.total, fit.looked_at, fit.counts["fits"]) == (8000, 5000, 5000)


def test_dnase_qtls_as_published_and_as_turned(shared_data, tmp_path):
    """224 dsQTLs: 41 have the source's REF and ALT exchanged, which the file itself says."""
    path = shared_data / "qtl" / "lcl_dsqtl_chr22.tsv"
    if not path.exists():
        pytest.skip("no dsQTLs")
    reference = Reference(shared_data / "geuvadis_chr22" / "chr22.fa.gz")
    turned = alleles_on_fasta(read_effect_table(path, "effects"), reference)
    assert dict(turned.counts) == {"fits": 224}
    table = pl.read_csv(path, separator="\t")
    sign = pl.when(pl.col("flipped") == "yes").then(-1.0).otherwise(1.0)
    published = table.select("chrom", "pos", ref="source_ref", alt="source_alt", beta=pl.col("beta") * sign)
    published.write_csv(tmp_path / "published.tsv", separator="\t")
    found = alleles_on_fasta(read_effect_table(tmp_path / "published.tsv", "effects"), reference)
    assert dict(found.counts) == {"fits": 183, "exchanged": 41}
    assert sorted(found.effects[""]) == sorted(table["beta"])
