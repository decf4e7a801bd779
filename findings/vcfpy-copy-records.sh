#!/bin/sh
# Question: does a file that vcfpy reads and writes record by record come out as it was?
#
# Guess, written before the run: yes, in content; at most the writing of a number changes.
#
# Versions: vcfpy 0.14.2.
#
# Seen: a call whose last fields are left out, as VCF allows and callers write for missing calls (`./.` under GT:AD),
# cannot be written where such a field has more than one value: write_record raises ValueError. With DP, which has
# one, it is filled up with a dot. And `is_phased` of a call that is a plain `.`, read from a valid file, raises
# TypeError. Both show on the first such call, which may be deep in a file.
#
# Output (format and call; written as, is_phased):
#   GT:AD 0|1:3,4: 0|1:3,4, True
#   GT:AD ./.: ValueError, False
#   GT:AD ./.:.: ./.:., False
#   GT:DP ./.: ./.:., False
#   GT .: ., TypeError
set -eu
dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT
cd "$dir"
{ python3 -m venv env && env/bin/pip install --quiet vcfpy==0.14.2; } || { echo 'could not install' >&2; exit 2; }

cat > run.py <<'PY'
import vcfpy

HEADER = """##fileformat=VCFv4.2
##contig=<ID=1,length=100>
##FORMAT=<ID=GT,Number=1,Type=String,Description="Genotype">
##FORMAT=<ID=AD,Number=R,Type=Integer,Description="Depth of each allele">
##FORMAT=<ID=DP,Number=1,Type=Integer,Description="Depth">
"""


def outcome(action):
    try:
        return str(action())
    except (TypeError, ValueError) as error:
        return type(error).__name__


def copied(reader, record):
    with vcfpy.Writer.from_path("copy.vcf", reader.header) as writer:
        writer.write_record(record)
    with open("copy.vcf") as lines:
        return lines.read().strip().split("\t")[-1]


for fields, call in (("GT:AD", "0|1:3,4"), ("GT:AD", "./."), ("GT:AD", "./.:."), ("GT:DP", "./."), ("GT", ".")):
    with open("calls.vcf", "w") as out:
        out.write(HEADER + "\t".join("#CHROM POS ID REF ALT QUAL FILTER INFO FORMAT p".split()) + "\n")
        out.write("\t".join(["1", "10", ".", "A", "G", ".", "PASS", ".", fields, call]) + "\n")
    with vcfpy.Reader.from_path("calls.vcf") as reader:
        record = next(reader)
        print(f"{fields} {call}: {outcome(lambda: copied(reader, record))}, {outcome(lambda: record.calls[0].is_phased)}")
PY
env/bin/python run.py | tee seen
cat > expected <<'TXT'
GT:AD 0|1:3,4: 0|1:3,4, True
GT:AD ./.: ValueError, False
GT:AD ./.:.: ./.:., False
GT:DP ./.: ./.:., False
GT .: ., TypeError
TXT
diff expected seen
