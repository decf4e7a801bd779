#!/bin/sh
# Question: can pysam copy a valid VCF 4.4 file with a symbolic deletion (SVLEN, no END), record by record, the usual
# way: VariantFile(out, header=source.header), then write(record)?
#
# Guess (not written down: met while vcf44-svlen-query.sh was written): yes, to VCF and to BCF.
#
# Versions: pysam 0.24.1 (htslib 1.24).
#
# Seen: only if the header declares INFO/END, which 4.4 asks nobody to do. pysam adds END to a symbolic record when it
# is written, and declares it in the source's header, not in the header that the new file was given. To VCF, write()
# raises. To BCF, write() succeeds and the file is closed without a word; the first reader of it fails, so a subset of
# a cohort is lost where it was thought saved. With END declared both work, and the copy has an END that the source
# has not.
#
# Output:
#   END not declared: VCF write raises OSError; BCF write works, read raises OSError
#   END declared: VCF write works, read gives SVLEN, END; BCF write works, read gives SVLEN, END
set -eu
dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT
cd "$dir"
{ python3 -m venv env && env/bin/pip install --quiet pysam==0.24.1; } ||
    { echo 'could not install' >&2; exit 2; }

cat > run.py <<'PY'
import pysam

END = '##INFO=<ID=END,Number=1,Type=Integer,Description="End of the variant">\n'


def make(declared):
    with open("x.vcf", "w") as out:
        out.write("##fileformat=VCFv4.4\n##contig=<ID=1,length=100000>\n")
        out.write('##ALT=<ID=DEL,Description="Deletion">\n')
        out.write('##INFO=<ID=SVLEN,Number=A,Type=Integer,Description="Length of the variant">\n')
        out.write(END if declared else "")
        out.write('##FORMAT=<ID=GT,Number=1,Type=String,Description="Genotype">\n')
        out.write("\t".join("#CHROM POS ID REF ALT QUAL FILTER INFO FORMAT a".split()) + "\n")
        out.write("\t".join(["1", "1000", ".", "A", "<DEL>", ".", "PASS", "SVLEN=5000", "GT", "0|1"]) + "\n")


def copy(name, mode):
    try:
        with pysam.VariantFile("x.vcf") as source, pysam.VariantFile(name, mode, header=source.header) as out:
            for record in source:
                out.write(record)
    except Exception as error:
        return f"write raises {type(error).__name__}"
    try:
        with pysam.VariantFile(name) as back:
            line = str(next(iter(back))).split("\t")[7]
        found = [key for key in ("SVLEN", "END") if any(f.startswith(key + "=") for f in line.split(";"))]
        return f"write works, read gives {', '.join(found)}"
    except Exception as error:
        return f"write works, read raises {type(error).__name__}"


for declared in (False, True):
    make(declared)
    print(f"END {'' if declared else 'not '}declared: VCF {copy('y.vcf', 'w')}; BCF {copy('y.bcf', 'wb')}")
PY
env/bin/python run.py 2> /dev/null | tee seen
cat > expected <<'TXT'
END not declared: VCF write raises OSError; BCF write works, read raises OSError
END declared: VCF write works, read gives SVLEN, END; BCF write works, read gives SVLEN, END
TXT
diff expected seen
