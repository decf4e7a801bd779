#!/bin/sh
# Question: can `bcftools +split-vep -a TAG -f '%sub ...'` split any INFO field whose Description ends in
# "Format: a|b|c", and can `-l` list its subfields?
#
# Guess, written before the run: yes; `-a` names the tag, and severity (`-s`) is an option.
#
# Versions: bcftools 1.16 (Debian 12).
#
# Seen: both end with an error unless one of the subfields is called Consequence, whether or not severity is asked for.
# A tool that writes its variant effects in VEP's way for the sake of +split-vep has to carry a subfield of that name.
# bcftools query and annotate read the field without complaint. Later versions were not tried.
#
# Output:
#   gene_id|track|effect, -f: The field "Consequence" is not present in INFO/EFF
#   gene_id|track|effect, -l: The field "Consequence" is not present in INFO/EFF
#   gene_id|Consequence|effect, -f: G1 0.5
#   gene_id|Consequence|effect, -l: 0 gene_id, 1 Consequence, 2 effect
set -eu
bcftools --version | head -n 1 | grep -qx 'bcftools 1.16' || { echo 'needs bcftools 1.16 (Debian 12)' >&2; exit 2; }
dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT
cd "$dir"

split() {
    {
        printf '##fileformat=VCFv4.2\n##contig=<ID=1,length=100>\n'
        printf '##INFO=<ID=EFF,Number=.,Type=String,Description="Effects. Format: gene_id|%s|effect">\n' "$1"
        printf '#CHROM\tPOS\tID\tREF\tALT\tQUAL\tFILTER\tINFO\n1\t10\t.\tA\tC\t.\tPASS\tEFF=G1|brain|0.5\n'
    } > x.vcf
    printf 'gene_id|%s|effect, -f: ' "$1"
    { bcftools +split-vep -a EFF -d -f '%gene_id %effect\n' x.vcf 2>&1 || true; } | cut -d : -f 1
    printf 'gene_id|%s|effect, -l: ' "$1"
    { bcftools +split-vep -a EFF -l x.vcf 2>&1 || true; } | cut -d : -f 1 | tr '\t' ' ' | paste -s -d , | sed 's/,/, /g'
}
{ split track; split Consequence; } | tee seen
cat > expected <<'TXT'
gene_id|track|effect, -f: The field "Consequence" is not present in INFO/EFF
gene_id|track|effect, -l: The field "Consequence" is not present in INFO/EFF
gene_id|Consequence|effect, -f: G1 0.5
gene_id|Consequence|effect, -l: 0 gene_id, 1 Consequence, 2 effect
TXT
diff expected seen
