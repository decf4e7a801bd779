#!/bin/sh
# Question: bcftools' filters know AC and AF; where INFO does not have them, they are counted from the genotypes. Does
# a filter keep the same sites either way, where a site has two alternate alleles?
#
# Guess, written before the run: yes, in both versions; of several values any one that fits is enough, as the manual
# says. (The first difference was seen by chance, in a comparison with another program.)
#
# Versions: bcftools 1.16 (Debian 12) and the bcftools 1.24 inside pysam 0.24.1.
#
# Seen: no, and the two versions are wrong in opposite ways, both only where INFO lacks the tags. 1.16 looks at the
# first ALT alone when no subscript is given, so that AC>2 loses a site whose second ALT is the common one, and AC[1]
# of a site with one ALT is 0. 1.24 mends both, and takes no notice of the subscript: AC[0]>2 keeps a site whose first
# ALT was seen once, AC[1]<2 one whose second was seen four times. With the tags in INFO (`+fill-tags`) both versions
# are right. So a filter for common variants keeps other sites before than after `bcftools view -s`, which writes AC
# and AN. No warning, exit status 0.
#
# Output (sites that are kept; counts of site 10 are 3, of site 20 1 and 4, of site 30 4 and 1; "filled" has the tags
# in INFO):
#   1.16 AC>2: counted 10 30, filled 10 20 30
#   1.16 AF>0.3: counted 10 30, filled 10 20 30
#   1.16 AC[0]>2: counted 10 30, filled 10 30
#   1.16 AC[1]<2: counted 10 30, filled 30
#   1.24 AC>2: counted 10 20 30, filled 10 20 30
#   1.24 AF>0.3: counted 10 20 30, filled 10 20 30
#   1.24 AC[0]>2: counted 10 20 30, filled 10 30
#   1.24 AC[1]<2: counted 20 30, filled 30
set -eu
bcftools --version | head -n 1 | grep -qx 'bcftools 1.16' || { echo 'needs bcftools 1.16 (Debian 12)' >&2; exit 2; }
dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT
cd "$dir"
{ python3 -m venv env && env/bin/pip install --quiet pysam==0.24.1; } ||
    { echo 'could not install' >&2; exit 2; }

cat > run.py <<'PY'
import subprocess

import pysam.bcftools

sites = [(10, "G", "0|1 1|1 0|0 0|0"), (20, "G,T", "0|1 2|2 0|2 2|0"), (30, "G,T", "0|2 1|1 0|1 1|0")]
with open("counted.vcf", "w") as out:
    out.write("##fileformat=VCFv4.2\n##contig=<ID=1,length=100>\n")
    out.write('##FORMAT=<ID=GT,Number=1,Type=String,Description="Genotype">\n')
    out.write("#CHROM POS ID REF ALT QUAL FILTER INFO FORMAT a b c d\n".replace(" ", "\t"))
    for pos, alt, calls in sites:
        out.write("\t".join(["1", str(pos), ".", "A", alt, ".", "PASS", ".", "GT", *calls.split()]) + "\n")
fill = ["bcftools", "+fill-tags", "counted.vcf", "-o", "filled.vcf", "--", "-t", "AC,AN,AF"]
subprocess.run(fill, check=True)


def kept(version, asked, name):
    order = ["-i", asked, "-f", "%POS ", name]
    if version == "1.24":
        found = pysam.bcftools.query(*order)
    else:
        found = subprocess.run(["bcftools", "query", *order], check=True, capture_output=True, text=True).stdout
    return " ".join(found.split())


for version in ("1.16", "1.24"):
    for asked in ("AC>2", "AF>0.3", "AC[0]>2", "AC[1]<2"):
        found = [f"{name} {kept(version, asked, f'{name}.vcf')}" for name in ("counted", "filled")]
        print(f"{version} {asked}: " + ", ".join(found))
PY
env/bin/python run.py | tee seen
cat > expected <<'TXT'
1.16 AC>2: counted 10 30, filled 10 20 30
1.16 AF>0.3: counted 10 30, filled 10 20 30
1.16 AC[0]>2: counted 10 30, filled 10 30
1.16 AC[1]<2: counted 10 30, filled 30
1.24 AC>2: counted 10 20 30, filled 10 20 30
1.24 AF>0.3: counted 10 20 30, filled 10 20 30
1.24 AC[0]>2: counted 10 20 30, filled 10 30
1.24 AC[1]<2: counted 20 30, filled 30
TXT
diff expected seen
