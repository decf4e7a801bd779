#!/bin/sh
# Question: which bases has a gene that the Python package genomicranges reads from a GTF file with `read_gtf`?
#
# Guess, written before the run: those that the file says; the width is end - start + 1.
#
# Versions: genomicranges 0.9.0, iranges 0.7.3, biocutils 0.5.0, biocframe 0.8.1, pandas 3.1.1, numpy 2.4.6,
# joblib 1.6.0.
#
# Seen: the last base of every feature is left out: 1 is taken off the end, which is inclusive in a GTF and in these
# ranges too (the package's own page says so, and asks to take 1 off only from ends that are not). A feature of one
# base, as a part of a split stop codon, has none. On the minus strand the base that is lost is the first one of the
# gene: the transcription start site is one base off. The same table given to `from_pandas` is right. No warning.
#
# Output (genes of both strands at 101-200, a stop codon of one base at 150; a variant at 200):
#   read_gtf: gene + 101-199, gene - 101-199, stop_codon + 150-149; widths 99 99 0
#   read_gtf: TSS of the gene on the minus strand 199; the variant at 200 is in 0 features
#   from_pandas: gene + 101-200, gene - 101-200, stop_codon + 150-150; widths 100 100 1
#   from_pandas: TSS of the gene on the minus strand 200; the variant at 200 is in 2 features
set -eu
dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT
cd "$dir"
{ python3 -m venv env && env/bin/pip install --quiet --no-cache-dir genomicranges==0.9.0 iranges==0.7.3 \
    biocutils==0.5.0 biocframe==0.8.1 pandas==3.1.1 numpy==2.4.6 joblib==1.6.0; } ||
    { echo 'could not install' >&2; exit 2; }

cat > run.py <<'PY'
import genomicranges
import pandas as pd
from genomicranges import GenomicRanges
from iranges import IRanges

FEATURES = (("gene", 101, 200, "+"), ("gene", 101, 200, "-"), ("stop_codon", 150, 150, "+"))
with open("x.gtf", "w") as out:
    for kind, first, last, strand in FEATURES:
        out.write(f'chr1\tmade\t{kind}\t{first}\t{last}\t.\t{strand}\t.\tgene_id "g"; transcript_id "t";\n')
table = pd.DataFrame(FEATURES, columns=["feature", "starts", "ends", "strand"]).assign(seqnames="chr1")
variant = GenomicRanges(["chr1"], IRanges([200], [1]), strand=["*"])

for name, read in (
    ("read_gtf", genomicranges.read_gtf("x.gtf")),
    ("from_pandas", GenomicRanges.from_pandas(table)),
):
    kinds = read.get_mcols().column("feature")
    spans = zip(kinds, read.get_strand(), read.get_start(), read.get_start() + read.get_width() - 1)
    told = ", ".join(f"{kind} {'+' if s == 1 else '-'} {first}-{last}" for kind, s, first, last in spans)
    print(f"{name}: {told}; widths {' '.join(str(width) for width in read.get_width())}")
    start_site = read.resize(1).get_start()[1]
    hits = len(read.find_overlaps(variant))
    print(f"{name}: TSS of the gene on the minus strand {start_site}; the variant at 200 is in {hits} features")
PY
env/bin/python run.py 2> said | tee seen || { cat said >&2; exit 1; }
cat > expected <<'TXT'
read_gtf: gene + 101-199, gene - 101-199, stop_codon + 150-149; widths 99 99 0
read_gtf: TSS of the gene on the minus strand 199; the variant at 200 is in 0 features
from_pandas: gene + 101-200, gene - 101-200, stop_codon + 150-150; widths 100 100 1
from_pandas: TSS of the gene on the minus strand 200; the variant at 200 is in 2 features
TXT
diff expected seen
