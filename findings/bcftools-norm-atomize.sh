#!/bin/sh
# Question: does `bcftools norm -a` (atomize) leave a person's two sequences as they were, read by `bcftools
# consensus`?
#
# Guess, written before the run: yes, in both versions: atoms are the same change in smaller steps, and phase is kept.
#
# Versions: bcftools 1.16 (Debian 12) and the bcftools 1.24 inside pysam 0.24.1.
#
# Seen: not where a site has two alternate alleles of which one is an indel. On the atoms of the one, the haplotype of
# the other gets `*`, on the base that an indel is anchored on too, which is not deleted. `consensus` writes the `*`
# into the sequence as a letter, in place of that base; and where two deletions begin at one POS, it writes one `*`
# over what the shorter one deletes and skips the longer one, so that bases come back. Phase is kept, and nothing is
# said but the number of records applied. With `--atom-overlaps .` these are as they were. 1.24 besides takes TC>AGG
# apart into A and two records at the next base, of which one is applied; there no option helps, and 1.16 is right.
#
# Output (haplotypes 1 and 2 before and after, around the site; - is no change):
#   1.16 TC>AG 0|1: -
#   1.16 TC>AC,T 1|2: - and GGTATC > GG*ATC
#   1.16 T>A,TGG 1|2: - and GGTGGCATC > GG*GGCATC
#   1.16 TCAT>T,TAT 1|2: GGTC > GG*ATC and -
#   1.16 TC>AGG 0|1: -
#   1.24 TC>AG 0|1: -
#   1.24 TC>AC,T 1|2: - and GGTATC > GG*ATC
#   1.24 T>A,TGG 1|2: - and GGTGGCATC > GG*GGCATC
#   1.24 TCAT>T,TAT 1|2: GGTC > GG*ATC and -
#   1.24 TC>AGG 0|1: - and GGAGGATC > GGACGATC
#   with --atom-overlaps . all as before: 1.16 True, 1.24 False
set -eu
bcftools --version | head -n 1 | grep -qx 'bcftools 1.16' || { echo 'needs bcftools 1.16 (Debian 12)' >&2; exit 2; }
dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT
cd "$dir"
{ python3 -m venv env && env/bin/pip install --quiet pysam==0.24.1; } ||
    { echo 'could not install' >&2; exit 2; }

cat > run.py <<'PY'
import subprocess

import pysam
import pysam.bcftools

GENOME = "GATTACAGGTCATCCAGTACGTTGCATGCATCCGA"
SITES = [("TC", "AG", "0|1"), ("TC", "AC,T", "1|2"), ("T", "A,TGG", "1|2"), ("TCAT", "T,TAT", "1|2"), ("TC", "AGG", "0|1")]
with open("genome.fa", "w") as out:
    out.write(f">1\n{GENOME}\n")
pysam.faidx("genome.fa")


def bcftools(version, command, *order):
    if version == "1.16":
        subprocess.run(["bcftools", command, *order], check=True, stderr=subprocess.DEVNULL)
    else:
        getattr(pysam.bcftools, command)(*order, catch_stdout=False)


def sequences(version, name):
    pysam.tabix_index(name, preset="vcf", force=True)
    found = []
    for haplotype in "12":
        bcftools(version, "consensus", "-f", "genome.fa", "-s", "p", "-H", haplotype, "-o", "one.fa", f"{name}.gz")
        with open("one.fa") as lines:
            found.append("".join(line.strip() for line in lines if line[0] != ">"))
    return found


def changed(before, after):
    end = before.index("CAGTACG")
    stop = after.index("CAGTACG")
    return "-" if before == after else f"{before[7:end]} > {after[7:stop]}"


kept = {}
for version in ("1.16", "1.24"):
    kept[version] = True
    for ref, alt, call in SITES:
        assert GENOME[9:].startswith(ref)
        with open("calls.vcf", "w") as out:
            out.write(f"##fileformat=VCFv4.2\n##contig=<ID=1,length={len(GENOME)}>\n")
            out.write('##FORMAT=<ID=GT,Number=1,Type=String,Description="Genotype">\n')
            out.write("#CHROM POS ID REF ALT QUAL FILTER INFO FORMAT p\n".replace(" ", "\t"))
            out.write("\t".join(["1", "10", ".", ref, alt, ".", "PASS", ".", "GT", call]) + "\n")
        bcftools(version, "norm", "-a", "-o", "atoms.vcf", "calls.vcf")
        bcftools(version, "norm", "-a", "--atom-overlaps", ".", "-o", "dots.vcf", "calls.vcf")
        before, after, dots = (sequences(version, name) for name in ("calls.vcf", "atoms.vcf", "dots.vcf"))
        kept[version] &= before == dots
        both = [changed(*pair) for pair in zip(before, after, strict=True)]
        print(f"{version} {ref}>{alt} {call}: " + ("-" if both == ["-", "-"] else " and ".join(both)))
print("with --atom-overlaps . all as before: " + ", ".join(f"{version} {same}" for version, same in kept.items()))
PY
env/bin/python run.py 2> said | tee seen
cat > expected <<'TXT'
1.16 TC>AG 0|1: -
1.16 TC>AC,T 1|2: - and GGTATC > GG*ATC
1.16 T>A,TGG 1|2: - and GGTGGCATC > GG*GGCATC
1.16 TCAT>T,TAT 1|2: GGTC > GG*ATC and -
1.16 TC>AGG 0|1: -
1.24 TC>AG 0|1: -
1.24 TC>AC,T 1|2: - and GGTATC > GG*ATC
1.24 T>A,TGG 1|2: - and GGTGGCATC > GG*GGCATC
1.24 TCAT>T,TAT 1|2: GGTC > GG*ATC and -
1.24 TC>AGG 0|1: - and GGAGGATC > GGACGATC
with --atom-overlaps . all as before: 1.16 True, 1.24 False
TXT
diff expected seen || { cat said >&2; exit 1; }
