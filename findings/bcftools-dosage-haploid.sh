#!/bin/sh
# Question: which dosages does `bcftools +dosage` give for a man's haploid calls on chrX, and for half-missing calls?
#
# Guess, written before the run: a haploid call's one allele, 0 to 1, from PL as from GT; -1 for half-missing calls.
#
# Versions: bcftools 1.16 (Debian 12; later versions were not tried).
#
# Seen: from PL or GL, which are taken first where the file has them, every man is missing (-1), however certain his
# call, and the GT beside it is not asked. With `-t GT` he has his dosage. So of a file of a caller (which has PL) a
# column of women has dosages on chrX, a column of men has none. From GT a half-missing call is -1 with the gap in
# front (`.|1`, `./1`), and with the gap behind (`1|.`, `1/.`) the gap counts as a reference allele. No warning.
#
# Output (dosages of a man 0, a man 1, a woman 0|1, then .|1 ./1 1/. and 1|. by tag):
#   PL: -1.0 -1.0 1.0
#   GL: -1.0 -1.0 1.0
#   GT: 0.0 1.0 1.0
#   GT of .|1 ./1 1/. 1|.: -1.0 -1.0 1.0 1.0
set -eu
bcftools --version | head -n 1 | grep -qx 'bcftools 1.16' || { echo 'needs bcftools 1.16 (Debian 12)' >&2; exit 2; }
dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT
cd "$dir"

made() {
    printf '##fileformat=VCFv4.2\n##contig=<ID=X,length=1000>\n'
    printf '##FORMAT=<ID=GT,Number=1,Type=String,Description="Genotype">\n'
    printf '##FORMAT=<ID=PL,Number=G,Type=Integer,Description="Phred-scaled likelihoods">\n'
    printf '##FORMAT=<ID=GL,Number=G,Type=Float,Description="Likelihoods, log10">\n'
    printf '%s\n' "#CHROM POS ID REF ALT QUAL FILTER INFO FORMAT $1" "X 10 . A G . PASS . $2" | tr ' ' '\t'
}
dosages() {
    bcftools +dosage x.vcf -- "$@" 2> said | grep -v '^#' | cut -f 5- | sed 's/000000*/0/g' | tr '\t' ' '
}
{
    made 'a b c' 'GT:PL 0:0,90 1:90,0 0|1:90,0,90' > x.vcf
    echo "PL: $(dosages)"
    made 'a b c' 'GT:GL 0:0,-9 1:-9,0 0|1:-9,0,-9' > x.vcf
    echo "GL: $(dosages)"
    echo "GT: $(dosages -t GT)"
    made 'a b c d' 'GT .|1 ./1 1/. 1|.' > x.vcf
    echo "GT of .|1 ./1 1/. 1|.: $(dosages -t GT)"
} | tee seen
cat > expected <<'TXT'
PL: -1.0 -1.0 1.0
GL: -1.0 -1.0 1.0
GT: 0.0 1.0 1.0
GT of .|1 ./1 1/. 1|.: -1.0 -1.0 1.0 1.0
TXT
diff expected seen
