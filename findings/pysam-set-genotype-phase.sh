#!/bin/sh
# Question: does a phased call stay phased when pysam is given other alleles for it: `sample["GT"] = (1, 0)` on `0|1`, in a
# tool that turns haplotypes round or lifts alleles over?
#
# Guess, written before the run: yes; alleles and phase are two attributes, and `phased = True` set before is kept, too.
#
# Versions: pysam 0.24.1.
#
# Seen: no. Setting GT, `allele_indices` or `alleles` takes the bar away, whether it came from the file or was set
# just before; `phased = True` has to come after. In `header.new_record(samples=[...])` the order of the keys decides: GT
# before phased is phased, phased before GT is not. No warning. A haploid call keeps its phase. The
# manual's example sets GT and prints it as a tuple, where the loss does not show.
#
# Output (the call as it is written):
#   0|1, GT set to (1, 0): 1/0
#   0|1, alleles set: 1/0
#   0|1, phased set, then GT: 1/0
#   0|1, GT set, then phased: 1|0
#   1, GT set to (0,): 0, phased True
#   new record, GT then phased: 0|1; phased then GT: 0/1
set -eu
dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT
cd "$dir"
{ python3 -m venv env && env/bin/pip install --quiet pysam==0.24.1; } || { echo 'could not install' >&2; exit 2; }

cat > run.py <<'PY'
import pysam

with open("calls.vcf", "w") as out:
    out.write("##fileformat=VCFv4.2\n##contig=<ID=chr1,length=200>\n")
    out.write('##FORMAT=<ID=GT,Number=1,Type=String,Description="Genotype">\n')
    out.write("#CHROM\tPOS\tID\tREF\tALT\tQUAL\tFILTER\tINFO\tFORMAT\ta\tb\tc\td\te\n")
    out.write("chr1\t100\t.\tA\tG\t.\tPASS\t.\tGT\t0|1\t0|1\t0|1\t0|1\t1\n")
calls = pysam.VariantFile("calls.vcf")
record = next(calls)
a, b, c, d, e = (record.samples[name] for name in "abcde")
a["GT"] = (1, 0)
b.alleles = ("G", "A")
c.phased = True
c["GT"] = (1, 0)
d["GT"] = (1, 0)
d.phased = True
e["GT"] = (0,)
written = str(record).strip().split("\t")[9:]
print(f"0|1, GT set to (1, 0): {written[0]}")
print(f"0|1, alleles set: {written[1]}")
print(f"0|1, phased set, then GT: {written[2]}")
print(f"0|1, GT set, then phased: {written[3]}")
print(f"1, GT set to (0,): {written[4]}, phased {e.phased}")


def made(call):
    record = calls.header.new_record(contig="chr1", start=9, stop=10, alleles=("A", "C"), samples=[call] * 5)
    return str(record).strip().split("\t")[9]


one, other = made({"GT": (0, 1), "phased": True}), made({"phased": True, "GT": (0, 1)})
print(f"new record, GT then phased: {one}; phased then GT: {other}")
PY
env/bin/python run.py | tee seen
cat > expected <<'TXT'
0|1, GT set to (1, 0): 1/0
0|1, alleles set: 1/0
0|1, phased set, then GT: 1/0
0|1, GT set, then phased: 1|0
1, GT set to (0,): 0, phased True
new record, GT then phased: 0|1; phased then GT: 0/1
TXT
diff expected seen
