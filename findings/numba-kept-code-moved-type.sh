#!/bin/sh
# Question: a function compiled by numba.njit(cache=True) takes a NamedTuple. The class then moves to another
#   module, and the function's source changes with it. Does the next run compile anew?
# Guess: yes; what is kept of an older source is not used. (Not written down before: it was met as a fault, and
#   this script was made of it afterwards.)
# Versions: numba 0.68.1, llvmlite 0.50.0, NumPy 2.4.6, Python 3.11.
# Seen: every call raises AttributeError, in each run, until somebody deletes the index (*.nbi) from
#   __pycache__. The index is unpickled, types of the arguments included, before the source's size and time in
#   it are compared. An upgrade in place is enough: pip leaves these files in __pycache__, since it did not
#   write them. Where the class keeps its place, the same change of the source is compiled anew.
# Here: `hapsight.files.compiled` looks whether the index can be read, and removes it where it cannot.
set -eu
PYTHON="${PYTHON:-python3}"
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
"$PYTHON" -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet numba==0.68.1 llvmlite==0.50.0 numpy==2.4.6
export NUMBA_CACHE_DIR="$folder/kept"
cd "$folder"

shape='
from typing import NamedTuple
class Pair(NamedTuple):
    a: int
    b: int
'
loop='
from numba import njit
@njit(cache=True)
def total(pair):
    return pair.a + pair.b
'
call='
from loops import total, Pair
try:
    print(total(Pair(1, 2)))
except AttributeError as error:
    print(type(error).__name__)
'
run() { "$folder/venv/bin/python" -c "$call"; }

printf '%s' "$shape" >first.py
printf 'from first import Pair\n%s' "$loop" >loops.py
[ "$(run)" = 3 ]

printf 'from first import Pair  # another source\n%s' "$loop" >loops.py
[ "$(run)" = 3 ]
echo "source changed, class where it was: compiled anew"

printf '%s' "$shape" >second.py
: >first.py
printf 'from second import Pair\n%s' "$loop" >loops.py
[ "$(run)" = AttributeError ]
[ "$(run)" = AttributeError ]
echo "class moved: AttributeError at each run"

find "$NUMBA_CACHE_DIR" -name '*.nbi' -delete
[ "$(run)" = 3 ]
echo "index deleted: compiled anew"
