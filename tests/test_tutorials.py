"""Tutorials are run while the site is built: what is put in, and what ends the build."""

import pytest
from tools.tutorials import LONGEST, TutorialError, shortened, with_output

FENCE = "`" * 3


def block(language: str, code: str, comment: str = "") -> str:
    return f"{comment}{FENCE}{language}\n{code}\n{FENCE}\n"


def test_output_stands_under_its_block_and_names_are_shared():
    page = (
        block("sh", "echo one > file; cat file")
        + "Then\n"
        + block("python", "from pathlib import Path\nx = Path('file').read_text()")
    )
    page += block("python", "print(x * 2)")
    shown = with_output(page)
    assert shown.startswith(block("sh", "echo one > file; cat file") + f"\n{FENCE}text\none\n{FENCE}\n")
    assert shown.endswith(f"{FENCE}text\none\none\n{FENCE}\n")
    assert shown.count(f"{FENCE}text") == 2


def test_files_are_written_and_added_to_and_other_blocks_left_alone():
    page = block("toml", "a = 1", "<!-- file: x.toml -->\n") + block(
        "toml", "b = 2", "<!-- append: x.toml -->\n"
    )
    page += block("sh", "false", "<!-- not run -->\n") + block("text", "false") + block("sh", "cat x.toml")
    assert with_output(page) == page + f"\n{FENCE}text\na = 1\nb = 2\n{FENCE}\n"


def test_places_of_the_temporary_folder_are_cut():
    assert f"{FENCE}text\nhere\n{FENCE}" in with_output(block("sh", 'echo "$PWD/here"'))


@pytest.mark.parametrize(
    ("language", "code", "said"),
    [
        ("sh", "echo before; false; echo after", "exit code 1"),
        ("sh", "hapsight no-such-command", "no-such-command"),
        ("python", "print('before'); 1 / 0", "ZeroDivisionError"),
    ],
)
def test_what_fails_ends_the_build_with_what_it_printed(language, code, said):
    with pytest.raises(TutorialError, match=said) as failed:
        with_output(block(language, code))
    assert "after" not in str(failed.value).replace(code, "")


def test_long_output_says_that_its_middle_is_left_out():
    lines = shortened("\n".join(map(str, range(100)))).splitlines()
    assert (len(lines), lines[0], lines[-1]) == (LONGEST + 1, "0", "99")
    assert lines[LONGEST // 2] == "... 40 more lines ..."
