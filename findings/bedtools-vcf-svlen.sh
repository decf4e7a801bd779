#!/bin/sh
# Question: which bases does bedtools take a VCF's symbolic deletion or duplication to cover?
#
# Guess, written before the run: those up to END, as VCF says, whatever else INFO has; SVLEN without END adds nothing,
# so that such a record is one base long.
#
# Versions: bedtools 2.30.0 (Debian 12).
#
# Seen: END and SVLEN both count, and whichever stands first in INFO decides. With SVLEN first, the record has SVLEN
# bases from POS on. POS is the base before the event, so the last base of it is missing: the same deletion is one base
# longer or shorter by the order in which its caller writes INFO, and one that takes the first base of an exon, or
# the one base of a BED line, does not overlap it. Records of VCF 4.4, which have no END, are all one short. A deletion
# that is written out is right, with SVLEN or without. No warning, exit status 0.
#
# Output (POS is 10; first and last position of the reference that `bedtools intersect` finds covered):
#   A <DEL> END=15: 10 to 15
#   A <DEL> END=15;SVLEN=-5: 10 to 15
#   A <DEL> SVLEN=-5;END=15: 10 to 14
#   A <DEL> SVLEN=-5: 10 to 14
#   A <DUP> END=15;SVLEN=5: 10 to 15
#   A <DUP> SVLEN=5;END=15: 10 to 14
#   A <INV> END=15;SVLEN=5: 10 to 15
#   A <INV> SVLEN=5;END=15: 10 to 14
#   ACGTAC A SVLEN=-5: 10 to 15
set -eu
bedtools --version 2> /dev/null | grep -qx 'bedtools v2.30.0' ||
    { echo 'needs bedtools 2.30.0 (Debian 12)' >&2; exit 2; }
dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT
cd "$dir"

cat > run.py <<'PY'
import subprocess

HEADER = """##fileformat=VCFv4.3
##contig=<ID=1,length=1000>
##ALT=<ID=DEL,Description="Deletion">
##ALT=<ID=DUP,Description="Duplication">
##ALT=<ID=INV,Description="Inversion">
##INFO=<ID=END,Number=1,Type=Integer,Description="Last position of the event">
##INFO=<ID=SVLEN,Number=A,Type=Integer,Description="Difference of the lengths of ALT and REF">
"""
RECORDS = """A <DEL> END=15
A <DEL> END=15;SVLEN=-5
A <DEL> SVLEN=-5;END=15
A <DEL> SVLEN=-5
A <DUP> END=15;SVLEN=5
A <DUP> SVLEN=5;END=15
A <INV> END=15;SVLEN=5
A <INV> SVLEN=5;END=15
ACGTAC A SVLEN=-5"""

with open("bases.bed", "w") as out:
    out.writelines(f"1\t{start}\t{start + 1}\n" for start in range(100))
for record in RECORDS.splitlines():
    ref, alt, info = record.split()
    with open("one.vcf", "w") as out:
        out.write(HEADER + "\t".join("#CHROM POS ID REF ALT QUAL FILTER INFO".split()) + "\n")
        out.write("\t".join(["1", "10", ".", ref, alt, ".", "PASS", info]) + "\n")
    order = ["bedtools", "intersect", "-u", "-a", "bases.bed", "-b", "one.vcf"]
    hit = subprocess.run(order, check=True, capture_output=True, text=True).stdout.splitlines()
    ends = [int(line.split()[2]) for line in hit]
    print(f"{record}: {min(ends)} to {max(ends)}")
PY
python3 run.py | tee seen
cat > expected <<'TXT'
A <DEL> END=15: 10 to 15
A <DEL> END=15;SVLEN=-5: 10 to 15
A <DEL> SVLEN=-5;END=15: 10 to 14
A <DEL> SVLEN=-5: 10 to 14
A <DUP> END=15;SVLEN=5: 10 to 15
A <DUP> SVLEN=5;END=15: 10 to 14
A <INV> END=15;SVLEN=5: 10 to 15
A <INV> SVLEN=5;END=15: 10 to 14
ACGTAC A SVLEN=-5: 10 to 15
TXT
diff expected seen
