#!/bin/sh
# Question: what does WASP2 count where a person has two different ALTs (`1|2`)?
#
# Guess, written before the run: the site is counted or skipped; counted meant the one ALT against the other (which
# was not written).
#
# Versions: wasp2 1.4.1, polars 1.31.0 (with 2.1.0 it stops), pysam 0.24.1, numpy 2.4.6.
#
# Seen: the site comes twice, once for each ALT, and each time the reads of that ALT stand against those of the
# reference, which the person does not have: 0 of 30. The other ALT's reads are in other_count, which the analysis
# does not use. Both rows go into one test, so 30 reads of each allele, the most balanced that can be, are 1 against
# 61 (with the pseudocount), and the site is the first of the list, its p below 1e-9 where all others are 1. No
# warning; biallelic records are not asked for.
#
# Output (reads of one person, 30 of each of his two alleles at every site; counts of reference, ALT and other, then
# counts and p-value of the analysis):
#   1100 A>G A|G 30 30 0
#   3100 A>G G|T 0 30 30
#   3100 A>T G|T 0 30 30
#   0|1: 30 30 p = 1
#   1|2: 1 61 p < 1e-9
set -eu
dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT
cd "$dir"
{ python3 -m venv env && env/bin/pip install --quiet --no-deps wasp2==1.4.1 polars==1.31.0 pysam==0.24.1 \
    numpy==2.4.6 rich==15.0.0 pygments==2.21.0 markdown-it-py==4.3.0 mdurl==0.1.2; } ||
    { echo 'could not install' >&2; exit 2; }

cat > run.py <<'PY'
import pysam
from counting.run_counting import run_count_variants
from wasp2_rust import analyze_imbalance

sites = [(1100, "G", "0|1", "AG"), (3100, "G,T", "1|2", "GT")]
sites += [(5000 + 1000 * i, "G", "0|1", "AG") for i in range(30)]
with open("x.vcf", "w") as out:
    out.write("##fileformat=VCFv4.2\n##contig=<ID=1,length=100000>\n")
    out.write('##FORMAT=<ID=GT,Number=1,Type=String,Description="Genotype">\n')
    out.write("#CHROM POS ID REF ALT QUAL FILTER INFO FORMAT person\n".replace(" ", "\t"))
    for pos, alt, call, _ in sites:
        out.write("\t".join(["1", str(pos), ".", "A", alt, ".", "PASS", ".", "GT", call]) + "\n")
pysam.tabix_index("x.vcf", preset="vcf", keep_original=True)
header = {"HD": {"VN": "1.6", "SO": "coordinate"}, "SQ": [{"SN": "1", "LN": 100000}]}
with pysam.AlignmentFile("x.bam", "wb", header=header) as out:
    for pos, _, _, alleles in sites:
        for number in range(60):
            read = pysam.AlignedSegment(out.header)
            read.query_name, read.flag, read.reference_id = f"{pos}_{number}", 0, 0
            read.query_sequence = "A" * 25 + alleles[number % 2] + "A" * 24
            read.query_qualities = pysam.qualitystring_to_array("I" * 50)
            read.reference_start, read.mapping_quality, read.cigarstring = pos - 26, 60, "50M"
            out.write(read)
pysam.index("x.bam")
run_count_variants("x.bam", "x.vcf.gz", samples="person", out_file="counts.tsv")
with open("counts.tsv") as lines, open("seen", "w") as out:
    for line in list(lines)[1:4]:
        _, _, pos, ref, alt, call, *counts = line.split()
        out.write(f"{pos} {ref}>{alt} {call} {' '.join(counts)}\n")
    found = analyze_imbalance("counts.tsv", min_count=10, pseudocount=1, method="single")
    rows = {row["region"].split("_")[1]: row for row in found}
    for pos, call in (("1100", "0|1"), ("3100", "1|2")):
        row = rows[pos]
        p = "p = 1" if row["pval"] > 0.999 else "p < 1e-9" if row["pval"] < 1e-9 else f"p = {row['pval']:.3g}"
        out.write(f"{call}: {row['ref_count']} {row['alt_count']} {p}\n")
PY
env/bin/python run.py > said 2>&1 || { cat said >&2; exit 1; }
cat seen
cat > expected <<'TXT'
1100 A>G A|G 30 30 0
3100 A>G G|T 0 30 30
3100 A>T G|T 0 30 30
0|1: 30 30 p = 1
1|2: 1 61 p < 1e-9
TXT
diff expected seen
