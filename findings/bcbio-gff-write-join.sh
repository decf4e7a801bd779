#!/bin/sh
# Question: a GenBank file has genes with introns (`join(...)`). What does `BCBio.GFF.write` make of them in GFF3?
#
# Guess, written before the run: a row for each part, with one ID, and the phases.
#
# Versions: bcbio-gff 0.7.1, biopython 1.88.
#
# Seen: one row from the first base of the first part to the last of the last one: the introns are coding sequence,
# with phase 0. What reads the file translates through the introns, counts their reads and their variants as exonic,
# and takes lengths that are too long. Of a gene over the origin of a circular genome, the row spans everything. No
# warning.
#
# Output (CDS as GenBank says it, and the rows of the GFF3):
#   plus: join(101..150,201..249); GFF3 101-249, 99 bases become 149
#   minus: complement(join(302..350,401..450)); GFF3 302-450, 99 bases become 149
#   origin: join(481..500,1..10); GFF3 1-500, 30 bases become 500
set -eu
dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT
cd "$dir"
{ python3 -m venv env && env/bin/pip install --quiet --no-cache-dir bcbio-gff==0.7.1 biopython==1.88; } ||
    { echo 'could not install' >&2; exit 2; }

cat > run.py <<'PY'
import random

from BCBio import GFF
from Bio import SeqIO

random.seed(1)
PLACES = (
    ("plus", "join(101..150,201..249)"),
    ("minus", "complement(join(302..350,401..450))"),
    ("origin", "join(481..500,1..10)"),
)
bases = "".join(random.choice("acgt") for _ in range(500))
with open("x.gb", "w") as out:
    out.write("LOCUS       chr1                     500 bp    DNA     circular UNK 01-JAN-2026\n")
    out.write("FEATURES             Location/Qualifiers\n")
    for name, place in PLACES:
        out.write(f'     CDS             {place}\n                     /ID="{name}"\n')
    out.write("ORIGIN\n")
    for start in range(0, 500, 60):
        out.write(f"{start + 1:>9} {bases[start : start + 60]}\n")
    out.write("//\n")

record = SeqIO.read("x.gb", "genbank")
with open("x.gff3", "w") as out:
    GFF.write([record], out)
with open("x.gff3") as lines:
    rows = [line.split("\t") for line in lines if "\tCDS\t" in line]
for (name, place), feature in zip(PLACES, record.features):
    own = [row for row in rows if f"ID={name}" in row[8]]
    spans = " ".join(f"{row[3]}-{row[4]}" for row in own)
    written = sum(int(row[4]) - int(row[3]) + 1 for row in own)
    print(f"{name}: {place}; GFF3 {spans}, {len(feature.extract(record.seq))} bases become {written}")
PY
env/bin/python run.py 2> said | tee seen || { cat said >&2; exit 1; }
cat > expected <<'TXT'
plus: join(101..150,201..249); GFF3 101-249, 99 bases become 149
minus: complement(join(302..350,401..450)); GFF3 302-450, 99 bases become 149
origin: join(481..500,1..10); GFF3 1-500, 30 bases become 500
TXT
diff expected seen
