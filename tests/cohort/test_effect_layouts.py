"""Effects of variants in the files that other programs write, with values made up."""

import gzip
import subprocess
import tomllib

import h5py
import numpy as np
import polars as pl
import pytest

from hapsight.cohort.effect_hdf5 import MOST_TRACKS
from hapsight.cohort.effect_layouts import Wanted, by_place, no_farther, read_given_effects, require_genes
from hapsight.cohort.nouns import Gene
from hapsight.errors import InputError

GENES = [
    Gene("ENSG01", "chr22", 1_000, None, "ONE"),
    Gene("ENSG02", "chr22", 2_000, None, "TWO"),
    Gene("ENSG03", "chr22", 2_000, None, "THREE"),
    Gene("ENSG04", "chr21", 1_000, None, "FOUR"),
]
GRCH38 = {"chr22": 50_818_468}
VARIANTS = [("chr22", 1_001, "A", "C"), ("chr22", 1_500, "G", "GT"), ("chr22", 1_900, "T", "C")]


def rows(found, *columns):
    return list(
        found.table.select(columns or ("gene_id", "position", "ref", "alt", "track", "value")).iter_rows()
    )


def alphagenome(path, scorer="GeneMaskLFCScorer(requested_output=RNA_SEQ)", genes=("ENSG01", "ENSG02")):
    """Columns and order of alphagenome's `tidy_scores`."""
    tracks = [("CL:0000542 total RNA-seq", "+"), ("EFO:0002784 polyA plus RNA-seq", ".")]
    table = [
        {
            "variant_id": f"{chrom}:{pos}:{ref}>{alt}",
            "scored_interval": "chr22:0-524288:.",
            "gene_id": gene,
            "gene_name": gene and "NAME",
            "gene_type": gene and "protein_coding",
            "gene_strand": gene and "+",
            "junction_Start": None,
            "junction_End": None,
            "output_type": "RNA_SEQ" if gene else "CAGE",
            "variant_scorer": scorer,
            "track_name": name,
            "track_strand": strand,
            "ontology_curie": "CL:0000542",
            "raw_score": v + 10 * t + 100 * g,
            "quantile_score": 0.5,
        }
        for v, (chrom, pos, ref, alt) in enumerate(VARIANTS)
        for g, gene in enumerate(genes)
        for t, (name, strand) in enumerate(tracks)
    ]
    pl.DataFrame(table, infer_schema_length=None).write_csv(path)
    return path


def write_h5(path, stats, of_genes=False, names=("ref_allele", "alt_allele"), targets=3):
    """The datasets of `borzoi_sed.py` and `basenji_sad.py`."""
    with h5py.File(path, "w") as file:
        if of_genes:
            file["si"] = np.array([0, 0, 1, 2])
            file["gene"] = np.array(["ENSG01.4", "ENSG02.7", "ENSG02.7", "ENSG02.7"], "S")
        file["snp"] = np.array(["rs1", "rs2", "rs3"], "S")
        file["chr"] = np.array([v[0] for v in VARIANTS], "S")
        file["pos"] = np.array([v[1] for v in VARIANTS], np.uint32)
        file[names[0]] = np.array([v[2] for v in VARIANTS], "S")
        file[names[1]] = np.array([v[3] for v in VARIANTS], "S")
        file["target_ids"] = np.array([f"ENCFF{i}" for i in range(targets)], "S")
        file["target_labels"] = np.array([f"RNA:{'blood' if i < 2 else i}" for i in range(targets)], "S")
        for scale, stat in enumerate(stats, start=1):
            values = scale * np.arange((4 if of_genes else 3) * targets).reshape(-1, targets)
            file.create_dataset(stat, data=values, dtype="float16")
    return path


