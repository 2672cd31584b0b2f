"""What processes leave behind: spools half made, abandoned or in use, and who may take them over."""

import os
import subprocess
import sys
from pathlib import Path

import msgspec

from analytics import spool
from analytics.spool import Reader, Spool
from tests.unit.analytics.spools import read_all
from tests.unit.analytics.test_ledger import opened_line, usage_row

ROOT = Path(__file__).resolve().parents[3]


class TestHalfMade:
    def test_an_old_one_is_deleted_and_a_new_one_is_not(self, tmp_path):
        for name in (".old", ".new"):
            (tmp_path / name).mkdir()
        os.utime(tmp_path / ".old", (0, 0))
        spool.remove_half_made(tmp_path)
        assert [path.name for path in tmp_path.iterdir()] == [".new"]

    def test_one_given_its_name_meanwhile_disturbs_nobody(self, tmp_path, monkeypatch):
        for name in (".a", ".b"):
            (tmp_path / name).mkdir()
            os.utime(tmp_path / name, (0, 0))
        look = Path.is_dir

        def is_dir(path, **kwargs):
            seen = look(path, **kwargs)
            if path.name == ".a" and seen:
                path.rename(tmp_path / "named")
            return seen

        monkeypatch.setattr(Path, "is_dir", is_dir)
        spool.remove_half_made(tmp_path)
        assert [path.name for path in tmp_path.iterdir()] == ["named"]


class TestRemoved:
    def test_by_a_process_that_is_killed_meanwhile_it_is_hidden_and_goes_later(self, tmp_path, monkeypatch):
        left = Spool(tmp_path)
        left.settled(usage_row())
        left.close()
        with monkeypatch.context() as killed:
            killed.setattr(spool.shutil, "rmtree", lambda folder, **_: (folder / spool.LOCK).unlink())
            spool.remove_folder(left.folder)
        (hidden,) = tmp_path.iterdir()
        assert hidden.name.startswith(".")
        os.utime(hidden, (0, 0))
        spool.remove_half_made(tmp_path)
        assert list(tmp_path.iterdir()) == []


class TestAbandoned:
    def folders(self, root):
        """What a process that looks once finds; it keeps the locks until it is done."""
        found = list(spool.abandoned(root))
        for _, lock in found:
            os.close(lock)
        return [folder for folder, _ in found]

    def test_a_spool_in_use_is_not(self, own):
        assert self.folders(own.folder.parent) == []

    def test_a_closed_one_with_rows_in_it_is(self, tmp_path):
        left = Spool(tmp_path)
        left.settled(usage_row())
        left.close()
        assert self.folders(tmp_path) == [left.folder]

    def test_a_removed_one_is_gone(self, tmp_path):
        left = Spool(tmp_path)
        left.remove()
        assert (self.folders(tmp_path), list(tmp_path.iterdir())) == ([], [])

    def test_nothing_is_found_where_there_is_no_folder_at_all(self, tmp_path):
        assert self.folders(tmp_path / "spool") == []

    def test_other_files_and_folders_are_left_alone(self, tmp_path):
        (tmp_path / "rejected.jsonl").write_text("x")
        (tmp_path / "without-lock").mkdir()
        (tmp_path / ".hidden").mkdir()
        assert self.folders(tmp_path) == []

    def test_only_one_of_two_readers_gets_it(self, tmp_path):
        Spool(tmp_path).close()
        first, second = spool.abandoned(tmp_path), spool.abandoned(tmp_path)
        folder, lock = next(first)
        assert next(second, None) is None
        os.close(lock)
        assert self.folders(tmp_path) == [folder]

    def test_one_that_another_reader_has_just_removed_is_not_there_any_more(self, tmp_path):
        Spool(tmp_path).close()
        Spool(tmp_path).close()
        second = spool.abandoned(tmp_path)
        _, lock = next(second)
        os.close(lock)
        for folder, taken in spool.abandoned(tmp_path):
            spool.remove_folder(folder)
            os.close(taken)
        assert list(second) == []

    def test_a_process_that_was_killed_leaves_every_line_it_wrote(self, tmp_path):
        program = (
            "import os, signal, sys\n"
            "from pathlib import Path\n"
            "import msgspec\n"
            "from analytics.spool import Spool\n"
            "from analytics.types import Opened\n"
            "spool = Spool(Path(sys.argv[1]))\n"
            "spool.opened(msgspec.json.decode(sys.argv[2], type=Opened))\n"
            "os.kill(os.getpid(), signal.SIGKILL)\n"
        )
        line = opened_line()
        command = [sys.executable, "-c", program, str(tmp_path), msgspec.json.encode(line).decode()]
        assert subprocess.run(command, cwd=ROOT, check=False).returncode == -9
        ((folder, lock),) = spool.abandoned(tmp_path)
        reader = Reader(folder)
        read_all(reader)
        os.close(lock)
        assert reader.still_open == [line]
