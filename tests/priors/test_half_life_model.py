"""The six tracks of a transcript, and half-lives of people by a toy model."""

from __future__ import annotations

import numpy as np
import pytest

from hapsight.cohort.nouns import Strand
from hapsight.dna import encode
from hapsight.errors import InputError
from hapsight.priors.half_life import CHANNELS, LENGTH, HalfLifeModel, half_lives, six_tracks
from hapsight.sequence.transcripts import Mrna, Transcript, personal_transcripts
from tests.sequence.naive import toy_reference, toy_variants

MRNA = Mrna(encode("ACGTNAT"), np.array([1, 4]), np.array([3]))


def test_tracks_by_hand():
    found = six_tracks(MRNA, 9)
    expected = np.zeros((9, 6))
    for place, column in ((0, 0), (1, 1), (2, 2), (3, 3), (5, 0), (6, 3), (1, 4), (4, 4), (3, 5)):
        expected[place, column] = 1
    np.testing.assert_array_equal(found, expected)
    assert found.dtype == np.float32
    assert six_tracks(MRNA).shape == (LENGTH, len(CHANNELS)) == (12_288, 6)


def test_of_a_long_transcript_the_end_is_taken():
    np.testing.assert_array_equal(six_tracks(MRNA, 4), six_tracks(MRNA, 7)[-4:])


class Counted:
    """Half-life: codons, plus a tenth of the adenines; remembers what it was asked."""

    def __init__(self) -> None:
        self.asked = 0

    def predict(self, batch):
        self.asked += len(batch)
        return batch[..., 4].sum(axis=1) + 0.1 * batch[..., 0].sum(axis=1)


SEQUENCE = "ACGTTGCAAC" * 6
TRANSCRIPT = Transcript("T", "G", "c", Strand.PLUS, ((5, 20), (30, 50)), (8, 40))


def test_people_have_the_mean_of_their_haplotypes_and_equal_ones_are_asked_once():
    variants = [(6, SEQUENCE[6], "A"), (31, SEQUENCE[31:35], SEQUENCE[31])]
    alleles = np.array([[[1, 0], [0, 0], [1, 1]], [[0, 1], [0, 0], [0, 0]]])
    made = personal_transcripts(
        TRANSCRIPT, lambda _: toy_variants(variants, alleles), toy_reference(SEQUENCE)
    )
    model: HalfLifeModel = Counted()
    found = half_lives(model, made)
    assert model.asked == len(made.distinct) == 3
    plain, gained, lost = (
        float(Counted().predict(six_tracks(one)[None])[0])
        for one in (made.reference, made.distinct[made.index[0, 0]], made.distinct[made.index[0, 1]])
    )
    assert gained == pytest.approx(plain + 0.1)
    assert lost < plain - 0.9
    np.testing.assert_allclose(found, [(gained + lost) / 2, plain, gained])


def test_a_model_must_give_one_number_each():
    made = personal_transcripts(
        TRANSCRIPT, lambda _: toy_variants([], np.zeros((0, 1, 2))), toy_reference(SEQUENCE)
    )

    class Wrong:
        def predict(self, batch):
            return np.full((len(batch), 2), np.nan)

    with pytest.raises(
        InputError, match=r"one finite number(.|\n)*transcript T of gene G(.|\n)*2 not finite"
    ):
        half_lives(Wrong(), made)
