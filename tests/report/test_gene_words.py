"""What a gene page says, from its numbers."""

from dataclasses import replace

import polars as pl
import pytest
from fake_gene_page import variants, view

from hapsight.report.gene_pictures import at, motif_words, outcome, story, variant_name
from hapsight.report.gene_view import Motif, TopEqtl


def with_variant(given, **numbers):
    """A view whose marked variant has other numbers."""
    place = pl.int_range(pl.len()) == given.marked
    columns = [
        pl.when(place).then(pl.lit(value, dtype=given.variants.schema[name])).otherwise(name).alias(name)
        for name, value in numbers.items()
    ]
    return replace(given, variants=given.variants.with_columns(columns))


def test_a_wrong_sign_is_told_from_driver_to_people():
    told = story(with_variant(view(), tss_distance=-87, variant_id="rs123"))
    assert told.startswith(
        "xpresso/GM12878 says that more ALT alleles of rs123 (87 bp upstream of the TSS) raise expression; "
        "people with them express less (eQTL slope −0.210, p 2.0e−9). ALT breaks a KLF5 site. "
        "Over people the prediction goes the wrong way: R −0.450 [−0.600, −0.250], n 60."
    )
    assert "strongest eQTL is another variant, rs0" in told
    assert "beyond what the model reads; slope 0.400" in told
    assert "r² 0.03 to it" in told


def test_a_right_sign():
    right = view(result=view().result | {"pearson_r": 0.45, "ci_low": 0.25, "ci_high": 0.6})
    told = story(with_variant(right, slope=0.21))
    assert "raise expression; people with them do express more (eQTL slope 0.210" in told
    assert "goes the right way" in told


@pytest.mark.parametrize(
    ("numbers", "words"),
    [
        ({"pval_nominal": 0.4}, "express neither clearly more nor less (eQTL slope −0.210, p 0.400)"),
        ({"slope": None}, "its eQTL was not tested"),
        ({"effect": -0.02}, "lower expression; people with them do express less"),
        ({"effect_sd": 0.015}, "Its effect depends on what else a haplotype carries."),
    ],
)
def test_what_is_not_clear_is_said(numbers, words):
    assert words in story(with_variant(view(), **numbers))


def test_without_eqtls():
    told = story(with_variant(view(eqtl_mapped=False, top_eqtl=None), slope=None))
    assert "no eQTLs were mapped to compare with" in told
    assert "strongest" not in told


def test_the_driver_may_be_the_strongest_eqtl():
    given = view()
    assert "It is the gene’s strongest eQTL." in story(replace(given, top_eqtl=TopEqtl(given.variant, 9)))


@pytest.mark.parametrize(
    ("status", "words"),
    [
        ("ok", "No single variant carries the prediction of xpresso/GM12878"),
        ("not_additive", "does not add up"),
        ("constant_prediction", "predicts the same for everybody"),
        ("no_effect", "do nothing that differs between people"),
    ],
)
def test_no_driver(status, words):
    told = story(view(n_drivers=0, driver_status=status))
    assert words in told
    assert "which contributes most" in told
    assert "KLF5" not in told


def test_no_variant_at_all():
    none = view(
        marked=None,
        n_drivers=0,
        driver_status="no_variants",
        variants=variants().clear(),
        result=view().result | {"status": "no_variants", "pearson_r": None},
    )
    assert story(none) == (
        "No variant lies in the window of xpresso/GM12878, so it predicts the same for everybody. "
        "There is no R: no variant in the window (n 60)."
    )


def test_an_interval_that_holds_zero_tells_no_sign():
    unclear = view(result=view().result | {"pearson_r": -0.05, "ci_low": -0.3, "ci_high": 0.2})
    assert outcome(unclear) == ("Whether the sign is right cannot be told: R −0.050 [−0.300, 0.200], n 60.")


def test_motifs_in_words():
    assert "Broken: JASPAR motif KLF5 (MA1), score 12.3 bits with REF, 4.1 with ALT." in motif_words(view())
    assert "No JASPAR motif" in motif_words(view(motif=Motif("none")))
    assert "pip install 'hapsight[motifs]'" in motif_words(view(motif=None))
    assert "ALT makes or breaks no known motif." in story(view(motif=Motif("none")))


def test_names_and_places():
    assert variant_name({"variant_id": "rs1"}) == "rs1"
    bare = {"variant_id": ".", "contig": "chr1", "position": 999, "ref": "A", "alt": "AT"}
    assert variant_name(bare) == "chr1:1,000 A>AT"
    assert [at(d) for d in (None, 0, -999, 1000)] == [
        "strand not known",
        "at the TSS",
        "999 bp upstream of the TSS",
        "1.0 kb downstream of the TSS",
    ]
