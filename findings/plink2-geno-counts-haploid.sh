#!/bin/sh
# Question: does `plink2 --geno-counts` count men's haploid calls of a second and third ALT on chrX?
#
# Guess (not written down before it was first seen, beside another question; it would have been: yes, in HAP_ALT_CTS,
# as `--freq` and `--missing` count it).
#
# Versions: plink2 2.00a3.5 (Debian 12).
#
# Seen: no. From the second ALT on, men's counts stand one place too far to the right: of two ALTs the second is
# counted as missing, of three the second stands as the third and the third as missing. Men with `2 2 1 0 .` give
# HAP_ALT_CTS 1,0 and MISSING_CT 3, where `--missing` of the same run says 1 and `--freq counts` counts both `2`.
# Women on chrX and haploid calls on MT are right. A filter on missing calls that takes this table drops multi-allelic
# sites of chrX, the more the commoner the last ALT is. No warning. Later plink2 versions were not tried.
#
# Output (five men, then three women; HAP_REF_CT, HAP_ALT_CTS, MISSING_CT of --geno-counts; ALT_CTS of --freq counts;
# MISSING_CT of --missing):
#   X two: 2 2 1 0 . 0/0 0/2 2/2: geno-counts 1 1,0 missing 3; freq 1,5; missing 1
#   X three: 3 2 2 1 . 0/0 0/3 2/3: geno-counts 0 1,0,2 missing 2; freq 1,3,3; missing 1
#   MT mito: 2 2 1 0 . 0 1 2: geno-counts 2 2,3 missing 1; freq 2,3; missing 1
set -eu
plink2 --version | grep -q 'v2.00a3.5 ' || { echo 'needs plink2 2.00a3.5 (Debian 12)' >&2; exit 2; }
dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT
cd "$dir"

cat > run.py <<'PY'
import csv
import subprocess

people = ["m1", "m2", "m3", "m4", "m5", "w1", "w2", "w3"]
sites = [
    ("X", 3000010, "two", "G,T", "2 2 1 0 . 0/0 0/2 2/2"),
    ("X", 3000020, "three", "G,T,C", "3 2 2 1 . 0/0 0/3 2/3"),
    ("MT", 30, "mito", "G,T", "2 2 1 0 . 0 1 2"),
]
with open("calls.vcf", "w") as out:
    out.write("##fileformat=VCFv4.2\n##contig=<ID=X,length=156040895>\n##contig=<ID=MT,length=16569>\n")
    out.write('##FORMAT=<ID=GT,Number=1,Type=String,Description="Genotype">\n')
    out.write("\t".join("#CHROM POS ID REF ALT QUAL FILTER INFO FORMAT".split() + people) + "\n")
    for chrom, pos, name, alt, calls in sites:
        out.write("\t".join([chrom, str(pos), name, "A", alt, ".", "PASS", ".", "GT", *calls.split()]) + "\n")
with open("sex.txt", "w") as out:
    out.write("#IID SEX\n" + "".join(f"{p} {1 if p[0] == 'm' else 2}\n" for p in people))
for order in ("--vcf calls.vcf --update-sex sex.txt --make-pgen", "--pfile a --geno-counts --freq counts --missing"):
    subprocess.run(["plink2", *order.split(), "--out", "a"], check=True, capture_output=True)


def table(ending):
    with open(f"a.{ending}") as lines:
        return {row["ID"]: row for row in csv.DictReader(lines, delimiter="\t")}


counts, freq, missing = table("gcount"), table("acount"), table("vmiss")
for chrom, _, name, _, calls in sites:
    row = counts[name]
    print(
        f"{chrom} {name}: {calls}: geno-counts {row['HAP_REF_CT']} {row['HAP_ALT_CTS']} missing {row['MISSING_CT']}; "
        f"freq {freq[name]['ALT_CTS']}; missing {missing[name]['MISSING_CT']}"
    )
PY
python3 run.py | tee seen
cat > expected <<'TXT'
X two: 2 2 1 0 . 0/0 0/2 2/2: geno-counts 1 1,0 missing 3; freq 1,5; missing 1
X three: 3 2 2 1 . 0/0 0/3 2/3: geno-counts 0 1,0,2 missing 2; freq 1,3,3; missing 1
MT mito: 2 2 1 0 . 0 1 2: geno-counts 2 2,3 missing 1; freq 2,3; missing 1
TXT
diff expected seen
