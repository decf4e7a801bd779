#!/bin/sh
# Question: VCF 4.4 gives a symbolic deletion its length by SVLEN and no END. Does a query inside the deletion find it?
#
# Guess (not written down: met while something else was tested): yes in every htslib
# binding, as the index that one of them made covers the deletion.
#
# Versions: cyvcf2 0.35.0 (htslib 1.19.1), pysam 0.24.1 (htslib 1.24), bcftools 1.16 (Debian 12).
#
# Seen: pysam finds it; cyvcf2 and bcftools 1.16, on the same file with pysam's index, do not: to them the record ends
# at POS. A reader of personal genomes that asks one library for the variants of a window misses a deletion that begins
# before the window; with another library it is there. In BCF both agree, as the length is stored by the writer: so the
# answer depends on who wrote the file. (The header declares END, which the record does not use: without it pysam cannot
# write the record; see pysam-symbolic-without-end.sh.)
#
# Output (a <DEL> at 1000, SVLEN=5000; asked for 2001-4000):
#   VCF: pysam finds 1, cyvcf2 finds 0, bcftools 1.16 finds 0
#   end of the record: pysam 6000, cyvcf2 1000
#   BCF by pysam: pysam finds 1, cyvcf2 finds 1
#   BCF by bcftools 1.16: pysam finds 0, cyvcf2 finds 0
set -eu
bcftools --version | head -n 1 | grep -qx 'bcftools 1.16' || { echo 'needs bcftools 1.16 (Debian 12)' >&2; exit 2; }
dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT
cd "$dir"
{ python3 -m venv env && env/bin/pip install --quiet cyvcf2==0.35.0 pysam==0.24.1; } ||
    { echo 'could not install' >&2; exit 2; }

cat > make.py <<'PY'
import pysam

with open("x.vcf", "w") as out:
    out.write("##fileformat=VCFv4.4\n##contig=<ID=1,length=100000>\n")
    out.write('##ALT=<ID=DEL,Description="Deletion">\n')
    out.write('##INFO=<ID=SVLEN,Number=A,Type=Integer,Description="Length of the variant">\n')
    out.write('##INFO=<ID=END,Number=1,Type=Integer,Description="End; not used">\n')
    out.write('##FORMAT=<ID=GT,Number=1,Type=String,Description="Genotype">\n')
    out.write("\t".join("#CHROM POS ID REF ALT QUAL FILTER INFO FORMAT a".split()) + "\n")
    out.write("\t".join(["1", "1000", ".", "A", "<DEL>", ".", "PASS", "SVLEN=5000", "GT", "0|1"]) + "\n")
pysam.tabix_compress("x.vcf", "x.vcf.gz", force=True)
pysam.tabix_index("x.vcf.gz", preset="vcf", force=True)
with pysam.VariantFile("x.vcf") as source, pysam.VariantFile("new.bcf", "wb", header=source.header) as out:
    for record in source:
        out.write(record)
PY
cat > query.py <<'PY'
import subprocess
import sys

import cyvcf2
import pysam

path, name = sys.argv[1:]
with pysam.VariantFile(path) as file:
    found = len(list(file.fetch("1", 2000, 4000)))
print(f"{name}: pysam finds {found}, cyvcf2 finds {len(list(cyvcf2.VCF(path)('1:2001-4000')))}", end="")
if path.endswith("vcf.gz"):
    said = subprocess.run(["bcftools", "view", "-H", "-r", "1:2001-4000", path], capture_output=True, text=True)
    print(f", bcftools 1.16 finds {len(said.stdout.splitlines())}", end="")
print()
PY
cat > ends.py <<'PY'
import cyvcf2
import pysam

print(f"end of the record: pysam {next(iter(pysam.VariantFile('x.vcf.gz'))).stop}, "
      f"cyvcf2 {next(cyvcf2.VCF('x.vcf.gz')).end}")
PY
env/bin/python make.py
bcftools view -O b -o old.bcf x.vcf
env/bin/python -c 'import pysam.bcftools as b; b.index("new.bcf"); b.index("old.bcf")'
{
    env/bin/python query.py x.vcf.gz VCF
    env/bin/python ends.py
    env/bin/python query.py new.bcf 'BCF by pysam'
    env/bin/python query.py old.bcf 'BCF by bcftools 1.16'
} 2> /dev/null | tee seen
cat > expected <<'TXT'
VCF: pysam finds 1, cyvcf2 finds 0, bcftools 1.16 finds 0
end of the record: pysam 6000, cyvcf2 1000
BCF by pysam: pysam finds 1, cyvcf2 finds 1
BCF by bcftools 1.16: pysam finds 0, cyvcf2 finds 0
TXT
diff expected seen
