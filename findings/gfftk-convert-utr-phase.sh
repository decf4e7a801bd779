#!/bin/sh
# Question: does `gfftk convert` keep the untranslated regions, the phases and the stop codon of a gene when it writes
# GFF3 and GTF?
#
# Guess, written before the run: GTF has a CDS without the stop codon, with the phases of the GFF3, and start and stop
# rows that are right on both strands.
#
# Versions: gfftk 26.5.22.
#
# Seen: on the minus strand the 5' UTR and the 3' UTR change places, in GTF and in GFF3. In GTF the phases of a
# transcript stand in the reverse order on both strands, so that a reader that uses them translates out of frame. A
# stop codon that an intron cuts is laid over exon and intron as if it were one piece; in the first exon the CDS keeps
# bases of the stop, in the second a CDS is left whose start is behind its end. GTF has no exon rows. No warning, exit
# status 0.
#
# Output (exons 101-200 and 301-400; CDS with phases in the order of translation; cut_stop is on the minus strand):
#   plus given: CDS 151-200:0 301-349:1
#   plus GFF3: CDS 151-200:0 301-349:1; five_prime_UTR 101-150, three_prime_UTR 350-400
#   plus GTF: CDS 151-200:1 301-346:0; start 151-153, stop 347-349, 5UTR 101-150, 3UTR 350-400
#   minus given: CDS 301-350:0 152-200:1
#   minus GFF3: CDS 301-350:0 152-200:1; five_prime_UTR 101-151, three_prime_UTR 351-400
#   minus GTF: CDS 301-350:1 155-200:0; start 348-350, stop 152-154, 5UTR 101-151, 3UTR 351-400
#   cut_stop given: CDS 301-398:0 200-200:1
#   cut_stop GFF3: CDS 301-398:0 200-200:1; five_prime_UTR 101-199, three_prime_UTR 399-400
#   cut_stop GTF: CDS 301-398:1 203-200:0; start 396-398, stop 200-202, 5UTR 101-199, 3UTR 399-400
set -eu
dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT
cd "$dir"
{ python3 -m venv env && env/bin/pip install --quiet --no-cache-dir gfftk==26.5.22; } ||
    { echo 'could not install' >&2; exit 2; }

cat > run.py <<'PY'
import random
import subprocess

EXONS = ((101, 200), (301, 400))
GENES = (  # name, strand, CDS with phases in the order of translation
    ("plus", "+", ((151, 200, 0), (301, 349, 1))),
    ("minus", "-", ((301, 350, 0), (152, 200, 1))),
    ("cut_stop", "-", ((301, 398, 0), (200, 200, 1))),
)
COMPLEMENT = str.maketrans("ACGT", "TGCA")
random.seed(1)


def coding(length):
    codons = [a + b + c for a in "ACGT" for b in "ACGT" for c in "ACGT" if a + b + c not in ("TAA", "TAG", "TGA")]
    return "ATG" + "".join(random.choice(codons) for _ in range(length // 3 - 2)) + "TAA"


with open("genome.fa", "w") as genome, open("x.gff3", "w") as out:
    out.write("##gff-version 3\n")
    for name, strand, cds in GENES:
        bases = [random.choice("ACGT") for _ in range(500)]
        text = coding(sum(end - start + 1 for start, end, _ in cds))
        for start, end, _ in cds:
            part, text = text[: end - start + 1], text[end - start + 1 :]
            bases[start - 1 : end] = part if strand == "+" else part.translate(COMPLEMENT)[::-1]
        genome.write(f">{name}\n{''.join(bases)}\n")
        rows = [("gene", 101, 400, ".", f"ID={name}"), ("mRNA", 101, 400, ".", f"ID={name}.t;Parent={name}")]
        rows += [("exon", *exon, ".", f"ID={name}.e{exon[0]};Parent={name}.t") for exon in EXONS]
        rows += [("CDS", *piece, f"ID={name}.c;Parent={name}.t") for piece in cds]
        out.writelines(f"{name}\tmade\t{k}\t{s}\t{e}\t.\t{strand}\t{p}\t{t}\n" for k, s, e, p, t in rows)


def told(path, name, strand):
    with open(path) as lines:
        rows = [line.split("\t") for line in lines if line.startswith(name + "\t")]
    cds = sorted((int(r[3]), r[4], r[7]) for r in rows if r[2] == "CDS")
    shown = " ".join(f"{s}-{e}:{p}" for s, e, p in (cds if strand == "+" else cds[::-1]))
    others = ("start_codon", "stop_codon", "5UTR", "five_prime_UTR", "3UTR", "three_prime_UTR")
    rest = [f"{kind.replace('_codon', '')} {r[3]}-{r[4]}" for kind in others for r in rows if r[2] == kind]
    return f"CDS {shown}; {', '.join(rest)}"


for kind in ("gff3", "gtf"):
    subprocess.run(
        ["env/bin/gfftk", "convert", "-i", "x.gff3", "-f", "genome.fa", "-o", f"out.{kind}", "--output-format", kind],
        check=True,
    )
for name, strand, _ in GENES:
    print(f"{name} given: {told('x.gff3', name, strand).rstrip('; ')}")
    print(f"{name} GFF3: {told('out.gff3', name, strand)}")
    print(f"{name} GTF: {told('out.gtf', name, strand)}")
PY
env/bin/python run.py | tee seen
cat > expected <<'TXT'
plus given: CDS 151-200:0 301-349:1
plus GFF3: CDS 151-200:0 301-349:1; five_prime_UTR 101-150, three_prime_UTR 350-400
plus GTF: CDS 151-200:1 301-346:0; start 151-153, stop 347-349, 5UTR 101-150, 3UTR 350-400
minus given: CDS 301-350:0 152-200:1
minus GFF3: CDS 301-350:0 152-200:1; five_prime_UTR 101-151, three_prime_UTR 351-400
minus GTF: CDS 301-350:1 155-200:0; start 348-350, stop 152-154, 5UTR 101-151, 3UTR 351-400
cut_stop given: CDS 301-398:0 200-200:1
cut_stop GFF3: CDS 301-398:0 200-200:1; five_prime_UTR 101-199, three_prime_UTR 399-400
cut_stop GTF: CDS 301-398:1 203-200:0; start 396-398, stop 200-202, 5UTR 101-199, 3UTR 399-400
TXT
diff expected seen
