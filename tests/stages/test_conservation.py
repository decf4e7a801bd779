from pathlib import Path

import pytest

from hapsight.errors import InputError
from hapsight.stages.driver_context import add_conservation

bigwig = pytest.importorskip("pyBigWig")


def write(path: Path, contig: str = "22") -> Path:
    with bigwig.open(str(path), "w") as file:
        file.addHeader([(contig, 1000)])
        file.addEntries([contig] * 3, [10, 11, 12], ends=[11, 12, 13], values=[1.0, 2.0, 6.0])
    return path


def test_the_mean_over_the_reference_allele_by_either_name_of_the_contig(tmp_path):
    rows = [
        {"contig": "chr22", "position": 11, "ref": "A"},
        {"contig": "chr22", "position": 10, "ref": "ACG"},
        {"contig": "chr22", "position": 500, "ref": "A"},
        {"contig": "chr22", "position": 2000, "ref": "A"},
        {"contig": None, "position": None, "ref": None},
    ]
    add_conservation(rows, write(tmp_path / "phylop.bw"))
    assert [row["conservation"] for row in rows] == [2.0, 3.0, None, None, None]


def test_a_file_of_other_contigs_or_none_at_all(tmp_path):
    rows = [{"contig": "chr22", "position": 11, "ref": "A"}]
    with pytest.raises(InputError, match=r"none of the contigs[\s\S]*expected: chr22[\s\S]*got: 7"):
        add_conservation(rows, write(tmp_path / "other.bw", "7"))
    (tmp_path / "text.bw").write_text("not a bigWig, but long enough to be read as one " * 20)
    for path in (tmp_path / "text.bw", tmp_path / "nowhere.bw"):
        with pytest.raises(InputError, match=r"cannot be read|not there"):
            add_conservation(rows, path)
