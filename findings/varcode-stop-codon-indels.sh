#!/bin/sh
# Question: what does varcode say of insertions and deletions around a stop codon?
#
# Guess, written before the run: what translating the changed transcript says: bases put in behind the stop codon
# change no protein, and a protein that runs on keeps what it had.
#
# Versions: varcode 10.21.1, pyensembl 2.32.3, pandas 2.3.3, numpy 2.4.6.
#
# Seen: an insertion of one or two bases right behind the stop codon is called a loss of the stop, with a tail of amino
# acids, though the stop codon and all before it are as they were; one of three bases is Silent, and one base further
# on it is in the 3' UTR. And where an insertion or deletion leaves the last amino acid as it was and takes the stop
# away, that amino acid is left out of the mutant protein. Of some 3,400 other variants in the coding bases of made
# transcripts on both strands, each translated by hand, all proteins that varcode gave were right. No warning.
#
# Output (a transcript ends ... TCT GCT GAT TAA CGT ..., the protein ... SAD; varcode, then translated by hand):
#   behind the stop, A to AG: StopLoss, protein ends SADAYFTSVAI; by hand ends SAD
#   behind the stop, A to ACCC: Silent; by hand ends SAD
#   one base further, C to CG: ThreePrimeUTR; by hand ends SAD
#   D stays, G to GAT: StopLoss, protein ends SAINVLHFGSH; by hand ends SADINVLHFGSH
#   D stays, AT to A: StopLoss, protein ends SANVLHFGSH; by hand ends SADNVLHFGSH
#   D stays, ATTAA to A: StopLoss, protein ends SAVLHFGSH; by hand ends SADVLHFGSH
#   inside the stop, T to TC: StopLoss, protein ends SADSTYFTSVAI; by hand ends SADSTYFTSVAI
set -eu
dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT
cd "$dir"
{ python3 -m venv env && env/bin/pip install --quiet --no-cache-dir varcode==10.21.1 pyensembl==2.32.3 \
    pandas==2.3.3 numpy==2.4.6; } || { echo 'could not install' >&2; exit 2; }

cat > run.py <<'PY'
import os
from itertools import product

import pyensembl
import varcode

LETTERS = "FFLLSSSSYY**CC*WLLLLPPPPHHQQRRRRIIIMTTTTNNKKSSRRVVVVAAAADDEEGGGG"
AMINO = dict(zip(map("".join, product("TCAG", repeat=3)), LETTERS))
BEFORE, CODING, BEHIND = "CCGACC", "ATGAAACCGTCTGCTGATTAA", "CGTACTTCACTTCGGTAGCCATTT"
MESSAGE = BEFORE + CODING + BEHIND
FIRST, START = 101, 101 + len(BEFORE)  # of the transcript and of the start codon, counting from 1
STOP = START + len(CODING) - 3


def translated(message):
    codons = (message[i : i + 3] for i in range(len(BEFORE), len(message) - 2, 3))
    return "".join(AMINO[codon] for codon in codons).split("*")[0]


names = 'gene_id "g"; gene_name "G"; gene_biotype "protein_coding"; transcript_id "t"; transcript_name "T"; '
names += 'transcript_biotype "protein_coding"; exon_number "1"; exon_id "e"; protein_id "p";'
last = FIRST + len(MESSAGE) - 1
with open("x.gtf", "w") as out:
    for kind, start, end in (
        ("gene", FIRST, last),
        ("transcript", FIRST, last),
        ("exon", FIRST, last),
        ("CDS", START, STOP - 1),
        ("start_codon", START, START + 2),
        ("stop_codon", STOP, STOP + 2),
    ):
        out.write(f"1\tmade\t{kind}\t{start}\t{end}\t.\t+\t.\t{names}\n")
for name, header, text in (
    ("cdna.fa", "t cdna chromosome:made:1:101:200:1 gene:g", MESSAGE),
    ("protein.fa", "p pep gene:g transcript:t", translated(MESSAGE)),
):
    with open(name, "w") as out:
        out.write(f">{header}\n{text}\n")
genome = pyensembl.Genome(
    "made", "made", gtf_path_or_url="x.gtf", transcript_fasta_paths_or_urls=["cdna.fa"],
    protein_fasta_paths_or_urls=["protein.fa"], cache_directory_path=os.getcwd(),
)
genome.index()
for name, position, ref, alt in (
    ("behind the stop, A to AG", STOP + 2, "A", "AG"),
    ("behind the stop, A to ACCC", STOP + 2, "A", "ACCC"),
    ("one base further, C to CG", STOP + 3, "C", "CG"),
    ("D stays, G to GAT", STOP - 3, "G", "GAT"),
    ("D stays, AT to A", STOP - 2, "AT", "A"),
    ("D stays, ATTAA to A", STOP - 2, "ATTAA", "A"),
    ("inside the stop, T to TC", STOP, "T", "TC"),
):
    at = position - FIRST
    assert MESSAGE[at : at + len(ref)] == ref
    effect = varcode.Variant("1", position, ref, alt, genome=genome).effects().top_priority_effect()
    protein = effect.mutant_protein_sequence
    ends = f", protein ends {protein[3:]}" if protein else ""
    by_hand = translated(MESSAGE[:at] + alt + MESSAGE[at + len(ref) :])
    print(f"{name}: {type(effect).__name__}{ends}; by hand ends {by_hand[3:]}")
PY
env/bin/python run.py 2> said | tee seen || { cat said >&2; exit 1; }
cat > expected <<'TXT'
behind the stop, A to AG: StopLoss, protein ends SADAYFTSVAI; by hand ends SAD
behind the stop, A to ACCC: Silent; by hand ends SAD
one base further, C to CG: ThreePrimeUTR; by hand ends SAD
D stays, G to GAT: StopLoss, protein ends SAINVLHFGSH; by hand ends SADINVLHFGSH
D stays, AT to A: StopLoss, protein ends SANVLHFGSH; by hand ends SADNVLHFGSH
D stays, ATTAA to A: StopLoss, protein ends SAVLHFGSH; by hand ends SADVLHFGSH
inside the stop, T to TC: StopLoss, protein ends SADSTYFTSVAI; by hand ends SADSTYFTSVAI
TXT
diff expected seen
