#!/bin/sh
# Question: does `CrossMap vcf` keep what every person carries?
#
# Guess, written before the run: yes, or the record goes to the .unmap file: one whose base in the new genome is a third
# one, or its ALT, is refused, as genotypes count against REF; an indel comes out anchored on a valid REF.
#
# Versions: CrossMap 0.7.4.
#
# Seen: with a chain that maps a genome onto itself and the same genome as target, every deletion is refused with
# "Fail(REF==ALT)", and an MNP (CTC>AGA) comes out as an insertion (C>CGA): REF is read back from the target as one
# base, whatever its length was. Where the new genome has another base, the record passes: REF becomes the new base and
# GT stays, so `0|0` now says that the person has a base nobody saw. Where the new base is one of two ALTs, that ALT
# is struck off but GT is not renumbered: `1`, which was A, now reads C, and `2` points past the list. (The last of
# these was looked for after reading the code; the others were seen before.) Only the deletions are reported.
#
# Output (default options; each record with the person's call or the reason of refusal):
#   same genome:
#   snp A>C 0|1
#   ins C>CGG 0|1
#   mnp C>CGA 0|1
#   del CA>C Fail(REF==ALT)
#   other base at A>C 0|0 and at G>A,C 1|2:
#   third G>C 0|0
#   multi A>C 1|2
set -eu
dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT
cd "$dir"
{ python3 -m venv env && env/bin/pip install --quiet crossmap==0.7.4; } ||
    { echo 'could not install' >&2; exit 2; }

cat > make.py <<'PY'
OLD = "GATTACCAGT" + "CAGGTTCTCA" + "TGCATGCCAA" + "GCTTAGCATA"
new = list(OLD)
new[11], new[25] = "G", "A"
sites = [
    ("same", [(5, "snp", "A", "C", "0|1"), (7, "ins", "C", "CGG", "0|1"), (11, "del", "CA", "C", "0|1"),
              (17, "mnp", "CTC", "AGA", "0|1")]),
    ("other", [(12, "third", "A", "C", "0|0"), (26, "multi", "G", "A,C", "1|2")]),
]
for name, records in sites:
    with open(f"{name}.vcf", "w") as out:
        out.write("##fileformat=VCFv4.2\n##contig=<ID=1,length=40>\n")
        out.write('##FORMAT=<ID=GT,Number=1,Type=String,Description="Genotype">\n')
        out.write("#CHROM\tPOS\tID\tREF\tALT\tQUAL\tFILTER\tINFO\tFORMAT\tperson\n")
        for pos, label, ref, alt, gt in records:
            assert OLD[pos - 1 :].startswith(ref), (pos, ref)
            out.write(f"1\t{pos}\t{label}\t{ref}\t{alt}\t.\tPASS\t.\tGT\t{gt}\n")
for name, genome in (("same", OLD), ("other", "".join(new))):
    with open(f"{name}.fa", "w") as out:
        out.write(f">1\n{genome}\n")
with open("self.chain", "w") as out:
    out.write("chain 1000 1 40 + 0 40 1 40 + 0 40 1\n40\n\n")
PY
env/bin/python make.py
for name in same other; do
    env/bin/CrossMap vcf self.chain "$name.vcf" "$name.fa" "$name.lifted.vcf" 2> /dev/null
done
lifted() { grep -v '^#' "$1.lifted.vcf" | awk '{print $3, $4 ">" $5, $10}'; }
refused() { grep -v '^#' "$1.lifted.vcf.unmap" | awk '{print $3, $4 ">" $5, $11}'; }
{
    echo 'same genome:'; lifted same; refused same
    echo 'other base at A>C 0|0 and at G>A,C 1|2:'; lifted other; refused other
} | tee seen
cat > expected <<'TXT'
same genome:
snp A>C 0|1
ins C>CGG 0|1
mnp C>CGA 0|1
del CA>C Fail(REF==ALT)
other base at A>C 0|0 and at G>A,C 1|2:
third G>C 0|0
multi A>C 1|2
TXT
diff expected seen
