#!/bin/sh
# Question: VCF 4.4 lets a call state the phase of its first allele (`|0|1`, section 1.6.2). Do Python's two htslib
# bindings read it?
#
# Guess, written before the run: either both do, or neither; and the version that the header names does not matter.
#
# Versions: cyvcf2 0.35.0 (htslib 1.19.1), pysam 0.24.1 (htslib 1.24).
#
# Seen: cyvcf2 raises on the record, whatever the header says. pysam reads it under 4.4 and 4.5 and raises "truncated
# file" under 4.3 and 4.2, so a tool that rewrites the header's version breaks the file. A BCF that pysam writes of the
# record holds three values for each person; cyvcf2 reads that file, and says that these diploid people have ploidy 3:
# `genotype.array()` has a column more, and code that takes the last one off as phase keeps a filler as an allele.
#
# Output (two people, |0|1 and 0|1):
#   4.2: cyvcf2 raises, pysam raises
#   4.3: cyvcf2 raises, pysam raises
#   4.4: cyvcf2 raises, pysam reads [(0, 1), (0, 1)]
#   4.5: cyvcf2 raises, pysam reads [(0, 1), (0, 1)]
#   BCF of the 4.4 file: cyvcf2 ploidy 3, array [[0, 1, -2, 1], [0, 1, -2, 1]]
#   BCF of the same calls written 0|1: cyvcf2 ploidy 2, array [[0, 1, 1], [0, 1, 1]]
set -eu
dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT
cd "$dir"
{ python3 -m venv env && env/bin/pip install --quiet cyvcf2==0.35.0 pysam==0.24.1; } ||
    { echo 'could not install' >&2; exit 2; }

cat > run.py <<'PY'
import cyvcf2
import pysam


def write(version, first):
    with open("x.vcf", "w") as out:
        out.write(f"##fileformat=VCFv{version}\n##contig=<ID=1,length=1000>\n")
        out.write('##FORMAT=<ID=GT,Number=1,Type=String,Description="Genotype">\n')
        out.write("\t".join("#CHROM POS ID REF ALT QUAL FILTER INFO FORMAT a b".split()) + "\n")
        out.write("\t".join(["1", "100", ".", "A", "C", ".", "PASS", ".", "GT", first, "0|1"]) + "\n")


def attempt(read):
    try:
        return f"reads {read()}"
    except Exception:
        return "raises"


def bcf(name):
    with pysam.VariantFile("x.vcf") as source, pysam.VariantFile("x.bcf", "wb", header=source.header) as out:
        for record in source:
            out.write(record)
    v = next(cyvcf2.VCF("x.bcf"))
    print(f"{name}: cyvcf2 ploidy {v.ploidy}, array {v.genotype.array().tolist()}")


for version in ("4.2", "4.3", "4.4", "4.5"):
    write(version, "|0|1")
    theirs = attempt(lambda: next(cyvcf2.VCF("x.vcf")).genotypes)
    ours = attempt(lambda: [s["GT"] for s in next(iter(pysam.VariantFile("x.vcf"))).samples.values()])
    print(f"{version}: cyvcf2 {theirs}, pysam {ours}")
write("4.4", "|0|1")
bcf("BCF of the 4.4 file")
write("4.4", "0|1")
bcf("BCF of the same calls written 0|1")
PY
env/bin/python run.py 2> /dev/null | tee seen
cat > expected <<'TXT'
4.2: cyvcf2 raises, pysam raises
4.3: cyvcf2 raises, pysam raises
4.4: cyvcf2 raises, pysam reads [(0, 1), (0, 1)]
4.5: cyvcf2 raises, pysam reads [(0, 1), (0, 1)]
BCF of the 4.4 file: cyvcf2 ploidy 3, array [[0, 1, -2, 1], [0, 1, -2, 1]]
BCF of the same calls written 0|1: cyvcf2 ploidy 2, array [[0, 1, 1], [0, 1, 1]]
TXT
diff expected seen
