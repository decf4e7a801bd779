#!/bin/sh
# Question: does scikit-bio's `reverse_complement` turn the annotated intervals of a sequence round as well?
#
# Guess, written before the run: yes, places and strands; a gene on the plus strand is on the minus strand of the result.
#
# Versions: scikit-bio 0.7.4, numpy 2.4.6.
#
# Seen: places are turned round, strands are not. The result's gene is at the right place and still says +, where the bases are
# its antisense, and `write` puts that into a GFF3 file. The documentation says that interval metadata are reversed. The
# strand is an entry that scikit-bio's own GFF3 and GenBank readers make, so it is not the user's private word.
#
# Output (a gene on the plus strand of 17 bases, its bases at that place and strand, the line of the GFF3 file):
#   as read: + ATGAAA
#     chr1 . gene 3 8 . + 0 ID=g
#   reverse complement: + TTTCAT
#     chr1 . gene 10 15 . + 0 ID=g
set -eu
dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT
cd "$dir"
{ python3 -m venv env && env/bin/pip install --quiet scikit-bio==0.7.4 numpy==2.4.6; } ||
    { echo 'could not install' >&2; exit 2; }

cat > run.py <<'PY'
import skbio

with open("in.gff3", "w") as out:
    out.write("##gff-version 3\nchr1\t.\tgene\t3\t8\t.\t+\t0\tID=g\n")
    out.write("##FASTA\n>chr1\nCCATGAAATTTCCCGGG\n")
read = skbio.io.read("in.gff3", format="gff3", into=skbio.DNA, seq_num=1)


def show(label, sequence):
    gene = next(iter(sequence.interval_metadata.query(metadata={"type": "gene"})))
    (start, end), strand = gene.bounds[0], gene.metadata["strand"]
    bases = sequence[start:end] if strand == "+" else sequence[start:end].reverse_complement()
    print(f"{label}: {strand} {bases}")
    sequence.interval_metadata.write("out.gff3", format="gff3", seq_id="chr1")
    with open("out.gff3") as file:
        print("  " + " ".join(file.read().splitlines()[1].split("\t")))


show("as read", read)
show("reverse complement", read.reverse_complement())
PY
env/bin/python run.py | tee seen
cat > expected <<'TXT'
as read: + ATGAAA
  chr1 . gene 3 8 . + 0 ID=g
reverse complement: + TTTCAT
  chr1 . gene 10 15 . + 0 ID=g
TXT
diff expected seen
