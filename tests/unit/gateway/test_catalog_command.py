from __future__ import annotations

import errno
import io
import json
from pathlib import Path

import pytest
from django.core.management import call_command

from providers.models import Provider
from routing import catalog
from tests.unit.routing.test_catalog_rows import TEXT, load

pytestmark = pytest.mark.django_db


class TestCommand:
    def test_loads_the_shipped_catalog_by_default(self, capsys):
        call_command("catalog", "load")
        assert Provider.objects.count() == len(catalog.read(catalog.SHIPPED).providers)
        assert "changes made." in capsys.readouterr().out

    def test_diff_exits_with_3_when_a_load_would_change_something_and_0_when_not(self, tmp_path):
        file = tmp_path / "mine.toml"
        file.write_text(TEXT)
        assert run("diff", str(file)) == 3
        assert run("load", str(file)) == 0
        assert run("diff", str(file)) == 0

    def test_tells_changes_as_json(self, tmp_path, capsys):
        file = tmp_path / "mine.toml"
        file.write_text(TEXT)
        run("diff", str(file), "--json")
        first = json.loads(capsys.readouterr().out)[0]
        assert first == {"action": "create", "kind": "layer", "target": "L0", "field": "", "before": "", "after": ""}

    def test_what_it_dumps_can_be_piped_into_it(self, monkeypatch, capsys):
        load()
        run("dump")
        monkeypatch.setattr("sys.stdin", io.StringIO(capsys.readouterr().out))
        assert run("diff", "-") == 0

    def test_it_dumps_into_a_file_over_what_is_there(self, tmp_path, capsys):
        load()
        run("dump")
        text = capsys.readouterr().out
        file, link = tmp_path / "backup.toml", tmp_path / "latest.toml"
        file.write_text("an older one")
        link.symlink_to(file)
        assert run("dump", str(link)) == 0
        assert (file.read_text(), capsys.readouterr().out) == (text, f"Wrote {link}.\n")
        assert sorted(tmp_path.iterdir()) == [file, link]
        assert link.is_symlink()

    def test_a_file_it_cannot_write_whole_stays_as_it_was(self, tmp_path, capsys, monkeypatch):
        load()
        file = tmp_path / "backup.toml"
        file.write_text("an older one")
        monkeypatch.setattr(Path, "replace", lambda *_: (_ for _ in ()).throw(OSError(errno.ENOSPC, "No space left")))
        assert run("dump", str(file)) == 1
        assert capsys.readouterr().err == f"catalog: Cannot write {file}: No space left.\n"
        assert (file.read_text(), list(tmp_path.iterdir())) == ("an older one", [file])

    @pytest.mark.parametrize(("inside", "says"), [("", "Is a directory"), ("nowhere/backup.toml", "No such file")])
    def test_a_place_it_cannot_write_is_one_sentence(self, tmp_path, capsys, inside, says):
        load()
        assert run("dump", str(tmp_path / inside)) == 1
        assert says in capsys.readouterr().err

    @pytest.mark.parametrize("file", ["-", "/dev/null"])
    def test_it_dumps_where_no_file_can_be(self, file):
        load()
        assert run("dump", file) == 0
        assert not Path("/dev/null").is_file()

    @pytest.mark.parametrize(
        ("text", "says"),
        [
            (TEXT.replace("priority", "prority"), 'line 24: provider "acme", model "acme/large:v1": unknown key'),
            ("version = ", "line 1: not TOML"),
            (None, "No such file"),
        ],
    )
    def test_a_file_it_cannot_use_is_one_sentence_and_exit_status_1(self, tmp_path, capsys, text, says):
        file = tmp_path / "mine.toml"
        if text is not None:
            file.write_text(text)
        assert run("load", str(file)) == 1
        (line,) = capsys.readouterr().err.splitlines()
        assert line.startswith("catalog: ")
        assert says in line

    def test_dumping_an_empty_database_is_an_error(self, capsys):
        assert run("dump") == 1
        assert capsys.readouterr().err == "catalog: database: holds no policy yet; load a catalog first\n"


def run(*words: str) -> int:
    """The command's exit status."""
    try:
        call_command("catalog", *words)
    except SystemExit as ended:
        return int(ended.code or 0)
    return 0
