#!/bin/sh
# Question: which sample does a workflow get by `snakemake --config sample=1_2`, and which by the double quotes that
# snakemake's list of frequent questions asks for where a value is to stay text?
#
# Guess, written before the run: 012 stays text. (That the quotes do not help was seen on the way.)
#
# Versions: snakemake 9.27.1.
#
# Seen: whatever Python reads as a number is one: 1_2 is 12, 012 is 12, 1E5 is 100000.0, so that the workflow of
# person 1_2 reads and writes the files of person 12. The quotes of the documentation are taken off before, so that
# '"1_2"' is 12 as well. What is left is a list of one value, whose members stay text, or a configuration file. (There,
# by YAML 1.1, 1_2 without quotes is 12 and 012 is 10.) No warning.
#
# Output (what config["sample"] is):
#   --config sample=1_2: 12 int
#   --config sample=012: 12 int
#   --config sample=1E5: 100000.0 float
#   --config sample='"1_2"': 12 int
#   --config sample="'1_2'": 12 int
#   --config sample=[1_2]: ['1_2'] list
#   sample: "1_2" in a file: 1_2 str
#   files of the rule for sample='"1_2"': 12.txt
set -eu
dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT
cd "$dir"
{ python3 -m venv env && env/bin/pip install --quiet --no-cache-dir snakemake==9.27.1; } ||
    { echo 'could not install' >&2; exit 2; }

cat > Snakefile <<'SMK'
name = config["sample"]
with open("told", "w") as out:
    out.write(f"{name} {type(name).__name__}")
rule all:
    input: f"{name[0] if isinstance(name, list) else name}.txt"
rule one:
    output: "{sample}.txt"
    shell: "touch {output}"
SMK
cat > run.py <<'PY'
import pathlib
import subprocess

pathlib.Path("x.yaml").write_text('sample: "1_2"\n')


def told(*options, dry=("--dry-run",)):
    command = ["env/bin/snakemake", "--cores", "1", "--quiet", "all", *dry, *options]
    subprocess.run(command, check=True, capture_output=True)
    return pathlib.Path("told").read_text()


for shown, value in (
    ("1_2", "1_2"),
    ("012", "012"),
    ("1E5", "1E5"),
    ("'\"1_2\"'", '"1_2"'),
    ("\"'1_2'\"", "'1_2'"),
    ("[1_2]", "[1_2]"),
):
    print(f"--config sample={shown}: {told('--config', f'sample={value}')}")
print(f"sample: \"1_2\" in a file: {told('--configfile', 'x.yaml')}")
told("--config", 'sample="1_2"', dry=())
print(f"files of the rule for sample='\"1_2\"': {' '.join(str(p) for p in pathlib.Path('.').glob('*.txt'))}")
PY
HOME=$dir env/bin/python run.py | tee seen
cat > expected <<'TXT'
--config sample=1_2: 12 int
--config sample=012: 12 int
--config sample=1E5: 100000.0 float
--config sample='"1_2"': 12 int
--config sample="'1_2'": 12 int
--config sample=[1_2]: ['1_2'] list
sample: "1_2" in a file: 1_2 str
files of the rule for sample='"1_2"': 12.txt
TXT
diff expected seen
