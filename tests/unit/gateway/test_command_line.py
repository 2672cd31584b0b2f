"""`manage.py` alone and `manage.py help`: this project's commands first."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
from django.conf import settings
from django.core.management import ManagementUtility, get_commands

from gateway import command_line
from gateway.management import commands

INTERRUPTED_WHILE_IT_IMPORTS = """
import runpy, sys

interrupted = sys.argv.pop(1)

class Interrupt:
    def find_spec(self, name, *_):
        if name == interrupted:
            raise KeyboardInterrupt

sys.meta_path.insert(0, Interrupt())
runpy.run_path("manage.py", run_name="__main__")
"""
OURS = sorted(path.stem for path in Path(commands.__path__[0]).glob("[a-z]*.py"))


@pytest.fixture
def shown(monkeypatch, capsys):
    """What `manage.py` writes, called with these words."""

    def shown(*words):
        monkeypatch.setattr("django.setup", lambda: None)  # it is set up; again would configure logging anew
        monkeypatch.setattr(sys, "argv", ["manage.py", *words])
        command_line.run()
        return capsys.readouterr().out

    return shown


@pytest.mark.parametrize("words", [(), ("help",), ("--help",), ("-h",)], ids=" ".join)
def test_each_way_to_ask_shows_our_commands_first_with_a_line_each(shown, words):
    ours, others = shown(*words).split("Django's own\n")
    lines = ours.split("AI MCP Gateway\n")[1].strip().splitlines()
    assert [line.split()[0] for line in lines] == OURS
    assert all(len(line.split()) > 3 and line.endswith(".") for line in lines)
    assert "  keys        Makes API keys, lists, changes, rotates, switches off and deletes them." in lines
    assert {"migrate", "check", "shell", "createsuperuser"} <= set(others.replace(",", "").split())


def test_every_command_is_there_once(shown):
    listed = shown("help").partition("AI MCP Gateway\n")[2]
    ours, others = listed.split("Django's own\n")
    names = [line.split()[0] for line in ours.strip().splitlines()] + others.replace(",", "").split()
    assert sorted(names) == sorted(get_commands())


def test_a_list_for_programs_stays_djangos(shown):
    assert shown("help", "--commands").split() == sorted(get_commands())


def test_the_help_of_one_command_is_its_own(shown):
    assert "manage.py keys create laptop" in shown("help", "keys")


def test_the_script_itself_shows_it():
    ended = subprocess.run(
        [sys.executable, "manage.py"], cwd=settings.BASE_DIR, capture_output=True, text=True, check=True
    )
    assert ended.stdout.startswith("Type 'manage.py COMMAND --help'")
    assert ended.stderr == ""


def test_with_broken_settings_django_explains(monkeypatch):
    monkeypatch.setattr(command_line, "get_commands", lambda: {"check": "django.core"})
    utility = command_line.CommandLine(["manage.py", "help"])
    utility.settings_exception = ImportError("no such settings")
    assert "no such settings" in utility.main_help_text()
    assert isinstance(utility, ManagementUtility)


@pytest.mark.parametrize("module", ["django", "gateway.env", "rest_framework.apps", "gateway.management.commands.keys"])
def test_ctrl_c_ends_it_without_a_traceback_in_an_import_as_well(module):
    command = [sys.executable, "-c", INTERRUPTED_WHILE_IT_IMPORTS, module, "keys", "--help"]
    ended = subprocess.run(command, cwd=settings.BASE_DIR, capture_output=True, text=True, check=False)
    assert (ended.returncode, ended.stdout, ended.stderr) == (130, "", "")


@pytest.mark.parametrize(
    ("words", "said"), [(("quickstart",), "Starting ...\n"), (("quickstart", "--help"), ""), (("serve",), "")]
)
def test_a_quick_start_says_that_it_starts_before_it_imports_anything(words, said):
    command = [sys.executable, "-c", INTERRUPTED_WHILE_IT_IMPORTS, "django", *words]
    ended = subprocess.run(command, cwd=settings.BASE_DIR, capture_output=True, text=True, check=False)
    assert (ended.stdout, ended.stderr) == ("", said)


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (("keys", "create", "bad", "--models", "x"), "arguments: --models x. Did you mean --model?"),
        (("keys", "create", "bad", "--expiry=1d"), "arguments: --expiry=1d. Did you mean --expires-in?"),
        (("catalog", "load", "--jso=1"), "argument --json: ignored explicit argument"),
        (("keys", "list", "everything"), "arguments: everything\n"),
    ],
)
def test_a_wrong_option_of_a_subcommand_shows_its_own_usage(shown, capsys, words, says):
    with pytest.raises(SystemExit) as ended:
        shown(*words)
    said = capsys.readouterr().err
    assert ended.value.code == 2
    assert said.startswith(f"usage: manage.py {words[0]} {words[1]} [-h]")
    assert says in said


def test_starting_imports_nothing_that_only_signing_in_or_stored_bodies_need(tmp_path):
    """Each takes a part of every command's start: the admin's pages of tokens alone took 40 ms."""
    spared = {"jwt", "rest_framework_simplejwt.settings", "axes.handlers.database", "analytics.masking_rules"}
    code = (
        f"import sys, django; django.setup(); import gateway.urls, routing.runtime; print(*{spared} & set(sys.modules))"
    )
    environment = {**os.environ, "VAR_DIR": str(tmp_path), "DJANGO_SETTINGS_MODULE": "gateway.settings"}
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=settings.BASE_DIR, env=environment, capture_output=True, text=True, check=True
    )
    assert done.stdout.strip() == ""
