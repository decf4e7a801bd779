#!/bin/sh
# Question: what does `CrossMap bed` make of BED12 transcripts where the chain turns the sequence round?
#
# Guess, written before the run: strand, blocks and the thick part turned round, as with all the other formats.
#
# Versions: CrossMap 0.7.4.
#
# Seen: of a transcript of one exon the thick part (the coding one) keeps its distance from the left end, so it is not
# turned round: coding bases 205-290 of an exon 200-300 become 505-590, where 510-595 are the same bases. Transcripts
# of two or more exons all go to the .unmap file, although each exon maps whole, to one chromosome and strand; as BED6
# or GFF the same exons are mapped. So a gene model that is lifted loses its spliced transcripts in inverted regions,
# and the others have wrong coding parts. Exit status 0, no message.
#
# Output (the chain turns 100-600 into 200-700; start, end, strand, thick part, sizes and starts of the blocks):
#   one exon: 500 600 - 505 590 100 0
#   two exons: in the unmap file
#   its exons as BED6: 580 600 - and 500 530 -
set -eu
dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT
cd "$dir"
{ python3 -m venv env && env/bin/pip install --quiet CrossMap==0.7.4; } || { echo 'could not install' >&2; exit 2; }

printf 'chain 500 chr1 1000 + 100 600 chr1 1000 - 300 800 1\n500\n\n' > turned.chain
lift() {
    tr ' ' '\t' > old.bed
    env/bin/CrossMap bed turned.chain old.bed new.bed > said 2>&1
    if [ -s new.bed ]; then cut -f "$1" new.bed | tr '\t' ' '; else [ -s new.bed.unmap ] && echo 'in the unmap file'; fi
}
{
    echo "one exon: $(echo 'chr1 200 300 tx 0 + 205 290 0 1 100, 0,' | lift 2,3,6-8,11,12)"
    echo "two exons: $(echo 'chr1 200 300 tx 0 + 205 290 0 2 20,30, 0,70,' | lift 2,3,6-8,11,12)"
    exons=$(printf '%s\n' 'chr1 200 220 a 0 +' 'chr1 270 300 b 0 +' | lift 2,3,6 | paste -s -d '&')
    echo "its exons as BED6: $exons" | sed 's/&/ and /'
} | tee seen
cat > expected <<'TXT'
one exon: 500 600 - 505 590 100 0
two exons: in the unmap file
its exons as BED6: 580 600 - and 500 530 -
TXT
diff expected seen
