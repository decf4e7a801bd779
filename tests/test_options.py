"""What all commands share: help that shows brackets, headings, how much is printed, progress."""

import json
import re
import shlex

import pytest
import typer
from rich.text import Text
from typer.testing import CliRunner

from hapsight.cli import console
from hapsight.cli.main import PANELS, app
from hapsight.errors import ConfigError, HapsightError
from hapsight.models.registry import register
from tests.planted import load_toy, write_planted


def leaves(command, path=()):
    """Every command that does something, with its path."""
    if hasattr(command, "commands"):
        for name, one in command.commands.items():
            yield from leaves(one, (*path, name))
        if command.invoke_without_command:
            yield path, command
    else:
        yield path, command


COMMANDS = dict(leaves(typer.main.get_command(app)))


def helped(path):
    return CliRunner().invoke(app, [*path, "-h"], env={"COLUMNS": "200", "TERMINAL_WIDTH": "200"})


def shown(text):
    """A help text as it should appear: without the escapes that keep rich from reading markup."""
    return re.sub(r"\s+", " ", Text.from_markup(text).plain)


@pytest.mark.parametrize("path", COMMANDS, ids=" ".join)
def test_help_shows_every_word_of_every_text(path):
    found = helped(path)
    assert found.exit_code == 0
    page = re.sub(r"[│╭╮╰╯─\s]+", " ", found.output)
    words = set(page.split())
    command = COMMANDS[path]
    texts = [command.help or "", *(getattr(one, "help", None) or "" for one in command.params)]
    for text in texts:
        for bracketed in re.findall(r"\[[^\]]*\]+", text):
            assert bracketed.replace("\\", "") in page, (path, bracketed)
        missing = set(shown(text).split()) - words
        assert not {word for word in missing if "`" not in word}, (path, missing)


def test_sections_are_named_in_brackets_somewhere():
    pages = "".join(helped(path).output for path in COMMANDS)
    assert {"[cohort]", "[explain]", "[baseline]", "[train]"} <= set(re.findall(r"\[\w+\]", pages))


def test_every_command_has_a_heading_and_none_is_named_twice():
    top = typer.main.get_command(app)
    named = [name for names in PANELS.values() for name in names]
    assert sorted(named) == sorted(top.commands)
    page = CliRunner().invoke(app, ["--help"], env={"COLUMNS": "120"}).output
    places = [page.index(f"─ {heading} ") for heading in PANELS]
    assert places == sorted(places)
    listed = re.findall(r"^│ ([a-z]+) ", page, re.MULTILINE)
    assert listed == named


@pytest.mark.parametrize("path", COMMANDS, ids=" ".join)
def test_every_command_says_how_much_it_prints(path):
    page = helped(path).output
    assert all(option in page for option in ("--quiet", "--verbose", "--json", "--help"))


def test_every_command_with_a_configuration_chooses_genes_and_people():
    for path, command in COMMANDS.items():
        arguments = {one.name for one in command.params if one.param_type_name == "argument"}
        if "config" not in arguments:
            continue
        options = {name for one in command.params for name in one.opts}
        wanted = {"--region", "--population"} | (set() if path == ("validate", "crispri") else {"--genes"})
        assert wanted <= options, path


def test_completion_is_typers_own():
    assert "--install-completion" in CliRunner().invoke(app, ["--help"]).output


def test_tables_as_json(tmp_path):
    out = tmp_path / "models.json"
    beside = CliRunner().invoke(app, ["models", "--json", str(out)])
    alone = CliRunner().invoke(app, ["models", "--json", "-"])
    kept = json.loads(out.read_text())
    assert json.loads(alone.stdout) == kept
    assert "weights folder" in alone.stderr, "what is no table does not spoil the JSON"
    assert {row["model"] for row in kept["models"]} >= {"mini", "xpresso"}
    assert "model" in beside.stdout
    assert "weights folder" in beside.stdout


