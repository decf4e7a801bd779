#!/bin/sh
# Question: a GTF file has exons and no rows for genes, as those of UCSC. `create_missing_features` of gtfparse makes
# them. What of a gene that lies on X and on Y (a pseudoautosomal region), or has a copy elsewhere, under one gene_id?
#
# Guess, written before the run: two rows, one on each chromosome.
#
# Versions: gtfparse 3.0.5, pandas 3.1.1, numpy 2.4.6; pyensembl 2.32.3, which makes its rows with it; gffutils 0.14,
# which makes rows of its own.
#
# Seen: one row: the chromosome and strand of the first exon, the lowest start and the highest end of all, also of
# those on another chromosome. A gene of PAR2 lies near the end of both, 98 Mb apart, so that it becomes a gene of 98
# Mb on X. Of two copies on one chromosome, one on each strand, the gene is all that lies between, on the first one's
# strand. Transcripts likewise. pyensembl then finds that gene wherever one looks on X between the two, and none on Y.
# gffutils, which makes gene rows where it is not told to leave that, does the same. No warning. (The description of
# gtfparse says nothing; a comment in its code says that one chromosome and strand are assumed.)
#
# Output (real places of VAMP7; a made gene TWICE at 1000-2000 on + and at 9000-9500 on -):
#   made: TWICE 1:1000-9500 +
#   made: VAMP7 X:57067865-155943769 +
#   gffutils: TWICE 1:1000-9500, VAMP7 X:57067865-155943769
#   pyensembl: at X:100,000,000 VAMP7, at Y:57,100,000 none, at 1:5,000 TWICE
set -eu
dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT
cd "$dir"
{ python3 -m venv env && env/bin/pip install --quiet --no-cache-dir gtfparse==3.0.5 pyensembl==2.32.3 pandas==3.1.1 \
    numpy==2.4.6 gffutils==0.14; } || { echo 'could not install' >&2; exit 2; }

cat > run.py <<'PY'
import os

import gffutils
import gtfparse
import pyensembl

PLACES = (
    ("VAMP7", "X", 155881345, 155943769, "+"),
    ("VAMP7", "Y", 57067865, 57130289, "+"),
    ("TWICE", "1", 1000, 2000, "+"),
    ("TWICE", "1", 9000, 9500, "-"),
)
with open("exons.gtf", "w") as out:
    for copy, (gene, chromosome, first, last, strand) in enumerate(PLACES):
        names = f'gene_id "{gene}"; gene_name "{gene}"; transcript_id "t{copy}"; exon_id "e{copy}";'
        for start, end in ((first, first + 99), (last - 99, last)):
            out.write(f"{chromosome}\tmade\texon\t{start}\t{end}\t.\t{strand}\t.\t{names}\n")

rows = gtfparse.create_missing_features(gtfparse.read_gtf("exons.gtf"), unique_keys={"gene": "gene_id"})
for row in rows[rows.feature == "gene"].itertuples():
    print(f"made: {row.gene_id} {row.seqname}:{row.start}-{row.end} {row.strand}")
genes = gffutils.create_db("exons.gtf", ":memory:").features_of_type("gene")
told = sorted(f"{gene.id} {gene.seqid}:{gene.start}-{gene.end}" for gene in genes)
print("gffutils: " + ", ".join(told))
genome = pyensembl.Genome("made", "made", gtf_path_or_url="exons.gtf", cache_directory_path=os.getcwd())
genome.index()
told = [
    f"at {place[0]}:{place[1]:,} {' '.join(genome.gene_ids_at_locus(*place)) or 'none'}"
    for place in (("X", 100_000_000), ("Y", 57_100_000), ("1", 5_000))
]
print("pyensembl: " + ", ".join(told))
PY
env/bin/python run.py 2> said | tee seen || { cat said >&2; exit 1; }
cat > expected <<'TXT'
made: TWICE 1:1000-9500 +
made: VAMP7 X:57067865-155943769 +
gffutils: TWICE 1:1000-9500, VAMP7 X:57067865-155943769
pyensembl: at X:100,000,000 VAMP7, at Y:57,100,000 none, at 1:5,000 TWICE
TXT
diff expected seen
