#!/bin/sh
# Question: which two sequences does gReLU build for an insertion or a deletion, by `variant_to_seqs` and in the
# dataset that `predict_variant_effects` predicts?
#
# Guess, written before the run: the reference is the genome's window, and the alternate sequence has the indel, cut
# or filled up to the same length.
#
# Versions: gReLU 1.1.0, torch 2.13.0 (CPU), pyfaidx 0.9.2.2, numpy 2.4.6, pandas 2.3.3.
#
# Seen: SNVs are right, indels are not, and both ways agree. Each allele is written over as many bases of the window
# as it has itself, and nothing behind it moves. A deletion of one base gives two equal sequences, so its effect is 0.
# One of two bases has a "reference" that is not the genome (TCT stands one base to the left, over other bases) and an
# "alternate" that is. An insertion overwrites the two bases behind it. `variant_to_seqs` warns, for a REF of three
# bases or more, that the sequence is not centred on the reference; the dataset does not. (`filter_variants` drops
# indels by default, and has an option to keep those up to a length. A table of alleles of different lengths is an
# error.)
#
# Output (window of 16; "meant" is the genome with the record applied, cut to 16):
#   G>T: genome CAGTCAGGTTCTCATG, ref the same, alt as meant; warnings 0
#   GG>G: genome CCAGTCAGGTTCTCAT, ref the same, alt CCAGTCAGGTTCTCAT, meant CCAGTCAGTTCTCATG; warnings 0
#   TCT>T: genome GTCAGGTTCTCATGCA, ref GTCAGGTCTTCATGCA, alt GTCAGGTTCTCATGCA, meant GTCAGGTTCATGCATG; warnings 1
#   G>GAA: genome CAGTCAGGTTCTCATG, ref the same, alt CAGTCAGAATCTCATG, meant CAGTCAGGAATTCTCA; warnings 0
#   the dataset has the same sequences: True; its warnings 0
set -eu
dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT
cd "$dir"
{ python3 -m venv env && env/bin/pip install --quiet gReLU==1.1.0 torch==2.13.0 pyfaidx==0.9.2.2 numpy==2.4.6 \
    pandas==2.3.3; } || { echo 'could not install' >&2; exit 2; }

cat > run.py <<'PY'
import warnings

import pandas as pd
from grelu.data.dataset import VariantDataset
from grelu.variant import variant_to_seqs

GENOME = "GATTACCAGTCAGGTTCTCATGCATGCCAAGCTTAGCATACGGTT"
WIDTH = 16
with open("genome.fa", "w") as out:
    out.write(f">chr1\n{GENOME}\n")
with open("genome.fa.sizes", "w") as out:
    out.write(f"chr1\t{len(GENOME)}\n")


def noted(make):
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        return make(), sum("reference" in str(warning.message) for warning in caught)


same, of_dataset = True, 0
for pos, ref, alt in ((14, "G", "T"), (13, "GG", "G"), (16, "TCT", "T"), (14, "G", "GAA")):
    assert GENOME[pos - 1 :].startswith(ref)
    table = pd.DataFrame({"chrom": ["chr1"], "pos": [pos], "ref": [ref], "alt": [alt]})
    built, count = noted(lambda: variant_to_seqs("chr1", pos, ref, alt, "genome.fa", WIDTH))
    data, more = noted(lambda: VariantDataset(table, seq_len=WIDTH, genome="genome.fa"))
    same &= ["".join("ACGT"[base] for base in data[i].argmax(0)) for i in range(2)] == list(built)
    of_dataset += more
    start = pos - WIDTH // 2
    window = GENOME[start : start + WIDTH]
    meant = (GENOME[start : pos - 1] + alt + GENOME[pos - 1 + len(ref) :])[:WIDTH]
    shown = "as meant" if built[1] == meant else f"{built[1]}, meant {meant}"
    first = "the same" if built[0] == window else built[0]
    print(f"{ref}>{alt}: genome {window}, ref {first}, alt {shown}; warnings {count}")
print(f"the dataset has the same sequences: {same}; its warnings {of_dataset}")
PY
env/bin/python run.py 2> said | tee seen
cat > expected <<'TXT'
G>T: genome CAGTCAGGTTCTCATG, ref the same, alt as meant; warnings 0
GG>G: genome CCAGTCAGGTTCTCAT, ref the same, alt CCAGTCAGGTTCTCAT, meant CCAGTCAGTTCTCATG; warnings 0
TCT>T: genome GTCAGGTTCTCATGCA, ref GTCAGGTCTTCATGCA, alt GTCAGGTTCTCATGCA, meant GTCAGGTTCATGCATG; warnings 1
G>GAA: genome CAGTCAGGTTCTCATG, ref the same, alt CAGTCAGAATCTCATG, meant CAGTCAGGAATTCTCA; warnings 0
the dataset has the same sequences: True; its warnings 0
TXT
diff expected seen || { cat said >&2; exit 1; }
