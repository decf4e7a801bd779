#!/bin/sh
# Question: which alleles does `CrossMap maf` write where the chain turns the sequence round?
#
# Guess, written before the run: the complement of both alleles, as they stand on the plus strand of the new genome.
# The documentation says that reference alleles are updated, and a MAF's Strand is always +.
#
# Versions: CrossMap 0.7.4, pysam 0.24.1.
#
# Seen: positions are those of the new plus strand, and so is Strand; the alleles stay those of the old one. The
# reference allele is fetched from the new genome, then turned round again, so it is not what the genome has at that
# position: an A at a T, a deletion of CGG where the genome has CCG. The other two alleles are not touched. What reads
# the file and checks the reference drops the rows; what does not, annotates other alleles: an A>C becomes a variant
# of a base that is T. On a chain of the plus strand all alleles are right. No warning.
#
# Output (the genome's bases at the new position, then Start, Strand, reference and second tumour allele as written):
#   plus chain: A at 151 + A>C; CGG at 152 + CGG>-
#   minus chain: T at 650 + A>C; CCG at 647 + CGG>-
set -eu
dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT
cd "$dir"
{ python3 -m venv env && env/bin/pip install --quiet CrossMap==0.7.4 pysam==0.24.1; } ||
    { echo 'could not install' >&2; exit 2; }

cat > run.py <<'PY'
import random
import subprocess

random.seed(2)
old = "".join(random.choice("ACGT") for _ in range(1000))
old = old[:150] + "ACGG" + old[154:]
turned = old[100:600].translate(str.maketrans("ACGT", "TGCA"))[::-1]
new = {"plus": old, "minus": old[:200] + turned + old[700:]}
chains = {
    "plus": "chr1 1000 + 0 1000 chr1 1000 + 0 1000 1\n1000",
    "minus": "chr1 1000 + 100 600 chr1 1000 - 300 800 1\n500",
}
columns = ["Hugo_Symbol", "Entrez_Gene_Id", "Center", "NCBI_Build", "Chromosome", "Start_Position", "End_Position",
           "Strand", "Variant_Classification", "Variant_Type", "Reference_Allele", "Tumor_Seq_Allele1",
           "Tumor_Seq_Allele2"]
rows = [[151, 151, "+", "Missense_Mutation", "SNP", "A", "A", "C"],
        [152, 154, "+", "In_Frame_Del", "DEL", "CGG", "CGG", "-"]]
with open("old.maf", "w") as out:
    for row in (columns, *(["GENE", 0, ".", "old", "chr1", *row] for row in rows)):
        out.write("\t".join(map(str, row)) + "\n")
for name, genome in new.items():
    with open(f"{name}.fa", "w") as out:
        out.write(f">chr1\n{genome}\n")
    with open(f"{name}.chain", "w") as out:
        out.write(f"chain 1000 {chains[name]}\n\n")
    order = ["env/bin/CrossMap", "maf", f"{name}.chain", "old.maf", f"{name}.fa", "new", f"{name}.maf"]
    subprocess.run(order, check=True, capture_output=True)
    said = []
    with open(f"{name}.maf") as lines:
        for line in lines:
            row = line.rstrip("\n").split("\t")
            if row[0] == "GENE":
                said.append(f"{genome[int(row[5]) - 1:int(row[6])]} at {row[5]} {row[7]} {row[10]}>{row[12]}")
    print(f"{name} chain: {'; '.join(said)}")
PY
python3 run.py | tee seen
cat > expected <<'TXT'
plus chain: A at 151 + A>C; CGG at 152 + CGG>-
minus chain: T at 650 + A>C; CCG at 647 + CGG>-
TXT
diff expected seen
