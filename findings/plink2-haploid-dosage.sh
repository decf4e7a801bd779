#!/bin/sh
# Question: what does plink2 keep of a man's imputed haploid dosages on chrX (GT:DS, `0:0.45` and the like)?
#
# Guess, written before the run: the dosage as it is; a hard call of one allele, or none where it is uncertain.
#
# Versions: plink2 2.00a3.5 (Debian 12).
#
# Seen: the dosage is doubled for keeping, and the hard call made of it as a woman's: what lies within the threshold
# of 1 is a heterozygous call. So a man with even chances (0.45 to 0.55), the least certain of all, is not missing but
# `0/1`, and `--export vcf vcf-dosage=DS` writes him as a diploid with a DS of 0.9 to 1.1 on the scale 0 to 2, between
# his other sites on the scale 0 to 1. A reader that takes DS as the copies that a man carries sees twice as many
# there, and one that tells sex or ploidy by GT sees both kinds in one person. `--make-bed` has him heterozygous on
# chrX. No warning at import or export.
#
# Output (a man's calls as given, as exported with DS, and his hard calls from --make-bed):
#   given: 0:0.05 0:0.3 0:0.45 1:0.5 1:0.55 1:0.7 1:0.95
#   DS: 0:0.05 .:0.3 0/1:0.9 0/1 0/1:1.1 .:0.7 1:0.95
#   bed: 0 . 0/1 0/1 0/1 . 1
set -eu
plink2 --version | grep -q 'v2.00a3.5 ' || { echo 'needs plink2 2.00a3.5 (Debian 12)' >&2; exit 2; }
dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT
cd "$dir"

given='0:0.05 0:0.3 0:0.45 1:0.5 1:0.55 1:0.7 1:0.95'
{
    printf '##fileformat=VCFv4.2\n##contig=<ID=X,length=155270560>\n'
    printf '##FORMAT=<ID=GT,Number=1,Type=String,Description="Genotype">\n'
    printf '##FORMAT=<ID=DS,Number=A,Type=Float,Description="Expected copies of the ALT">\n'
    printf '#CHROM\tPOS\tID\tREF\tALT\tQUAL\tFILTER\tINFO\tFORMAT\tman\twoman\n'
    pos=50000000
    for call in $given; do
        pos=$((pos + 10))
        printf 'X\t%s\ts%s\tA\tG\t.\tPASS\t.\tGT:DS\t%s\t0|1:1\n' "$pos" "$pos" "$call"
    done
} > x.vcf
printf '#IID\tSEX\nman\t1\nwoman\t2\n' > sex.txt
plink2 --vcf x.vcf dosage=DS --update-sex sex.txt --make-pgen --out x > log 2>&1
plink2 --pfile x --export vcf vcf-dosage=DS --out ds >> log 2>&1
plink2 --pfile x --make-bed --out bed >> log 2>&1
plink2 --bfile bed --export vcf --out bed >> log 2>&1
man() {
    grep -v '^#' "$1" | cut -f 10 | tr '\n' ' ' | sed 's/ $//'
}
{
    echo "given: $given"
    echo "DS: $(man ds.vcf)"
    echo "bed: $(man bed.vcf)"
} | tee seen
cat > expected <<'TXT'
given: 0:0.05 0:0.3 0:0.45 1:0.5 1:0.55 1:0.7 1:0.95
DS: 0:0.05 .:0.3 0/1:0.9 0/1 0/1:1.1 .:0.7 1:0.95
bed: 0 . 0/1 0/1 0/1 . 1
TXT
diff expected seen
