#!/bin/sh
# Question: what does GenomeTools' `gt gff3_to_gtf` keep of a gene: its identifier, and the place of its stop codon?
#
# Guess, written before the run: the CDS of the GTF leaves the stop codon out, as GTF 2.2 asks, with rows of its own
# for it. (Of names nothing was written.)
#
# Versions: GenomeTools 1.6.2 (Debian 12).
#
# Seen: genes and transcripts are counted through in the order of the file: gene_id "1", transcript_id "1.1", with
# no table of which was which, also where the GFF3 has the attributes gene_id and transcript_id, as Ensembl's. The
# same gene has another number in the next file, so that counts of two files can be merged by gene_id and do not
# belong together. And the CDS holds the stop codon, without a stop_codon row: a reader that adds the stop codon,
# as GTF needs it, ends three bases into the 3' UTR. No warning, and nothing of this in the help text.
#
# Output (gene ENSG2 alone and behind ENSG1 in a file; its CDS is 151-249 with the stop codon at 247-249):
#   alone: gene_id "1" CDS 151-249, rows of stop codons 0
#   behind ENSG1: gene_id "2" CDS 151-249, rows of stop codons 0
set -eu
gt --version 2> /dev/null | head -n 1 | grep -q 'GenomeTools) 1\.6\.2$' ||
    { echo 'needs GenomeTools 1.6.2 (Debian 12: genometools)' >&2; exit 2; }
dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT
cd "$dir"

cat > run.py <<'PY'
import subprocess


def gff3(*genes):
    rows = ["##gff-version 3", "##sequence-region 1 1 10000"]
    for gene, at in genes:
        names = f"ID=transcript:T_{gene};Parent=gene:{gene};transcript_id=T_{gene}"
        rows.append(f"1\tmade\tgene\t{at + 101}\t{at + 300}\t.\t+\t.\tID=gene:{gene};gene_id={gene};Name={gene}")
        rows.append(f"1\tmade\tmRNA\t{at + 101}\t{at + 300}\t.\t+\t.\t{names}")
        rows.append(f"1\tmade\texon\t{at + 101}\t{at + 300}\t.\t+\t.\tParent=transcript:T_{gene}")
        rows.append(f"1\tmade\tCDS\t{at + 151}\t{at + 249}\t.\t+\t0\tID=c_{gene};Parent=transcript:T_{gene}")
    return "\n".join(rows) + "\n"


def gt(tool, text):
    return subprocess.run(["gt", tool, "-"], input=text, check=True, capture_output=True, text=True).stdout


def told(gtf):
    rows = [line.split("\t") for line in gtf.splitlines() if line and not line.startswith("#")]
    gene = rows[-1][8].split(";")[0]
    cds = " ".join(f"{row[3]}-{row[4]}" for row in rows if row[2] == "CDS" and row[8].startswith(gene))
    return f"{gene} CDS {cds}, rows of stop codons {sum(row[2] == 'stop_codon' for row in rows)}"


print(f"alone: {told(gt('gff3_to_gtf', gff3(('ENSG2', 0))))}")
print(f"behind ENSG1: {told(gt('gff3_to_gtf', gff3(('ENSG1', -100), ('ENSG2', 0))))}")
PY
python3 run.py | tee seen
cat > expected <<'TXT'
alone: gene_id "1" CDS 151-249, rows of stop codons 0
behind ENSG1: gene_id "2" CDS 151-249, rows of stop codons 0
TXT
diff expected seen