def test_alphagenome(tmp_path):
    found = read_given_effects(alphagenome(tmp_path / "variant_scores.csv"), Wanted())
    assert len(found.table) == 3 * 2 * 2
    assert ("ENSG02", 1_499, "G", "GT", "EFO:0002784 polyA plus RNA-seq", 111.0) in rows(found)
    one = Wanted(tracks=("cl:0000542 total rna-seq",))
    assert found.table["track"].n_unique() == 2
    assert read_given_effects(tmp_path / "variant_scores.csv", one).table["value"].to_list() == [
        0,
        100,
        1,
        101,
        2,
        102,
    ]


def test_alphagenomes_scorers_are_not_mixed(tmp_path):
    one = pl.read_csv(alphagenome(tmp_path / "one.csv", "GeneMaskActiveScorer()"))
    other = pl.read_csv(alphagenome(tmp_path / "two.csv", "GeneMaskLFCScorer(requested_output=RNA_SEQ)"))
    pl.concat([one, other]).write_csv(tmp_path / "both.csv")
    with pytest.raises(InputError, match="several kinds") as error:
        read_given_effects(tmp_path / "both.csv", Wanted())
    cure = tomllib.loads(error.value.details["to mend"].split(" under")[0].removeprefix("set "))
    chosen = Wanted(where={name: (text,) for name, text in cure["where"].items()})
    assert len(read_given_effects(tmp_path / "both.csv", chosen).table) == 12
    with pytest.raises(InputError, match="No row of the effects"):
        read_given_effects(tmp_path / "both.csv", Wanted(where={"output_type": ("DNASE",)}))
    with pytest.raises(InputError, match="lacks a column"):
        read_given_effects(tmp_path / "both.csv", Wanted(where={"tissue": ("DNASE",)}))


def test_alphagenomes_scores_of_no_gene_have_a_track_for_each_strand(tmp_path):
    path = alphagenome(tmp_path / "cage.csv", "CenterMaskScorer()", genes=(None,))
    found = read_given_effects(path, Wanted())
    assert found.table["gene_id"].null_count() == 6
    assert "CL:0000542 total RNA-seq (+)" in found.table["track"].to_list()
    with pytest.raises(InputError, match="Which gene an effect is of"):
        require_genes(found)


@pytest.mark.parametrize(
    ("stats", "value", "scale"), [(["SED"], None, 1), (["SED", "logSED"], None, 2), (["D1", "SED"], "D1", 1)]
)
def test_borzoi(tmp_path, stats, value, scale):
    found = read_given_effects(write_h5(tmp_path / "sed.h5", stats, of_genes=True), Wanted(value))
    assert found.table["track"].unique(maintain_order=True).to_list() == [
        "RNA:blood (ENCFF0)",
        "RNA:blood (ENCFF1)",
        "RNA:2",
    ]
    assert ("ENSG02.7", 1_000, "A", "C", "RNA:blood (ENCFF1)", 4.0 * scale) in rows(found)
    assert ("ENSG02.7", 1_899, "T", "C", "RNA:2", 11.0 * scale) in rows(found)
    assert len(found.table) == 12
    assert set(found.for_genes([Gene("ENSG02.9", "chr22", 1)], GRCH38).table["gene_id"]) == {"ENSG02.9"}


@pytest.mark.parametrize("names", [("ref_allele", "alt_allele"), ("ref", "alt")])
def test_enformer_and_basenji(tmp_path, names):
    path = write_h5(tmp_path / "sad.h5", ["SAD", "SAR"], names=names)
    found = read_given_effects(path, Wanted(tracks=("ENCFF2", "rna:blood")))
    assert rows(found, "rsid", "position", "track", "value")[:3] == [
        ("rs1", 1_000, "RNA:2", 2.0),
        ("rs2", 1_499, "RNA:2", 5.0),
        ("rs3", 1_899, "RNA:2", 8.0),
    ]
    assert found.table["track"].n_unique() == 3
    assert found.table["gene_id"].null_count() == 9
    assert read_given_effects(path, Wanted("SAR")).table["value"].max() == 16.0
    with pytest.raises(InputError, match="no such track"):
        read_given_effects(path, Wanted(tracks=("CAGE",)))
    with pytest.raises(InputError, match="lacks the scores"):
        read_given_effects(path, Wanted("SED"))


