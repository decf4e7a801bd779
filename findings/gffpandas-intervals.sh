#!/bin/sh
# Question: does gffpandas count GFF3's positions as GFF3 does, from 1 and with the last base, and does it find the
# features of a chromosome by its name?
#
# Guess, written before the run: yes: features that share one base with the window overlap, and a feature's length is
# end - start + 1. (Of names nothing was written.)
#
# Versions: gffpandas 1.2.0, pandas 2.3.3, numpy 2.4.6.
#
# Seen: no. `overlaps_with` does not find what shares a single base with the window at either end, `filter_by_length`
# and `stats_dic` take one base off every length. And where all chromosomes of a file are numbers, as in Ensembl's
# names of autosomes, they are read as integers, so that "1", the str that the description asks for, finds nothing;
# with one X in the file "1" finds and 1 does not. No warning of it (pandas warns of a filter's index, at each call).
#
# Output (a gene at 100-200 of the first chromosome and one elsewhere; found or not in windows):
#   chr1 and chr2, asked for 'chr1': 50-99 no, 50-100 no, 50-101 yes, 199-250 yes, 200-250 no, 201-250 no
#   1 and 2, asked for '1': 50-99 no, 50-100 no, 50-101 no, 199-250 no, 200-250 no, 201-250 no
#   1 and 2, asked for 1: 50-99 no, 50-100 no, 50-101 yes, 199-250 yes, 200-250 no, 201-250 no
#   1 and X, asked for '1': 50-99 no, 50-100 no, 50-101 yes, 199-250 yes, 200-250 no, 201-250 no
#   length of 100-200: 100
set -eu
dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT
cd "$dir"
{ python3 -m venv env && env/bin/pip install --quiet gffpandas==1.2.0 pandas==2.3.3 numpy==2.4.6; } ||
    { echo 'could not install' >&2; exit 2; }

cat > run.py <<'PY'
from gffpandas import gffpandas

WINDOWS = ((50, 99), (50, 100), (50, 101), (199, 250), (200, 250), (201, 250))


def read(first, second):
    with open("x.gff3", "w") as out:
        out.write("##gff-version 3\n")
        for chromosome in (first, second):
            out.write(f"{chromosome}\tx\tgene\t100\t200\t.\t+\t.\tID=gene_{chromosome}\n")
    return gffpandas.read_gff3("x.gff3")


for first, second, name in (("chr1", "chr2", "chr1"), ("1", "2", "1"), ("1", "2", 1), ("1", "X", "1")):
    genes = read(first, second)
    found = [len(genes.overlaps_with(seq_id=name, start=start, end=end).df) for start, end in WINDOWS]
    told = ", ".join(f"{s}-{e} {'yes' if n else 'no'}" for (s, e), n in zip(WINDOWS, found))
    print(f"{first} and {second}, asked for {name!r}: {told}")
print(f"length of 100-200: {read('chr1', 'chr2').stats_dic()['Maximal_bp_length']}")
PY
env/bin/python run.py 2> said | tee seen || { cat said >&2; exit 1; }
cat > expected <<'TXT'
chr1 and chr2, asked for 'chr1': 50-99 no, 50-100 no, 50-101 yes, 199-250 yes, 200-250 no, 201-250 no
1 and 2, asked for '1': 50-99 no, 50-100 no, 50-101 no, 199-250 no, 200-250 no, 201-250 no
1 and 2, asked for 1: 50-99 no, 50-100 no, 50-101 yes, 199-250 yes, 200-250 no, 201-250 no
1 and X, asked for '1': 50-99 no, 50-100 no, 50-101 yes, 199-250 yes, 200-250 no, 201-250 no
length of 100-200: 100
TXT
diff expected seen
