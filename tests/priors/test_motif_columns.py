"""Motif changes by class, and by the signs of regulators."""

import numpy as np
import pytest

from hapsight.cohort.nouns import Gene
from hapsight.explain.motifs import motif_changes, motif_differences
from hapsight.priors.regulons import read_regulons
from hapsight.priors.signs import class_columns, motif_signs, signed_bits
from tests.explain.test_motifs import MOTIFS, SITE, around

GENES = [Gene("ENSG01.3", "chr1", 5, gene_name="A"), Gene("ENSG02.1", "chr1", 9, gene_name="B")]


def test_of_each_class_the_motif_that_changes_most():
    names, bits = class_columns([{0: 2.0, 1: -3.0, 2: 1.0}, {}, {2: -4.0}], ["b", "b", "a"])
    assert names == ("a", "b")
    np.testing.assert_array_equal(bits, [[1.0, -3.0], [0.0, 0.0], [-4.0, 0.0]])


def test_differences_hold_what_motif_changes_chooses():
    pytest.importorskip("memelite")
    windows = [around(SITE, 4, "A"), around(SITE, 4, SITE[4])]
    loss, nothing = motif_differences(windows, MOTIFS)
    change = motif_changes(windows, MOTIFS)[0]
    assert list(loss) == [0]
    assert loss[0] == pytest.approx(change.alt_score - change.ref_score)
    assert nothing == {}
    assert motif_differences([], MOTIFS) == []


def test_signs_are_the_genes_own_or_the_regulators(tmp_path):
    path = tmp_path / "regulons.tsv"
    path.write_text("source\ttarget\tweight\nFOS\tA\t-2\nFOS\tX\t1\nFOS\tY\t3\nJUN\tZ\t1\n")
    regulons, dropped = read_regulons(path, GENES)
    assert regulons.sign.tolist() == [pytest.approx(2 / 6), 1.0]
    names = ["Fos", "FOS::JUN", "SP1"]
    np.testing.assert_allclose(motif_signs(names, regulons, 0), [-1.0, 0.0, 0.0])
    np.testing.assert_allclose(motif_signs(names, regulons, 1), [1 / 3, 2 / 3, 0.0])
    assert signed_bits({0: 6.0, 2: 9.0}, motif_signs(names, regulons, 0)) == -6.0
    assert dropped.counts["target", "not one gene of the cohort"] == 3
