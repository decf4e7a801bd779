#!/bin/sh
# Question: does gffutils' `FeatureDB.bed12` write what BED12 asks for, on the minus strand and for a noncoding transcript?
#
# Guess: blocks ascend and starts count from 0 (written before the run); thickStart and thickEnd of a noncoding
# transcript are equal, or span it all (not written down).
#
# Versions: gffutils 0.14.
#
# Seen: the coding transcript is right. The noncoding one gets a thick part that begins one base late: its start is the GTF's,
# which counts from 1, while chromStart beside it was converted. So it reads as coding, with a first base that is not, and a tool that
# takes CDS from BED12 finds one in every noncoding transcript, out of step by one.
#
# Output (a transcript at 101-400 in the GTF; chromStart chromEnd, thickStart thickEnd, blockStarts):
#   coding: 100 400, 150 350, 0,200
#   noncoding: 100 400, 101 400, 0,200
set -eu
dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT
cd "$dir"
{ python3 -m venv env && env/bin/pip install --quiet gffutils==0.14; } || { echo 'could not install' >&2; exit 2; }

cat > run.py <<'PY'
import gffutils

rows = [("gene", 101, 400, "")]
for name, thick in (("coding", [(301, 350), (151, 200)]), ("noncoding", [])):
    rows.append(("transcript", 101, 400, name))
    rows += [("exon", first, last, name) for first, last in ((301, 400), (101, 200))]
    rows += [("CDS", first, last, name) for first, last in thick]
with open("genes.gtf", "w") as out:
    for kind, first, last, name in rows:
        named = f' transcript_id "{name}";' if name else ""
        out.write(f'chr1\tmade\t{kind}\t{first}\t{last}\t.\t-\t.\tgene_id "g";{named}\n')
made = gffutils.create_db(
    "genes.gtf", ":memory:", disable_infer_genes=True, disable_infer_transcripts=True
)
for name in ("coding", "noncoding"):
    bed = made.bed12(name).split("\t")
    print(f"{name}: {bed[1]} {bed[2]}, {bed[6]} {bed[7]}, {bed[11].strip()}")
PY
env/bin/python run.py | tee seen
cat > expected <<'TXT'
coding: 100 400, 150 350, 0,200
noncoding: 100 400, 101 400, 0,200
TXT
diff expected seen
