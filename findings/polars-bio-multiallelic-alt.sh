#!/bin/sh
# Question: how does polars-bio's `read_vcf` give ALT of a record with two alternate alleles, and calls that are missing?
#
# Guess (of the calls written before the run, of ALT not): ALT is the file's text, `T,G`, or a list; missing calls are null,
# or as they stand, diploid and haploid ones alike.
#
# Versions: polars-bio 0.33.1, polars 1.44.2.
#
# Seen: ALT is one string with bars, `T|G`; splitting it at commas, as any other reader's users do, leaves one allele that does
# not exist, and a join with a table from another reader on (chrom, pos, ref, alt) loses every such site. A
# haploid missing call is null, a diploid one the text `./.`, so that counting nulls counts men only. `write_vcf` turns the bars
# back into commas. The docstring of `read_vcf` does not name the bar as a separator.
#
# Output (chrX; the calls of a man and three women):
#   ALT: G; T|G; T
#   calls at the second site: 2 1|2 .|1 ./.
#   calls at the third site: None 1/1 0|0 1|1
set -eu
dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT
cd "$dir"
{ python3 -m venv env && env/bin/pip install --quiet polars-bio==0.33.1 polars==1.44.2 pysam==0.24.1; } ||
    { echo 'could not install' >&2; exit 2; }

cat > run.py <<'PY'
import polars_bio as pb
import pysam

rows = ["100\ts1\tA\tG 1 0|1 1|0 0/1", "200\ts2\tC\tT,G 2 1|2 .|1 ./.", "300\ts3\tC\tT . 1/1 0|0 1|1"]
with open("calls.vcf", "w") as out:
    out.write("##fileformat=VCFv4.2\n##contig=<ID=chrX,length=1000>\n")
    out.write('##FORMAT=<ID=GT,Number=1,Type=String,Description="Genotype">\n')
    out.write("#CHROM\tPOS\tID\tREF\tALT\tQUAL\tFILTER\tINFO\tFORMAT\tm\tw1\tw2\tw3\n")
    for row in rows:
        site, *calls = row.split(" ")
        out.write("\t".join(["chrX", site, ".", "PASS", ".", "GT", *calls]) + "\n")
pysam.tabix_compress("calls.vcf", "calls.vcf.gz", force=True)
pysam.tabix_index("calls.vcf.gz", preset="vcf", force=True)
table = pb.read_vcf("calls.vcf.gz").sort("start").to_dicts()
print("ALT: " + "; ".join(row["alt"] for row in table))
for number, name in ((1, "second"), (2, "third")):
    print(f"calls at the {name} site: " + " ".join(str(call) for call in table[number]["genotypes"]["GT"]))
PY
env/bin/python run.py 2> said | tee seen || { cat said >&2; exit 1; }
cat > expected <<'TXT'
ALT: G; T|G; T
calls at the second site: 2 1|2 .|1 ./.
calls at the third site: None 1/1 0|0 1|1
TXT
diff expected seen
