"""Personal half-lives of a cohort, by a toy model, and back as a prior of persons."""

from __future__ import annotations

import numpy as np
import pytest

from hapsight.priors.half_life import half_lives
from hapsight.priors.regulons import PERSON_VALUES, read_person_values
from hapsight.run.config import load_config
from hapsight.run.opened import Opened
from hapsight.sequence.transcripts import personal_transcripts, read_transcripts
from hapsight.stages.priors import half_life_values, ribosome_load_values
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


class CountOfGuanines:
    """Ribosome load: guanines of the 5' UTR."""

    def __init__(self):
        self.asked = []

    def predict(self, utrs):
        self.asked.append(len(utrs))
        return np.array([np.sum(utr == 2) for utr in utrs], float)


def test_ribosome_loads_are_of_what_lies_before_the_start_codon(planted):
    opened, gtf = planted
    model = CountOfGuanines()
    table, dropped = ribosome_load_values(opened, gtf, model, lambda *words: None)
    assert dict(table.schema) == PERSON_VALUES
    assert dropped.names["gene", "not in the GTF"] == ["null2", "bare"]
    transcripts, _ = read_transcripts(gtf, opened.cohort.genes)
    read, fetch = (lambda i: opened.cohort.genotypes.read(i)[0]), opened.cohort.reference.fetch
    assert table["gene_id"].n_unique() == 5
    for (gene, values), asked in zip(
        table.group_by("gene_id", maintain_order=True), model.asked, strict=True
    ):
        made = personal_transcripts(transcripts[gene[0]], read, fetch)
        utrs = [mrna.codes[: mrna.codon_starts[0]] for mrna in made.distinct]
        slowly = [[np.sum(utrs[d] == 2) for d in both] for both in made.index]
        np.testing.assert_allclose(values["value"].to_numpy(), np.mean(slowly, axis=1))
        assert asked == len({utr.tobytes() for utr in utrs}) <= len(made.distinct)


def test_a_transcript_without_5_prime_utr_is_named(planted, tmp_path):
    opened, gtf = planted
    text = gtf.read_text().splitlines()
    first = opened.cohort.genes[0]
    sign = 1 if first.strand == "+" else -1
    start, end = sorted((first.tss + 1, first.tss + sign * 299 + 1))
    cut = [
        line.replace(line.split("\t")[3], str(start), 1).replace(line.split("\t")[4], str(end), 1)
        if f'"{first.gene_id}"' in line and "\tCDS\t" in line and number == 2
        else line
        for number, line in enumerate(text)
    ]
    (tmp_path / "cut.gtf").write_text("\n".join(cut) + "\n")
    table, dropped = ribosome_load_values(
        opened, tmp_path / "cut.gtf", CountOfGuanines(), lambda *words: None
    )
    assert dropped.names["gene", "no whole 5' UTR in everybody"] == [first.gene_id]
    assert first.gene_id not in table["gene_id"]
