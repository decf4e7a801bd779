#!/bin/sh
# Question: what kinship does `vcftools --relatedness2` give of one person sequenced twice, with calls missing?
#
# Guess, written before the run: what KING's formula gives (which counts sites that both have).
#
# Versions: vcftools 0.1.16 (Debian 12; the last release).
#
# Seen: a person's heterozygous sites are counted wherever he was called, those that two people share only where both
# were. So missing calls lower the kinship by their share: with 30% missing in each sample a duplicate has 0.35 (a
# parent or child, by KING's bounds), and a parent and child have 0.17 (second degree); with 50%, 0.26 and 0.12. By
# the same formula at the sites that both have it is 0.5 and 0.25. That is ordinary at low coverage, or where samples
# of two platforms are merged: swapped and doubled samples are not found. No warning; the manual names KING's paper
# only.
#
# Output (share of missing calls in each sample; kinship as written and, in brackets, by the formula at the sites that
# both have):
#   0%: duplicate 0.500 (0.500), child 0.250 (0.250)
#   10%: duplicate 0.451 (0.500), child 0.223 (0.248)
#   30%: duplicate 0.351 (0.500), child 0.171 (0.247)
#   50%: duplicate 0.256 (0.500), child 0.124 (0.249)
set -eu
vcftools --version 2> /dev/null | grep -q '(0.1.16)' || { echo 'needs vcftools 0.1.16 (Debian 12)' >&2; exit 2; }
dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT
cd "$dir"

cat > run.py <<'PY'
import random
import subprocess

SITES = 20_000


def kinship(a, b):
    both = [(x, y) for x, y in zip(a, b) if x is not None and y is not None]
    shared, opposite = sum(x == y == 1 for x, y in both), sum(abs(x - y) == 2 for x, y in both)
    return (shared - 2 * opposite) / sum((x == 1) + (y == 1) for x, y in both)


for share in (0, 0.1, 0.3, 0.5):
    random.seed(1)
    frequency = [random.uniform(0.1, 0.9) for _ in range(SITES)]
    parent = [[int(random.random() < p) for _ in range(2)] for p in frequency]
    child = [random.choice(pair) + int(random.random() < p) for pair, p in zip(parent, frequency)]
    people = {"one": [sum(pair) for pair in parent], "again": [sum(pair) for pair in parent], "child": child}
    for name, copies in people.items():
        people[name] = [None if random.random() < share else copy for copy in copies]
    with open("x.vcf", "w") as out:
        out.write(f"##fileformat=VCFv4.2\n##contig=<ID=1,length={10 * SITES + 10}>\n")
        out.write('##FORMAT=<ID=GT,Number=1,Type=String,Description="Genotype">\n')
        out.write("\t".join(["#CHROM POS ID REF ALT QUAL FILTER INFO FORMAT".replace(" ", "\t"), *people]) + "\n")
        for site in range(SITES):
            calls = [{None: "./.", 0: "0/0", 1: "0/1", 2: "1/1"}[copies[site]] for copies in people.values()]
            out.write("\t".join(["1", str(10 * site + 10), ".", "A", "G", ".", "PASS", ".", "GT", *calls]) + "\n")
    order = ["vcftools", "--vcf", "x.vcf", "--relatedness2", "--stdout"]
    table = subprocess.run(order, check=True, capture_output=True, text=True).stdout
    phi = {(row[0], row[1]): float(row[-1]) for row in map(str.split, table.splitlines()[1:])}
    said = [f"{label} {phi['one', other]:.3f} ({kinship(people['one'], people[other]):.3f})"
            for label, other in (("duplicate", "again"), ("child", "child"))]
    print(f"{share:.0%}: {', '.join(said)}")
PY
python3 run.py | tee seen
cat > expected <<'TXT'
0%: duplicate 0.500 (0.500), child 0.250 (0.250)
10%: duplicate 0.451 (0.500), child 0.223 (0.248)
30%: duplicate 0.351 (0.500), child 0.171 (0.247)
50%: duplicate 0.256 (0.500), child 0.124 (0.249)
TXT
diff expected seen
