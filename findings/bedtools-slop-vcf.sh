#!/bin/sh
# Question: `bedtools slop -b 2 -i x.vcf` (its usage line says bed/gff/vcf) is to widen variants by two bases on each
# side. What does it write?
#
# Guess, written before the run: an error, as a VCF record has no end that could be moved.
#
# Versions: bedtools 2.30.0 (Debian 12).
#
# Seen: VCF records with another POS and everything else as it was: variants that are two bases to the left of where
# they were, with a REF that is not there. The right side is not widened at all, so that the next command of a pipe
# finds what lies before a variant, not what lies behind it, nor the base of an SNV itself. `shift` and `flank` write
# such records too, flank two of them a variant. No warning, exit status 0. With BED all three do what they say.
#
# Output (an SNV at POS 10 as VCF and as BED; positions that `bedtools intersect` finds in what is written):
#   slop -b 2: VCF POS 8 REF A, covers 8; BED covers 8 9 10 11 12
#   shift -s 2: VCF POS 12 REF A, covers 12; BED covers 12
#   flank -b 2: VCF POS 8 REF A POS 11 REF A, covers 8 11; BED covers 8 9 11 12
set -eu
bedtools --version 2> /dev/null | grep -qx 'bedtools v2.30.0' ||
    { echo 'needs bedtools 2.30.0 (Debian 12)' >&2; exit 2; }
dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT
cd "$dir"

cat > run.py <<'PY'
import subprocess

with open("x.vcf", "w") as out:
    out.write("##fileformat=VCFv4.2\n##contig=<ID=1,length=100>\n")
    out.write("\t".join("#CHROM POS ID REF ALT QUAL FILTER INFO".split()) + "\n")
    out.write("\t".join(["1", "10", ".", "A", "G", ".", "PASS", "."]) + "\n")
with open("x.bed", "w") as out:
    out.write("1\t9\t10\n")
with open("lengths", "w") as out:
    out.write("1\t100\n")
with open("bases.bed", "w") as out:
    out.writelines(f"1\t{start}\t{start + 1}\n" for start in range(30))


def bedtools(*options):
    return subprocess.run(["bedtools", *options], check=True, capture_output=True, text=True).stdout


def covered(name):
    hit = bedtools("intersect", "-u", "-a", "bases.bed", "-b", name)
    return " ".join(line.split()[2] for line in hit.splitlines())


for command, *options in (("slop", "-b", "2"), ("shift", "-s", "2"), ("flank", "-b", "2")):
    for kind in ("vcf", "bed"):
        with open(f"out.{kind}", "w") as out:
            out.write(bedtools(command, *options, "-header", "-i", f"x.{kind}", "-g", "lengths"))
    with open("out.vcf") as lines:
        rows = [line.split() for line in lines if not line.startswith("#")]
    told = " ".join(f"POS {row[1]} REF {row[3]}" for row in rows)
    print(f"{command} {' '.join(options)}: VCF {told}, covers {covered('out.vcf')}; BED covers {covered('out.bed')}")
PY
python3 run.py | tee seen
cat > expected <<'TXT'
slop -b 2: VCF POS 8 REF A, covers 8; BED covers 8 9 10 11 12
shift -s 2: VCF POS 12 REF A, covers 12; BED covers 12
flank -b 2: VCF POS 8 REF A POS 11 REF A, covers 8 11; BED covers 8 9 11 12
TXT
diff expected seen
