#!/bin/sh
# Question: what does SHAPEIT4 make of men's haploid calls on chrX, and of calls with one missing allele?
#
# Guess, written before the run: haploid calls are refused; of `1|.` and `.|1` the called allele is kept and the other
# one is imputed.
#
# Versions: shapeit4 4.2.2, bcftools 1.16 (Debian 12).
#
# Seen: a haploid `1` comes out as a heterozygous call, wherever a man has the ALT, so he has half of what he carries,
# on a haplotype that is chosen for him. `1|.` is taken for `1|0`: at a site where everybody has the ALT on both
# haplotypes it comes out with the reference allele, which nobody has. With the gap in front (`.|1`, `.|0`) the whole
# call is thrown away and imputed: a called reference allele becomes ALT. No warning, exit status 0. (Upstream's issue
# 24 says that haploid calls were never tested; the help and the log do not.)
#
# Output (ten men of 30 people at 40 sites; then a site where all others are 1|1, with the gaps named):
#   haploid 0: 0|0 in 202 of 202
#   haploid 1: het in 198 of 198
#   1|. becomes het, .|1 becomes 1|1, .|0 becomes 1|1
set -eu
dpkg-query -W -f '${Version}' shapeit4 2> /dev/null | grep -q '^4\.2\.2' ||
    { echo 'needs shapeit4 4.2.2 (Debian 12)' >&2; exit 2; }
bcftools --version | head -n 1 | grep -qx 'bcftools 1.16' || { echo 'needs bcftools 1.16 (Debian 12)' >&2; exit 2; }
dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT
cd "$dir"

cat > run.py <<'PY'
import random
import subprocess

random.seed(1)
SITES, PEOPLE, MEN = 40, 30, 10
founders = [[random.randint(0, 1) for _ in range(SITES)] for _ in range(6)]
haplotypes = [[random.choice(founders) for _ in range(2)] for _ in range(PEOPLE)]


def phased(contig, calls):
    with open("x.vcf", "w") as out:
        out.write(f"##fileformat=VCFv4.2\n##contig=<ID={contig},length=1000000>\n")
        out.write('##FORMAT=<ID=GT,Number=1,Type=String,Description="Genotype">\n')
        head = "#CHROM POS ID REF ALT QUAL FILTER INFO FORMAT".split()
        out.write("\t".join([*head, *(f"p{i}" for i in range(PEOPLE))]) + "\n")
        for site, row in enumerate(calls):
            out.write("\t".join([contig, str(5000 * (site + 1)), ".", "A", "G", ".", "PASS", ".", "GT", *row]) + "\n")
    subprocess.run("bcftools view -Ob -o x.bcf x.vcf && bcftools index -f x.bcf", shell=True, check=True)
    order = ["shapeit4", "--input", "x.bcf", "--region", contig, "--output", "y.bcf", "--seed", "1"]
    subprocess.run(order, check=True, capture_output=True)
    order = ["bcftools", "query", "-f", "[%GT ]\\n", "y.bcf"]
    said = subprocess.run(order, check=True, capture_output=True, text=True).stdout
    return [line.split() for line in said.splitlines()]


def pairs(site, sep="/"):
    return [sep.join(str(h[site]) for h in pair) for pair in haplotypes]


men = [[str(pair[0][site]) for pair in haplotypes[:MEN]] for site in range(SITES)]
out = phased("X", [men[site] + pairs(site)[MEN:] for site in range(SITES)])
seen = [(call, out[site][i]) for site in range(SITES) for i, call in enumerate(men[site])]
for allele, name in (("0", "0|0"), ("1", "het")):
    became = ["het" if call in ("0|1", "1|0") else call for made, call in seen if made == allele]
    print(f"haploid {allele}: {name} in {became.count(name)} of {len(became)}")

gaps = ["1|.", ".|1", ".|0"]
rows = [pairs(site, "|") for site in range(SITES)]
rows[20] = gaps + ["1|1"] * (PEOPLE - len(gaps))
became = ["het" if call in ("0|1", "1|0") else call for call in phased("20", rows)[20]]
print(", ".join(f"{made} becomes {call}" for made, call in zip(gaps, became)))
PY
python3 run.py | tee seen
cat > expected <<'TXT'
haploid 0: 0|0 in 202 of 202
haploid 1: het in 198 of 198
1|. becomes het, .|1 becomes 1|1, .|0 becomes 1|1
TXT
diff expected seen
