#!/bin/sh
# Question: enformer-pytorch's FastaInterval gives one-hot bases or, with `return_seq_indices=True`, indices that the
# model turns into one-hot bases itself. Are both the same?
#
# Guess (not written down before the code was read): yes; the indices are there to move fewer bytes.
#
# Versions: enformer-pytorch 0.8.12, torch 2.13.0 (CPU), pyfaidx 0.9.2.2.
#
# Seen: not for letters of the IUPAC code other than ACGTN, which stand in hg38 here and there and at every heterozygous
# site of `bcftools consensus -I`: one-hot they are no base, as indices they are A, the index that is left where nothing was
# set. And not beyond the contig's end: padding is 0.25 of each base in both forms, until the sequence is turned round
# (`rc_aug=True`); then, as indices, it is N, which is no base. No warning.
#
# Output (sums of the four channels, or the base):
#   R: one-hot 0, indices A
#   N: one-hot 0, indices 0
#   padding: one-hot 0.25 each, indices 0.25 each
#   padding, reverse complement: one-hot 0.25 each, indices 0
set -eu
dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT
cd "$dir"
{ python3 -m venv env && env/bin/pip install --quiet enformer-pytorch==0.8.12 torch==2.13.0 pyfaidx==0.9.2.2; } ||
    { echo 'could not install' >&2; exit 2; }

cat > run.py <<'PY'
import torch
from enformer_pytorch import FastaInterval
from enformer_pytorch.data import one_hot_reverse_complement, seq_indices_reverse_complement, seq_indices_to_one_hot

with open("genome.fa", "w") as out:
    out.write(">chr1\nRCGTNCGTAC\n")


def base(row):
    if row.max() == 1:
        return "ACGT"[int(row.argmax())]
    return "0.25 each" if bool((row == 0.25).all()) else f"{float(row.sum()):g}"


one_hot = FastaInterval(fasta_file="genome.fa", context_length=14)("chr1", 0, 10)
indices = FastaInterval(fasta_file="genome.fa", context_length=14, return_seq_indices=True)("chr1", 0, 10)
expanded = seq_indices_to_one_hot(indices)
assert torch.equal(one_hot[7:], expanded[7:])
print(f"R: one-hot {base(one_hot[2])}, indices {base(expanded[2])}")
print(f"N: one-hot {base(one_hot[6])}, indices {base(expanded[6])}")
print(f"padding: one-hot {base(one_hot[0])}, indices {base(expanded[0])}")
turned = one_hot_reverse_complement(one_hot)
expanded = seq_indices_to_one_hot(seq_indices_reverse_complement(indices))
print(f"padding, reverse complement: one-hot {base(turned[0])}, indices {base(expanded[0])}")
PY
OMP_NUM_THREADS=1 env/bin/python run.py 2> said | tee seen || { cat said >&2; exit 1; }
cat > expected <<'TXT'
R: one-hot 0, indices A
N: one-hot 0, indices 0
padding: one-hot 0.25 each, indices 0.25 each
padding, reverse complement: one-hot 0.25 each, indices 0
TXT
diff expected seen
