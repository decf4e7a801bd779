#!/bin/sh
# Question: does Beagle keep the phase of people who are phased, and the called allele of a half-missing call?
#
# Guess, written before the run: yes to both. Debian's manual page says of `gt=` that the phase of a genotype with a
# bar is preserved.
#
# Versions: beagle 220722 (5.4, Debian 12; the manual page of 241217 says the same, the program was not tried).
#
# Seen: one unphased or missing call in the file (`.|.` as well), of one person at one site, and everybody is phased
# anew: most people's haplotypes change, whatever phased them before (reads, parents). If all calls are phased and
# present, nothing is changed. So adding one array sample to a cohort phased by trios, or one `./.` from a merge,
# undoes it. Of a half-missing call both alleles are thrown away and imputed, `.|0` where all others are `1|1` becomes
# `1|1`. The log says neither, exit status 0.
#
# Output (30 people at 40 sites, without a panel; switches between neighbouring heterozygous calls of the 29 people
# who have no unphased call; then a site where all others are 1|1, with the gaps named):
#   all phased: 499 heterozygous calls, 0 switches in 0 people
#   one call of one person unphased: 499 heterozygous calls, 91 switches in 28 people
#   0|. becomes 1|1, .|0 becomes 1|1
set -eu
{ beagle 2>&1 || true; } | grep -q '22Jul22' || { echo 'needs beagle 220722 (Debian 12)' >&2; exit 2; }
dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT
cd "$dir"

cat > run.py <<'PY'
import gzip
import random
import subprocess

random.seed(1)
SITES, PEOPLE = 40, 30
founders = [[random.randint(0, 1) for _ in range(SITES)] for _ in range(6)]


def mosaic():
    pieces = [random.choice(founders) for _ in range(SITES // 5)]
    return [pieces[site // 5][site] for site in range(SITES)]


haplotypes = [[mosaic(), mosaic()] for _ in range(PEOPLE)]


def beagle(calls):
    with open("x.vcf", "w") as out:
        out.write("##fileformat=VCFv4.2\n##contig=<ID=20,length=1000000>\n")
        out.write('##FORMAT=<ID=GT,Number=1,Type=String,Description="Genotype">\n')
        head = "#CHROM POS ID REF ALT QUAL FILTER INFO FORMAT".split()
        out.write("\t".join([*head, *(f"p{i}" for i in range(PEOPLE))]) + "\n")
        for site, row in enumerate(calls):
            out.write("\t".join(["20", str(5000 * (site + 1)), ".", "A", "G", ".", "PASS", ".", "GT", *row]) + "\n")
    order = ["beagle", "gt=x.vcf", "out=y", "seed=1", "nthreads=1"]
    subprocess.run(order, check=True, capture_output=True)
    with gzip.open("y.vcf.gz", "rt") as lines:
        return [[call.split(":")[0] for call in line.split()[9:]] for line in lines if not line.startswith("#")]


phased = [[f"{a[site]}|{b[site]}" for a, b in haplotypes] for site in range(SITES)]
last = next(site for site in range(SITES) if phased[site][-1] in ("0|1", "1|0"))
mixed = [row[:-1] + ["0/1" if site == last else row[-1]] for site, row in enumerate(phased)]
for name, calls in (("all phased", phased), ("one call of one person unphased", mixed)):
    hets = switches = people = 0
    for made, found in list(zip(zip(*phased), zip(*beagle(calls))))[:-1]:
        assert [sorted(call) for call in made] == [sorted(call) for call in found]
        same = [x == y for x, y in zip(made, found) if x in ("0|1", "1|0")]
        changes = sum(x != y for x, y in zip(same, same[1:]))
        hets, switches, people = hets + len(same), switches + changes, people + (changes > 0)
    print(f"{name}: {hets} heterozygous calls, {switches} switches in {people} people")

gaps = ["0|.", ".|0"]
phased[20] = gaps + ["1|1"] * (PEOPLE - len(gaps))
print(", ".join(f"{made} becomes {call}" for made, call in zip(gaps, beagle(phased)[20])))
PY
python3 run.py | tee seen
cat > expected <<'TXT'
all phased: 499 heterozygous calls, 0 switches in 0 people
one call of one person unphased: 499 heterozygous calls, 91 switches in 28 people
0|. becomes 1|1, .|0 becomes 1|1
TXT
diff expected seen
