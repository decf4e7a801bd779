#!/bin/sh
# Question: what does GenVarLoader make of a man's haploid calls on chrX, and of unphased calls?
#
# Guess, written before the run: an error, or his second haplotype repeats the first; unphased heterozygous calls are
# refused, or at least warned about.
#
# Versions: genvarloader 0.43.1, genoray 6.0.2, pgenlib 0.95.1, plink2 2.00a3.5 (Debian 12).
#
# Seen: from VCF his second haplotype is the bare reference; from PGEN, made by plink2 from the same VCF, it repeats the
# first. So the mean over his two haplotypes has half the effect in one format and the whole in the other. `0/1` is
# taken as `0|1` in both, without a word. genoray's description says that its readers hold two haplotypes for
# everybody; it does not say what fills a man's second.
#
# Output (the base at the SNP of haplotypes 1 and 2; REF is C, ALT is A):
#   vcf: man 1 A C; woman 0|1 C A; woman 1|0 A C; woman 0/1 C A
#   pgen: man 1 A A; woman 0|1 C A; woman 1|0 A C; woman 0/1 C A
#   warnings about ploidy or phase: 0
set -eu
plink2 --version | grep -q 'v2.00a3.5 ' || { echo 'needs plink2 2.00a3.5 (Debian 12)' >&2; exit 2; }
dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT
cd "$dir"
{ python3 -m venv env && env/bin/pip install --quiet genvarloader==0.43.1 genoray==6.0.2 pgenlib==0.95.1; } ||
    { echo 'could not install' >&2; exit 2; }

cat > make.py <<'PY'
import pysam

with open("genome.fa", "w") as out:
    out.write(">chrX\n" + "GATTACCAGTCAGGTTCTCATGCATGCCAAGCTTAGCATA" * 5 + "\n")
pysam.faidx("genome.fa")
with open("calls.vcf", "w") as out:
    out.write("##fileformat=VCFv4.2\n##contig=<ID=chrX,length=200>\n")
    out.write('##FORMAT=<ID=GT,Number=1,Type=String,Description="Genotype">\n')
    out.write("#CHROM\tPOS\tID\tREF\tALT\tQUAL\tFILTER\tINFO\tFORMAT\tm\tw1\tw2\tw3\n")
    out.write("chrX\t103\tsnp\tC\tA\t.\tPASS\t.\tGT\t1\t0|1\t1|0\t0/1\n")
pysam.tabix_compress("calls.vcf", "calls.vcf.gz", force=True)
pysam.tabix_index("calls.vcf.gz", preset="vcf", force=True)
with open("sex.txt", "w") as out:
    out.write("#IID\tSEX\nm\t1\nw1\t2\nw2\t2\nw3\t2\n")
PY
cat > run.py <<'PY'
import sys

import genvarloader as gvl
import numpy as np
import polars as pl

kind, source = sys.argv[1:]
bed = pl.DataFrame({"chrom": ["chrX"], "chromStart": [90], "chromEnd": [130]})
gvl.write(path=f"{kind}.gvl", bed=bed, variants=source, overwrite=True)
data = gvl.Dataset.open(f"{kind}.gvl", reference="genome.fa").with_seqs("haplotypes")
calls = {"m": "man 1", "w1": "woman 0|1", "w2": "woman 1|0", "w3": "woman 0/1"}
bases = [f"{calls[s]} " + " ".join(np.asarray(h).tobytes().decode()[12] for h in data[0, i])
         for i, s in enumerate(data.samples)]
print(f"{kind}: " + "; ".join(bases))
PY
env/bin/python make.py
plink2 --vcf calls.vcf.gz --update-sex sex.txt --output-chr chrM --make-pgen --out calls > plink.log 2>&1
{
    env/bin/python run.py vcf calls.vcf.gz 2>> said
    env/bin/python run.py pgen calls.pgen 2>> said
    echo "warnings about ploidy or phase: $(grep -ciE 'ploid|phase' said || true)"
} | tee seen
cat > expected <<'TXT'
vcf: man 1 A C; woman 0|1 C A; woman 1|0 A C; woman 0/1 C A
pgen: man 1 A A; woman 0|1 C A; woman 1|0 A C; woman 0/1 C A
warnings about ploidy or phase: 0
TXT
diff expected seen
