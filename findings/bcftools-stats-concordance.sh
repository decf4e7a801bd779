#!/bin/sh
# Question: does `bcftools stats -s -` of two files call two different ALTs of one person concordant?
#
# Guess, written before the run: no; calls are compared allele by allele, also where the files list the ALTs in
# another order.
#
# Versions: bcftools 1.16 (Debian 12). In 1.24 the matches of single sites are the same.
#
# Seen: only the kind of call is compared, reference or not, the same or different. A homozygous T against a
# homozygous G is a match, so is A/T against A/G, whatever the order of the ALTs. A call with two ALTs (`1|2`) is in
# no count of matches or mismatches at all, even against a homozygous one. So the non-reference discordance (NRD) of
# such sites is 0 where every call is wrong: of five sites it is 20% as they are, 71% where the same records were
# split first. No warning.
#
# Output (REF A, ALT G,T; the call of a person in the first file and the second, with matches, mismatches and NRD of
# GCsS; then five sites of which two are right, as joined and as split):
#   2|2 1|1: 1 matches, 0 mismatches, NRD 0.000
#   0|2 0|1: 1 matches, 0 mismatches, NRD 0.000
#   1|2 1|1: 0 matches, 0 mismatches, NRD 0.000
#   1|2 0|1: 0 matches, 0 mismatches, NRD 0.000
#   1|1 0|1: 0 matches, 1 mismatches, NRD 100.000
#   five sites joined: 4 matches, 1 mismatches, NRD 20.000
#   five sites split: 5 matches, 5 mismatches, NRD 71.429
set -eu
bcftools --version | head -n 1 | grep -qx 'bcftools 1.16' || { echo 'needs bcftools 1.16 (Debian 12)' >&2; exit 2; }
dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT
cd "$dir"

made() {
    {
        printf '##fileformat=VCFv4.2\n##contig=<ID=1,length=1000>\n'
        printf '##FORMAT=<ID=GT,Number=1,Type=String,Description="Genotype">\n'
        printf '#CHROM\tPOS\tID\tREF\tALT\tQUAL\tFILTER\tINFO\tFORMAT\tperson\n'
        pos=0
        for call in $2; do
            pos=$((pos + 10))
            printf '1\t%s\t.\tA\tG,T\t.\tPASS\t.\tGT\t%s\n' "$pos" "$call"
        done
    } | bcftools view -Oz -o "$1.vcf.gz"
    bcftools index -f "$1.vcf.gz"
    bcftools norm -m -any -Oz -o "$1.split.vcf.gz" "$1.vcf.gz" 2> said
    bcftools index -f "$1.split.vcf.gz"
}
counts() {
    bcftools stats -s - "one$1.vcf.gz" "two$1.vcf.gz" |
        awk '$1 == "GCsS" {print $5 + $6 + $7 " matches, " $8 + $9 + $10 " mismatches, NRD " $4}'
}
{
    for pair in '2|2 1|1' '0|2 0|1' '1|2 1|1' '1|2 0|1' '1|1 0|1'; do
        made one "${pair% *}"
        made two "${pair#* }"
        echo "$pair: $(counts '')"
    done
    made one '0|1 0|1 0|1 0|2 2|2'
    made two '0|1 0|1 1|1 0|1 1|1'
    echo "five sites joined: $(counts '')"
    echo "five sites split: $(counts .split)"
} | tee seen
cat > expected <<'TXT'
2|2 1|1: 1 matches, 0 mismatches, NRD 0.000
0|2 0|1: 1 matches, 0 mismatches, NRD 0.000
1|2 1|1: 0 matches, 0 mismatches, NRD 0.000
1|2 0|1: 0 matches, 0 mismatches, NRD 0.000
1|1 0|1: 0 matches, 1 mismatches, NRD 100.000
five sites joined: 4 matches, 1 mismatches, NRD 20.000
five sites split: 5 matches, 5 mismatches, NRD 71.429
TXT
diff expected seen
