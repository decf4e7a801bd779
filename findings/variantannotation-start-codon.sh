#!/bin/sh
# Question: what does VariantAnnotation's `predictCoding` say of a variant in the start codon?
#
# Guess, written before the run: amino acids are right on both strands, also for indels and for changes of several
# bases (of the start codon nothing was written).
#
# Versions: R 4.2.2, r-bioc-variantannotation 1.44.1, r-bioc-genomicfeatures 1.50.4 (Debian 12).
#
# Seen: a start codon that becomes TTG or CTG is "synonymous", M to M, for the standard code of Biostrings has them as
# other initiation codons (as bacteria and mitochondria use them). So p.Met1Leu, a lost start and among the worst that
# a gene can have, is filtered away with the silent variants. ATG to ACG or GTG is nonsynonymous. The manual page does
# not say so. With `genetic.code` of no such codons (the last line) it is nonsynonymous. (All other one, two and three
# base changes of two genes of 90 bases, on both strands, were right.)
#
# Output (change of the start codon; amino acids and consequence):
#   ATG>TTG M>M synonymous
#   ATG>CTG M>M synonymous
#   ATG>GTG M>V nonsynonymous
#   ATG>ACG M>T nonsynonymous
#   ATG>TTG M>L nonsynonymous with genetic.code without alt_init_codons
set -eu
has() {
    dpkg-query -W -f '${Version}' "$1" 2> /dev/null | grep -q "^$2" || { echo "needs $1 $2 (Debian 12)" >&2; exit 2; }
}
has r-bioc-variantannotation 1.44.1
has r-bioc-genomicfeatures 1.50.4
dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT
cd "$dir"

printf '>1\n%s\n' 'TTTTTTTTTTATGGCTTTCGAACTGAAGTAATTTTTTTTTT' > x.fa
{
    printf '##fileformat=VCFv4.2\n##contig=<ID=1,length=41>\n'
    printf '%s\n' '#CHROM POS ID REF ALT QUAL FILTER INFO' '1 11 TTG A T . PASS .' '1 11 CTG A C . PASS .' \
        '1 11 GTG A G . PASS .' '1 12 ACG T C . PASS .' | tr ' ' '\t'
} > x.vcf
cat > run.R <<'R'
suppressPackageStartupMessages({
  library(VariantAnnotation)
  library(GenomicFeatures)
  library(Rsamtools)
})
invisible(indexFa("x.fa"))
parts <- GRanges(rep("1", 4), IRanges(11, 31), "+", type = c("gene", "mRNA", "exon", "CDS"), ID = c("g", "t", "e", "c"),
                 Parent = CharacterList(character(0), "g", "t", "t"), gene_id = "g", phase = c(NA, NA, NA, 0L))
genes <- makeTxDbFromGRanges(parts)
variants <- readVcf("x.vcf", "x")
say <- function(found, more = "") {
  codons <- paste0(as.character(found$REFCODON), ">", as.character(found$VARCODON))
  acids <- paste0(as.character(found$REFAA), ">", as.character(found$VARAA))
  cat(paste0(codons, " ", acids, " ", found$CONSEQUENCE, more, "\n"), sep = "")
}
say(predictCoding(variants, genes, FaFile("x.fa")))
code <- GENETIC_CODE
attr(code, "alt_init_codons") <- character()
say(predictCoding(variants[1], genes, FaFile("x.fa"), genetic.code = code),
    " with genetic.code without alt_init_codons")
R
Rscript run.R 2> said | tee seen
cat > expected <<'TXT'
ATG>TTG M>M synonymous
ATG>CTG M>M synonymous
ATG>GTG M>V nonsynonymous
ATG>ACG M>T nonsynonymous
ATG>TTG M>L nonsynonymous with genetic.code without alt_init_codons
TXT
diff expected seen || { cat said >&2; exit 1; }
