#!/bin/sh
# Question: does `bcftools norm -f` (left alignment) leave every person's two sequences as they were?
#
# Guess, written before the run: yes, and where a record that it moves would pass another record of the same
# haplotype, `bcftools consensus` would at least warn of an overlap. (Half doubted: norm sees one record at a time.)
#
# Versions: bcftools 1.16 (Debian 12) and the bcftools 1.24 inside pysam 0.24.1.
#
# Seen: the sequence changes and nobody warns. A person carries, on one haplotype, a SNP inside a run of A and the
# deletion of the A behind it. Left alignment moves the deletion to the front of the run, past the SNP; no record
# overlaps another before or after. Both consensus runs report 2 variants applied; the haplotypes differ. So the same
# calls, "normalised", are another personal sequence: normalise before phasing, or align what the person carries.
#
# Output (both versions):
#   15 A G, 16 AA A: GATCTTGACCTCAAGATGCATGGT
#   12 CA C, 15 A G: GATCTTGACCTCAGAATGCATGGT
set -eu
bcftools --version | head -n 1 | grep -qx 'bcftools 1.16' || { echo 'needs bcftools 1.16 (Debian 12)' >&2; exit 2; }
dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT
cd "$dir"
{ python3 -m venv env && env/bin/pip install --quiet pysam==0.24.1; } ||
    { echo 'could not install' >&2; exit 2; }

cat > make.py <<'PY'
import pysam

with open("genome.fa", "w") as out:
    out.write(">1\nGATCTTGACCTCAAAAATGCATGGT\n")
pysam.faidx("genome.fa")
with open("calls.vcf", "w") as out:
    out.write("##fileformat=VCFv4.2\n##contig=<ID=1,length=25>\n")
    out.write('##FORMAT=<ID=GT,Number=1,Type=String,Description="Genotype">\n')
    out.write("#CHROM\tPOS\tID\tREF\tALT\tQUAL\tFILTER\tINFO\tFORMAT\tperson\n")
    out.write("1\t15\t.\tA\tG\t.\tPASS\t.\tGT\t0|1\n1\t16\t.\tAA\tA\t.\tPASS\t.\tGT\t0|1\n")
PY
cat > new.py <<'PY'
import pysam
import pysam.bcftools

with open("aligned.new.vcf", "w") as out:
    out.write(pysam.bcftools.norm("-f", "genome.fa", "calls.vcf"))
for name in ("calls", "aligned.new"):
    pysam.tabix_compress(f"{name}.vcf", f"{name}.vcf.gz", force=True)
    pysam.tabix_index(f"{name}.vcf.gz", preset="vcf", force=True)
    records = ", ".join(f"{r.pos} {r.ref} {r.alts[0]}" for r in pysam.VariantFile(f"{name}.vcf.gz"))
    consensus = pysam.bcftools.consensus("-f", "genome.fa", "-s", "person", "-H", "2", f"{name}.vcf.gz")
    print(f"{records}: {''.join(consensus.split()[1:])}")
PY
env/bin/python make.py
env/bin/python new.py 2> said.new | tee seen.new

bcftools norm -f genome.fa calls.vcf 2> /dev/null > aligned.old.vcf
for name in calls aligned.old; do
    bcftools view -O z -o "$name.vcf.gz" "$name.vcf"
    bcftools index -f "$name.vcf.gz"
    printf '%s: %s\n' "$(bcftools query -f '%POS %REF %ALT\n' "$name.vcf" | paste -s -d , | sed 's/,/, /')" \
        "$(bcftools consensus -f genome.fa -s person -H 2 "$name.vcf.gz" 2>> said.old | tail -n +2)"
done | tee seen.old
cat > expected <<'TXT'
15 A G, 16 AA A: GATCTTGACCTCAAGATGCATGGT
12 CA C, 15 A G: GATCTTGACCTCAGAATGCATGGT
TXT
diff expected seen.new
diff expected seen.old
[ "$(sort -u said.old)" = 'Applied 2 variants' ]
! grep -qi overlap said.new