def test_no_command_has_an_option_twice():
    """`bench sharing` and `reproduce` had --json twice, and the shared one won."""
    for words, command in leaves(typer.main.get_command(app)):
        names = [name for one in command.params for name in one.opts if name.startswith("-")]
        assert len(names) == len({*names}), (words, names)


def test_an_error_names_the_configuration_where_it_names_commands(tmp_path):
    """The command that gets everything done, as a shell takes it, for the genes that were asked for."""
    (tmp_path / "Ann's own").mkdir()
    config = write_planted(tmp_path / "Ann's own", people=16, names=("up1", "down1")).config
    for command in ("report", "pages", "drivers", "evaluate"):
        words = [command, str(config), *(["--genes", "up1"] if command != "report" else [])]
        with register("toy", load_toy):
            found = CliRunner().invoke(app, words)
        assert isinstance(found.exception, HapsightError), found.output
        first = re.search("`(hapsight run .*?)`", found.exception.details["to mend"])[1]
        assert shlex.split(first) == ["hapsight", "run", *words[1:]]


def test_json_that_could_not_be_written_is_refused_first(tmp_path):
    found = CliRunner().invoke(app, ["models", "--json", str(tmp_path / "none" / "x.json")])
    assert isinstance(found.exception, ConfigError)
    assert not found.stdout


def test_quiet_prints_nothing_and_keeps_the_json():
    assert CliRunner().invoke(app, ["models", "--quiet"]).output == ""
    assert json.loads(CliRunner().invoke(app, ["models", "-q", "--json", "-"]).stdout)["models"]
    found = CliRunner().invoke(app, ["models", "-q", "-v"])
    assert isinstance(found.exception, ConfigError)


def test_lines_are_few_and_tell_what_is_left(capsys, monkeypatch):
    monkeypatch.setattr(console, "_err", console.Console(stderr=True, soft_wrap=True))
    now, stages = [0.0], {}
    lines = console._Lines(stages, lambda: now[0])
    for done in range(101):
        lines("long", done, 100)
        now[0] += 1.0
    for done in range(11):
        lines("short", done, 10)
    lines("short", 10, 10)
    said = capsys.readouterr().err.splitlines()
    assert said == [
        "long: 30 of 100, about 70.0 s left",
        "long: 60 of 100, about 40.0 s left",
        "long: 90 of 100, about 10.0 s left",
        "long: 100 of 100, 100.0 s",
        "short: 10 of 10, 0.0 s",
    ]
    assert stages == {"long": (100, 100), "short": (10, 10)}


def test_what_was_done_before_does_not_make_it_look_quick(capsys, monkeypatch):
    monkeypatch.setattr(console, "_err", console.Console(stderr=True, soft_wrap=True))
    now = [0.0]
    lines = console._Lines({}, lambda: now[0])
    for done in range(90, 95):
        lines("resumed", done, 100)
        now[0] += 20.0
    assert capsys.readouterr().err.splitlines() == [
        "resumed: 92 of 100, about 2.7 min left",
        "resumed: 94 of 100, about 2.0 min left",
    ]


@pytest.mark.parametrize("keeps", [True, False])
def test_an_interrupt_says_what_is_kept(tmp_path, capsys, monkeypatch, keeps):
    monkeypatch.setattr("sys.argv", ["hapsight", "run", "my cohort.toml"])

    def work():
        with console.session(False, False, None), console.progress() as show:
            if keeps:
                console.keeps(tmp_path)
            show("first", 5, 5)
            show("second", 2, 7)
            raise KeyboardInterrupt

    with pytest.raises(typer.Exit) as caught:
        work()
    assert caught.value.exit_code == 130
    said = capsys.readouterr().err
    assert "interrupted at second, 2 of 7" in said
    if keeps:
        assert f"in {tmp_path}" in said
        assert "the same command again: hapsight run 'my cohort.toml'" in said
    else:
        assert "nothing of this command is kept" in said
