#!/bin/sh
# Question: HTSeq reads exons from GTF and variants from VCF, both counted from 1, into its own intervals and
# positions, counted from 0. Are a VCF's variants found in the exons that they lie in?
#
# Guess: not written down before the run (the VCF reader was tried beside the GTF reader, whose positions were guessed
# right); it would have been yes.
#
# Versions: HTSeq 2.1.2, numpy 2.4.6.
#
# Seen: not at the ends. The GTF reader takes 1 off, the VCF reader does not, though a GenomicPosition is "always" 0-based
# by its description: a variant at POS 20 has the position 20, which in HTSeq is the 21st base. So a variant of an exon's last base is not found in it, one of the base before
# the exon is, and all others are one base further on than they should be. No warning.
#
# Output (an exon at 11-20 of the GTF; VCF's POS, HTSeq's position, exons that HTSeq finds there):
#   exon: [10,20)
#   POS 10: position 10, in the exon
#   POS 11: position 11, in the exon
#   POS 20: position 20, in none
#   POS 21: position 21, in none
set -eu
dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT
cd "$dir"
{ python3 -m venv env && env/bin/pip install --quiet HTSeq==2.1.2 numpy==2.4.6; } ||
    { echo 'could not install' >&2; exit 2; }

cat > run.py <<'PY'
import HTSeq

with open("x.gtf", "w") as out:
    out.write('1\tx\texon\t11\t20\t.\t+\t.\tgene_id "g"; transcript_id "t";\n')
with open("x.vcf", "w") as out:
    out.write("##fileformat=VCFv4.2\n##contig=<ID=1,length=100>\n")
    out.write('##FORMAT=<ID=GT,Number=1,Type=String,Description="Genotype">\n')
    out.write("\t".join("#CHROM POS ID REF ALT QUAL FILTER INFO FORMAT p".split()) + "\n")
    out.writelines(f"1\t{pos}\tv{pos}\tA\tG\t.\tPASS\t.\tGT\t0|1\n" for pos in (10, 11, 20, 21))

exons = HTSeq.GenomicArrayOfSets("auto", stranded=False)
for feature in HTSeq.GFF_Reader("x.gtf"):
    exons[feature.iv] += feature.attr["gene_id"]
    print(f"exon: [{feature.iv.start},{feature.iv.end})")
variants = HTSeq.VCF_Reader("x.vcf")
variants.parse_meta()
for call in variants:
    print(f"POS {call.id[1:]}: position {call.pos.pos}, in {'the exon' if exons[call.pos] else 'none'}")
PY
env/bin/python run.py 2> said | tee seen || { cat said >&2; exit 1; }
cat > expected <<'TXT'
exon: [10,20)
POS 10: position 10, in the exon
POS 11: position 11, in the exon
POS 20: position 20, in none
POS 21: position 21, in none
TXT
diff expected seen
