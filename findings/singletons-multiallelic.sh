#!/bin/sh
# Question: how many singletons do `bcftools stats -s -` and `plink2 --sample-counts` count for each person where a
# site has two ALTs?
#
# Guess (not written down before the run): every ALT that occurs once, for the person who has it; the same whether the
# records are joined or split.
#
# Versions: bcftools 1.16, plink2 2.00a3.5, vcftools 0.1.16 (Debian 12).
#
# Seen: both look at the alternate alleles of a site together. Two people with an ALT each that nobody else has count
# nothing, nor does a singleton beside a common ALT; of a person with two of them (`1|2`) both count one. Split into
# one record an ALT, the same calls give all of them. So the counts by person, which quality control and burden tests
# use, depend on how the file was written, and fall behind as a cohort grows and more sites have several ALTs. The
# help of plink2 says of other columns that splitting does not change them, of this one it says nothing. `vcftools
# --singletons` lists them all. No warning.
#
# Output (calls of people a, b, c and d at one site each; singletons of the four, as joined and as split):
#   G alone, a has it: bcftools 1000 1000, plink2 1000 1000, vcftools 1000
#   a has G, b has T: bcftools 0000 1100, plink2 0000 1100, vcftools 1100
#   a has G and T: bcftools 1000 2000, plink2 1000 2000, vcftools 2000
#   a has G, b c d have T: bcftools 0000 1000, plink2 0000 1000, vcftools 1000
set -eu
bcftools --version | head -n 1 | grep -qx 'bcftools 1.16' || { echo 'needs bcftools 1.16 (Debian 12)' >&2; exit 2; }
plink2 --version | grep -q 'v2.00a3.5 ' || { echo 'needs plink2 2.00a3.5 (Debian 12)' >&2; exit 2; }
vcftools --version 2> /dev/null | grep -q '(0.1.16)' || { echo 'needs vcftools 0.1.16 (Debian 12)' >&2; exit 2; }
dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT
cd "$dir"

by_bcftools() {
    bcftools stats -s - "$1" | awk '$1 == "PSC" {printf "%s", $11}'
}
by_plink2() {
    plink2 --vcf "$1" --sample-counts cols=single --out counts > said
    awk 'NR > 1 {printf "%s", $2}' counts.scount
}
by_vcftools() {
    vcftools --vcf "$1" --singletons --stdout 2> said > list
    for person in a b c d; do
        awk -v person="$person" '$3 == "S" && $5 == person {n++} END {printf "%d", n}' list
    done
}
count() {
    {
        printf '##fileformat=VCFv4.2\n##contig=<ID=1,length=1000>\n'
        printf '##FORMAT=<ID=GT,Number=1,Type=String,Description="Genotype">\n'
        printf '%s\n' '#CHROM POS ID REF ALT QUAL FILTER INFO FORMAT a b c d' "1 10 . A $2 . PASS . GT $3" | tr ' ' '\t'
    } > joined.vcf
    bcftools norm -m -any -o split.vcf joined.vcf 2> said
    echo "$1: bcftools $(by_bcftools joined.vcf) $(by_bcftools split.vcf), plink2 $(by_plink2 joined.vcf)" \
        "$(by_plink2 split.vcf), vcftools $(by_vcftools joined.vcf)"
}
{
    count 'G alone, a has it' G '0|1 0|0 0|0 0|0'
    count 'a has G, b has T' G,T '0|1 0|2 0|0 0|0'
    count 'a has G and T' G,T '1|2 0|0 0|0 0|0'
    count 'a has G, b c d have T' G,T '0|1 0|2 0|2 0|2'
} | tee seen
cat > expected <<'TXT'
G alone, a has it: bcftools 1000 1000, plink2 1000 1000, vcftools 1000
a has G, b has T: bcftools 0000 1100, plink2 0000 1100, vcftools 1100
a has G and T: bcftools 1000 2000, plink2 1000 2000, vcftools 2000
a has G, b c d have T: bcftools 0000 1000, plink2 0000 1000, vcftools 1000
TXT
diff expected seen