def test_thousands_of_tracks_need_a_choice(tmp_path):
    path = write_h5(tmp_path / "sad.h5", ["SAD"], targets=MOST_TRACKS + 1)
    with pytest.raises(InputError, match="65 tracks"):
        read_given_effects(path, Wanted())
    assert len(read_given_effects(path, Wanted(tracks=("ENCFF9",))).table) == 3


def test_damaged_hdf5(tmp_path):
    whole = write_h5(tmp_path / "sad.h5", ["SAD"]).read_bytes()
    (tmp_path / "cut.h5").write_bytes(whole[: len(whole) // 2])
    (tmp_path / "text.h5").write_text("no HDF5")
    with h5py.File(tmp_path / "other.h5", "w") as file:
        file["weights"] = np.zeros((2, 2))
    write_h5(tmp_path / "far.h5", ["SED"], of_genes=True)
    with h5py.File(tmp_path / "far.h5", "a") as file:
        file["si"][0] = 99
    write_h5(tmp_path / "short.h5", ["SAD"])
    with h5py.File(tmp_path / "short.h5", "a") as file:
        del file["SAD"]
        file["SAD"] = np.zeros((2, 3))
    with h5py.File(write_h5(tmp_path / "linked.h5", ["SAD"]), "a") as file:
        del file["pos"]
        file["pos"] = h5py.ExternalLink("sad.h5", "pos")
    with h5py.File(write_h5(tmp_path / "bomb.h5", ["SED"]), "a") as file:
        file.create_dataset("SAD", (2**40, 3), "float16", chunks=(4096, 3))
    for name in ("cut", "text", "other", "far", "short", "linked", "bomb"):
        with pytest.raises(InputError) as error:
            read_given_effects(tmp_path / f"{name}.h5", Wanted())
        assert "effects" in error.value.what, name


def test_scores_that_are_not_wanted_are_not_read(tmp_path):
    def with_another(stats, other, of_genes=True):
        path = write_h5(tmp_path / f"{other}.h5", stats, of_genes)
        with h5py.File(path, "a") as file:
            file.create_dataset(other, (2**40, 3), "float16", chunks=(4096, 3))
            file["elsewhere"] = h5py.ExternalLink("nowhere.h5", "SAD")
        return path

    assert len(read_given_effects(with_another(["SED"], "SAD"), Wanted()).table) == 12
    assert len(read_given_effects(with_another(["SED"], "SAR"), Wanted("SED")).table) == 12
    assert len(read_given_effects(with_another(["SAD"], "logSED", of_genes=False), Wanted()).table) == 9
    with pytest.raises(InputError, match="logSED unpacks to"):
        read_given_effects(with_another(["SED"], "logSED"), Wanted())
    assert len(read_given_effects(tmp_path / "logSED.h5", Wanted("SED")).table) == 12


def test_expecto(tmp_path):
    lines = [",index,0,1,2,3,4,5,dist,gene,strand,Whole_Blood,Liver"]
    lines += [
        f"{i},{i},{c},{p},.,{r},{a},x,{-i},ENSG0{1 + i % 2},+,{i}.5,{-i}e-1"
        for i, (c, p, r, a) in enumerate(VARIANTS)
    ]
    (tmp_path / "output.csv").write_text("\n".join(lines) + "\n")
    found = read_given_effects(tmp_path / "output.csv", Wanted())
    assert rows(found) == [
        *(("ENSG01", 1_000, "A", "C", "whole_blood", 0.5), ("ENSG02", 1_499, "G", "GT", "whole_blood", 1.5)),
        *(("ENSG01", 1_899, "T", "C", "whole_blood", 2.5), ("ENSG01", 1_000, "A", "C", "liver", 0.0)),
        *(("ENSG02", 1_499, "G", "GT", "liver", -0.1), ("ENSG01", 1_899, "T", "C", "liver", -0.2)),
    ]
    liver = read_given_effects(tmp_path / "output.csv", Wanted(tracks=("Liver",)))
    assert set(liver.table["track"]) == {"liver"}


VCF = """##fileformat=VCFv4.3
##INFO=<ID=EFF,Number=A,Type=Float,Description="made up">
##INFO=<ID=ALL,Number=R,Type=Float,Description="made up">
##INFO=<ID=DB,Number=0,Type=Flag,Description="made up">
##INFO=<ID=GENE,Number=1,Type=String,Description="made up">
#CHROM\tPOS\tID\tREF\tALT\tQUAL\tFILTER\tINFO
chr22\t1001\trs1\tA\tC,G\t.\t.\tEFF=0.5,-1e-2;GENE=ENSG01
chr22\t1500\t.\tG\tGT\t.\t.\tDB;EFF=2;GENE=ENSG02
chr22\t1900\t.\tT\tC,A\t.\t.\tGENE=ENSG02;EFF=.,4;ALL=7,8,9
chr22\t1950\t.\tT\tC\t.\t.\tDB
"""


def test_info_of_a_vcf(tmp_path):
    (tmp_path / "e.vcf").write_text(VCF)
    with gzip.open(tmp_path / "e.vcf.gz", "wt") as file:
        file.write(VCF)
    expected = [
        *(("ENSG01", 1_000, "A", "C", "effect", 0.5), ("ENSG01", 1_000, "A", "G", "effect", -0.01)),
        *(("ENSG02", 1_499, "G", "GT", "effect", 2.0), ("ENSG02", 1_899, "T", "A", "effect", 4.0)),
    ]
    for name in ("e.vcf", "e.vcf.gz"):
        assert rows(read_given_effects(tmp_path / name, Wanted("EFF", "GENE"))) == expected
    assert read_given_effects(tmp_path / "e.vcf", Wanted("ALL")).table["value"].to_list() == [8.0, 9.0]
    with pytest.raises(InputError, match="Which key of INFO"):
        read_given_effects(tmp_path / "e.vcf", Wanted())
    with pytest.raises(InputError, match="No record of the VCF"):
        read_given_effects(tmp_path / "e.vcf", Wanted("AF"))
    (tmp_path / "bad.vcf").write_text(VCF.replace("EFF=2;", "EFF=2,3,4;"))
    with pytest.raises(InputError, match="do not fit its alleles"):
        read_given_effects(tmp_path / "bad.vcf", Wanted("EFF"))


@pytest.mark.parametrize(("ends", "whole"), [("", True), ("|down", True), ("|down|x", False)])
def test_entries_of_scores_with_and_without_a_consequence(tmp_path, ends, whole):
    entries = ",".join(f"ENSG01|A|liver|{haplotype}|0.1|-0.25{ends}" for haplotype in (0, 1))
    head, _, _ = VCF.partition("chr22")
    (tmp_path / "s.vcf").write_text(f"{head}chr22\t1001\trs1\tA\tC\t.\t.\thapsight_mini={entries}\n")
    if whole:
        found = rows(read_given_effects(tmp_path / "s.vcf", Wanted()))
        assert found == [("ENSG01", 1_000, "A", "C", "liver", -0.25)]
        return
    with pytest.raises(InputError, match="do not fit its alleles"):
        read_given_effects(tmp_path / "s.vcf", Wanted())


def test_a_bcftools_made_vcf_reads_the_same(tmp_path):
    try:
        subprocess.run(["bcftools", "--version"], capture_output=True, check=True)
    except OSError:
        pytest.skip("bcftools is not here")
    (tmp_path / "e.vcf").write_text(VCF.replace("#CHROM", "##contig=<ID=chr22>\n#CHROM"))
    split = subprocess.run(
        ["bcftools", "norm", "-m", "-any", "-Oz", "-o", "s.vcf.gz", "e.vcf"],
        cwd=tmp_path,
        capture_output=True,
        check=False,
    )
    assert split.returncode == 0, split.stderr
    wanted = Wanted("EFF", "GENE")
    whole, parts = (read_given_effects(tmp_path / name, wanted) for name in ("e.vcf", "s.vcf.gz"))
    assert sorted(rows(whole)) == sorted(rows(parts))


@pytest.mark.parametrize(
    ("name", "wanted"),
    [
        ("sad.h5", Wanted(where={"tissue": ("liver",)})),
        ("sad.h5", Wanted(gene="symbol")),
        ("e.vcf", Wanted("EFF", where={"tissue": ("liver",)})),
    ],
)
def test_keys_that_a_layout_has_no_use_for(tmp_path, name, wanted):
    write_h5(tmp_path / "sad.h5", ["SAD"])
    (tmp_path / "e.vcf").write_text(VCF)
    with pytest.raises(InputError, match="has no columns to choose by"):
        read_given_effects(tmp_path / name, wanted)


def test_columns_by_name(tmp_path):
    table = pl.DataFrame(
        {
            "symbol": ["ONE", "TWO"],
            "gene_id": ["x", "y"],
            "chrom": ["22", "22"],
            "pos": [1_001, 1_500],
            "ref": ["A", "G"],
            "alt": ["C", "GT"],
            "effect": [9.0, 9.0],
            "Z": [0.5, -1.0],
            "reference_value": [2.0, 3.0],
        }
    )
    table.write_csv(tmp_path / "t.tsv", separator="\t")
    found = read_given_effects(tmp_path / "t.tsv", Wanted("Z", "symbol")).for_genes(GENES, GRCH38)
    assert rows(found, "gene_id", "value", "reference_value") == [("ENSG01", 0.5, 2.0), ("ENSG02", -1.0, 3.0)]


def test_genes_by_place(tmp_path):
    """Against every distance, measured one by one."""
    rng = np.random.default_rng(3)
    position = rng.permutation(np.r_[rng.integers(0, 4_000, 200), 1_500])  # 1,500: as near to both
    contig = rng.choice(["22", "chr21", "7"], len(position))
    table = {"chrom": contig, "pos": position + 1, "ref": "A", "alt": "C", "effect": np.arange(201.0)}
    pl.DataFrame(table).unique(["chrom", "pos"]).write_csv(tmp_path / "t.csv")
    given = read_given_effects(tmp_path / "t.csv", Wanted())
    for within in (4_000, 300, 0):
        for nearest in (True, False):
            found = by_place(given, GENES, within, nearest)
            assert sorted(rows(found, "gene_id", "contig", "position")) == sorted(
                slowly(rows(given, "contig", "position"), within, nearest)
            )


def slowly(places, within, nearest):
    for contig, position in places:
        own = [gene for gene in GENES if gene.contig == f"chr{contig}"]
        away = {gene.gene_id: abs(gene.tss - position) for gene in own}
        first = min((gene.tss for gene in own if away[gene.gene_id] == min(away.values())), default=None)
        for gene in own:
            if nearest and gene.tss != first:
                continue
            if away[gene.gene_id] <= within:
                yield gene.gene_id, contig, position


def test_a_limit_to_named_genes(tmp_path):
    (tmp_path / "t.tsv").write_text(
        "gene_id\tvariant_id\teffect\nENSG01\tchr22_1101_A_C\t1\nENSG01\tchr22_1102_A_C\t2\n"
    )
    given = read_given_effects(tmp_path / "t.tsv", Wanted())
    assert no_farther(given, GENES, 100).table["value"].to_list() == [1.0]


def test_names_have_no_place(tmp_path):
    (tmp_path / "t.tsv").write_text("rsid\tref\talt\teffect\nrs1\tA\tC\t1\n")
    with pytest.raises(InputError, match="no TSS is near"):
        by_place(read_given_effects(tmp_path / "t.tsv", Wanted()), GENES, 100, nearest=False)
