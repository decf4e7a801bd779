#!/bin/sh
# Question: which bases does HTSeq's `WiggleReader` give the values of a wiggle file?
#
# Guess, written before the run: those of the format, whose positions count from 1, as intervals that count from 0
# and leave the end out, as everywhere in HTSeq.
#
# Versions: HTSeq 2.1.2, pysam 0.24.1, numpy 2.4.6; pyBigWig 0.3.29 and HTSeq's own `GFF_Reader` compare.
#
# Seen: the position is taken as it stands, so that every value lies one base to the right of its own. The first base
# of a block has no value, the base behind it has the last one; a signal of one base, of a splice site or a
# transcription start site, is on its neighbour. An exon that `GFF_Reader` read from the same positions does not meet
# its own signal. No warning, and the class has no description. (`VCF_Reader` has another fault of this kind: htseq-vcf-position.sh.)
#
# Output (values 1 2 3 at positions 11 to 13, and 9 at 21; an exon of the GFF at 11-13):
#   fixedStep: [11,12) 1, [12,13) 2, [13,14) 3
#   variableStep: [21,22) 9
#   exon [10,13): WiggleReader 0 1 2, bigWig of the same values 1 2 3
set -eu
dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT
cd "$dir"
{ python3 -m venv env && env/bin/pip install --quiet --no-cache-dir HTSeq==2.1.2 pysam==0.24.1 numpy==2.4.6 \
    pyBigWig==0.3.29; } || { echo 'could not install' >&2; exit 2; }

cat > run.py <<'PY'
import HTSeq
import pyBigWig

with open("x.wig", "w") as out:
    out.write("track type=wiggle_0\nfixedStep chrom=chr1 start=11 step=1\n1\n2\n3\nvariableStep chrom=chr1\n21 9\n")
with open("x.gff", "w") as out:
    out.write('chr1\tmade\texon\t11\t13\t.\t+\t.\tgene_id "g";\n')
with pyBigWig.open("x.bw", "w") as out:
    out.addHeader([("chr1", 100)])
    out.addEntries("chr1", 10, values=[1.0, 2.0, 3.0], span=1, step=1)  # pyBigWig counts from 0: positions 11 to 13

told = [(f"[{iv.start},{iv.end})", f"{value:g}", iv, value) for iv, value in HTSeq.WiggleReader("x.wig")]
print("fixedStep: " + ", ".join(f"{span} {value}" for span, value, *_ in told[:3]))
print("variableStep: " + ", ".join(f"{span} {value}" for span, value, *_ in told[3:]))
signal = HTSeq.GenomicArray("auto", stranded=False, typecode="d")
for _, _, interval, value in told:
    signal[interval] = value
exon = next(iter(HTSeq.GFF_Reader("x.gff"))).iv
exon.strand = "."
wiggle = " ".join(f"{value:g}" for value in signal[exon])
with pyBigWig.open("x.bw") as bigwig:
    big = " ".join(f"{value:g}" for value in bigwig.values("chr1", exon.start, exon.end))
print(f"exon [{exon.start},{exon.end}): WiggleReader {wiggle}, bigWig of the same values {big}")
PY
env/bin/python run.py | tee seen
cat > expected <<'TXT'
fixedStep: [11,12) 1, [12,13) 2, [13,14) 3
variableStep: [21,22) 9
exon [10,13): WiggleReader 0 1 2, bigWig of the same values 1 2 3
TXT
diff expected seen
