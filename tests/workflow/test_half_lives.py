"""Personal half-lives of a cohort, by a toy model, and back as a prior of persons."""

from __future__ import annotations

import numpy as np
import pytest

from hapsight.cohort.transcripts import read_transcripts
from hapsight.config import load_config
from hapsight.priors.half_life_model import half_lives
from hapsight.priors.person_table import PERSON_VALUES, read_person_values
from hapsight.sequence.transcripts import personal_transcripts
from hapsight.workflow.half_lives import half_life_values
from hapsight.workflow.opened import Opened
from tests.planted import write_planted


class Guanines:
    """Half-life: guanines of the transcript."""

    def predict(self, batch):
        return batch[..., 2].sum(axis=1)


@pytest.fixture(scope="module")
def planted(tmp_path_factory):
    made = write_planted(tmp_path_factory.mktemp("half_lives"), people=12)
    lines = []
    for gene in made.genes[:5]:
        sign = 1 if gene.strand == "+" else -1
        for feature, first, last in (
            ("exon", 0, 299),
            ("exon", 600, 899),
            ("CDS", 30, 299),
            ("CDS", 600, 700),
        ):
            start, end = sorted((gene.tss + sign * first + 1, gene.tss + sign * last + 1))
            names = f'gene_id "{gene.gene_id}"; transcript_id "T{gene.gene_id}";'
            lines.append(f"chr1\tx\t{feature}\t{start}\t{end}\t.\t{gene.strand}\t0\t{names}")
    (made.folder / "genes.gtf").write_text("\n".join(lines) + "\n")
    return Opened.from_config(load_config(made.config)), made.folder / "genes.gtf"


def test_every_person_has_a_value_of_every_gene_with_a_transcript(planted, tmp_path):
    opened, gtf = planted
    steps = []
    table, dropped = half_life_values(opened, gtf, Guanines(), lambda *words: steps.append(words))
    assert dict(table.schema) == PERSON_VALUES
    assert dropped.names["gene", "not in the GTF"] == ["null2", "bare"]
    assert steps[-1] == ("half-lives", 5, 5)
    table.write_parquet(tmp_path / "persons.parquet")
    genes = [gene.gene_id for gene in opened.cohort.genes]
    found, others = read_person_values(tmp_path / "persons.parquet", genes, opened.cohort.samples)
    assert list(found) == genes[:5]
    assert not others.counts
    transcripts, _ = read_transcripts(gtf, opened.cohort.genes)
    read, fetch = (lambda i: opened.cohort.genotypes.read(i)[0]), opened.cohort.reference.fetch
    for gene, values in found.items():
        made = personal_transcripts(transcripts[gene], read, fetch)
        np.testing.assert_array_equal(values, half_lives(Guanines(), made))
        slowly = [[np.sum(made.distinct[d].codes == 2) for d in both] for both in made.index]
        np.testing.assert_allclose(values, np.mean(slowly, axis=1))
        assert np.ptp(values) > 0
