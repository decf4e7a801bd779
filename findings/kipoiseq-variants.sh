#!/bin/sh
# Question: does kipoiseq's VariantSeqExtractor build the sequence that a haplotype's variants describe?
#
# Guess, written before the run: yes. Records that overlap are refused, or the second is skipped; a REF that is not the
# genome's raises; the order of the list does not matter; the length stays as asked.
#
# Versions: kipoiseq 0.7.1, pyfaidx 0.9.2.2.
#
# Seen: order, length, and records that reach over the window's ends are right. The rest is not, and nothing is raised
# or warned of. A SNP inside a deletion of the same haplotype cuts the deletion short and stays: the sequence is neither
# that of the deletion (what bcftools consensus gives, which skips the second record) nor that of the SNP. A record
# that stands twice in the list is put in twice, and shifts all that lies on its side of the anchor by a base. REF is
# not looked at, so the variants of another genome build are applied without a sign.
#
# Output (window 11-30, anchor 20; "not" is followed by what was meant):
#   SNP: right
#   deletion: right
#   deletion, SNP apart: right
#   SNP apart, deletion: right
#   deletion across the end: right
#   deletion across the start: right
#   SNP inside the deletion (skipped): TCAGGACTCATGCATGCCAA, not AGTCAGGTCATGCATGCCAA
#   the same SNP twice (once): AGGTAACTCATGCATGCCAA, not CAGGTACTCATGCATGCCAA
#   REF is not the genome's (not applied): CAGGTACTCATGCATGCCAA, not CAGGTTCTCATGCATGCCAA
set -eu
dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT
cd "$dir"
{ python3 -m venv env && env/bin/pip install --quiet kipoiseq==0.7.1 pyfaidx==0.9.2.2 six==1.17.0; } ||
    { echo 'could not install' >&2; exit 2; }

cat > run.py <<'PY'
from kipoiseq.dataclasses import Interval, Variant
from kipoiseq.extractors import VariantSeqExtractor

GENOME = "GATTACCAGTCAGGTTCTCATGCATGCCAAGCTTAGCATA"
START, END, ANCHOR = 10, 30, 20
with open("genome.fa", "w") as out:
    out.write(f">1\n{GENOME}\n")
extractor = VariantSeqExtractor(fasta_file="genome.fa")


def by_hand(variants):
    """Edit from right to left; the base at the anchor stays where it was."""
    sequence, anchor = GENOME, ANCHOR
    for pos, ref, alt in sorted(variants, reverse=True):
        sequence = sequence[: pos - 1] + alt + sequence[pos - 1 + len(ref) :]
        anchor += (len(alt) - len(ref)) * (pos - 1 < ANCHOR)
    return sequence[anchor - (ANCHOR - START) : anchor + (END - ANCHOR)]


def show(name, variants, meant=None):
    meant = by_hand(variants if meant is None else meant)
    got = extractor.extract(Interval("1", START, END), [Variant("1", *v) for v in variants], ANCHOR)
    print(f"{name}: {'right' if got == meant else f'{got}, not {meant}'}")


snp, apart, deletion = (16, "T", "A"), (26, "G", "C"), (14, "GTTC", "G")
show("SNP", [snp])
show("deletion", [deletion])
show("deletion, SNP apart", [deletion, apart])
show("SNP apart, deletion", [apart, deletion])
show("deletion across the end", [(29, "AAGCT", "A")])
show("deletion across the start", [(7, "CAGTCA", "C")])
show("SNP inside the deletion (skipped)", [deletion, snp], meant=[deletion])
show("the same SNP twice (once)", [snp, snp], meant=[snp])
show("REF is not the genome's (not applied)", [(16, "G", "A")], meant=[])
PY
env/bin/python run.py 2> /dev/null | tee seen
cat > expected <<'TXT'
SNP: right
deletion: right
deletion, SNP apart: right
SNP apart, deletion: right
deletion across the end: right
deletion across the start: right
SNP inside the deletion (skipped): TCAGGACTCATGCATGCCAA, not AGTCAGGTCATGCATGCCAA
the same SNP twice (once): AGGTAACTCATGCATGCCAA, not CAGGTACTCATGCATGCCAA
REF is not the genome's (not applied): CAGGTACTCATGCATGCCAA, not CAGGTTCTCATGCATGCCAA
TXT
diff expected seen
