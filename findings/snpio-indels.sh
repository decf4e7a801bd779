#!/bin/sh
# Question: what becomes of indels and MNPs when SNPio reads a VCF and writes it again?
#
# Guess, written before the run: they are kept, or dropped with a message.
#
# Versions: snpio 1.7.7, pysam 0.24.1, numpy 2.4.6, pandas 2.3.3, h5py 3.16.0.
#
# Seen: neither. Each call is kept as one letter, so that an allele of two bases is N: of a deletion only those remain
# who have two copies of the shorter allele, and all others are missing. REF, too, is cut to one base. So the deletion
# CT>C is written as C>C, its homozygous carriers have 0/0, and everybody else ./. ; of an insertion only people
# without it remain, and of an MNP nobody. The number of loci is the same, and no message speaks of it; the calls of
# SNPs are right, but for their phase. (QUAL `.` is written as None.) A site that was common becomes one where
# everybody is homozygous for the reference, with many missing.
#
# Output (four people, 0/0, 0/1, 1/1, 0/0 at each site; REF, ALT and calls as written):
#   A>G: A>G 0/0 0/1 1/1 0/0
#   CT>C: C>C ./. ./. 0/0 ./.
#   G>GA: G>GA 0/0 ./. ./. 0/0
#   AC>GT: A>GT ./. ./. ./. ./.
#   messages with indel, MNP or length: 0
set -eu
dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT
cd "$dir"
{ python3 -m venv env && env/bin/pip install --quiet snpio==1.7.7 pysam==0.24.1 numpy==2.4.6 pandas==2.3.3 \
    h5py==3.16.0; } || { echo 'could not install' >&2; exit 2; }

{
    printf '##fileformat=VCFv4.2\n##contig=<ID=1,length=1000>\n'
    printf '##FORMAT=<ID=GT,Number=1,Type=String,Description="Genotype">\n'
    printf '%s\n' '#CHROM POS ID REF ALT QUAL FILTER INFO FORMAT P1 P2 P3 P4' \
        '1 10 . A G . PASS . GT 0/0 0/1 1/1 0/0' '1 20 . CT C . PASS . GT 0/0 0/1 1/1 0/0' \
        '1 30 . G GA . PASS . GT 0/0 0/1 1/1 0/0' '1 40 . AC GT . PASS . GT 0/0 0/1 1/1 0/0' | tr ' ' '\t'
} > x.vcf
printf '%s\tall\n' P1 P2 P3 P4 > x.popmap
env/bin/python -c 'import pysam; pysam.tabix_index("x.vcf", preset="vcf", keep_original=True)'

cat > run.py <<'PY'
import contextlib
import gzip
import io

messages = io.StringIO()
with contextlib.redirect_stdout(messages), contextlib.redirect_stderr(messages):
    from snpio import VCFReader

    VCFReader(filename="x.vcf.gz", popmapfile="x.popmap", force_popmap=True, verbose=True).write_vcf("out.vcf")


def records(lines):
    return [line.split("\t") for line in lines.read().splitlines() if not line.startswith("#")]


with open("x.vcf") as given, gzip.open("out.vcf.gz", "rt") as written:
    for before, after in zip(records(given), records(written), strict=True):
        print(f"{before[3]}>{before[4]}: {after[3]}>{after[4]}", *after[9:])
said = [line for line in messages.getvalue().lower().splitlines() if any(w in line for w in ("indel", "mnp", "length"))]
print(f"messages with indel, MNP or length: {len(said)}")
PY
OMP_NUM_THREADS=1 env/bin/python run.py 2> said | tee seen || { cat said >&2; exit 1; }
cat > expected <<'TXT'
A>G: A>G 0/0 0/1 1/1 0/0
CT>C: C>C ./. ./. 0/0 ./.
G>GA: G>GA 0/0 ./. ./. 0/0
AC>GT: A>GT ./. ./. ./. ./.
messages with indel, MNP or length: 0
TXT
diff expected seen || { cat said >&2; exit 1; }
