"""The spool: what was written is read back, whatever happens to the process, the disk or the other readers."""

import os
import resource
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from decimal import Decimal
from pathlib import Path

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from analytics import spool
from analytics.spool import Reader, Spool, SpoolError
from analytics.types import UsageRow
from tests.unit.analytics.test_ledger import EVERY_FIELD, opened_line, usage_row

ROOT = Path(__file__).resolve().parents[3]


@pytest.fixture
def own(tmp_path):
    own = Spool(tmp_path / "spool")
    yield own
    own.close()


@pytest.fixture
def small_segments(monkeypatch):
    monkeypatch.setattr(spool, "SEGMENT_BYTES", 1500)


@contextmanager
def full_disk(*, after_bytes=0) -> Iterator[None]:
    """No file may grow beyond `after_bytes` meanwhile."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (after_bytes, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


def segments(folder):
    return sorted(int(path.stem) for path in folder.glob("*.jsonl"))


def size(folder):
    return sum(path.stat().st_size for path in folder.glob("*.jsonl"))


def read_all(reader):
    """Every line the reader has before it, accepted."""
    lines, unreadable = [], []
    while (batch := reader.next_batch()) is not None:
        lines += batch.lines
        unreadable += batch.unreadable
        reader.accept(batch)
    return lines, unreadable


def settled_ids(reader):
    return [line.id for line in read_all(reader)[0] if isinstance(line, UsageRow)]


class TestRoundTrip:
    def test_every_field_comes_back_exactly(self, own):
        opened, settled = opened_line(key_id=None, session="s", is_stream=True), usage_row(**EVERY_FIELD)
        own.opened(opened)
        own.settled(settled)
        assert read_all(Reader(own.folder))[0] == [opened, settled]

    @pytest.mark.parametrize("text", ["a\nb\r\nc", "\u2028", '"\\', "日本語 😀", "\x1f\x7f"])
    def test_no_text_can_break_a_line(self, own, text):
        row = usage_row(key_name=text, decision=msgspec.Raw(msgspec.json.encode({"x": text})))
        own.settled(row)
        assert read_all(Reader(own.folder))[0] == [row]

    def test_a_cost_keeps_its_last_digit(self, own):
        own.settled(usage_row(cost_usd=Decimal("1234567890.0123456789")))
        assert read_all(Reader(own.folder))[0][0].cost_usd == Decimal("1234567890.0123456789")

    def test_what_is_accepted_is_not_read_again(self, own):
        reader = Reader(own.folder)
        own.settled(usage_row())
        read_all(reader)
        later = usage_row()
        own.settled(later)
        assert settled_ids(reader) == [later.id]

    def test_what_is_not_accepted_is_read_again(self, own):
        own.settled(usage_row())
        reader = Reader(own.folder)
        assert reader.next_batch() == reader.next_batch()

    def test_an_empty_spool_has_no_batch(self, own):
        assert Reader(own.folder).next_batch() is None

    def test_it_can_be_asked_for_power_loss_safety(self, tmp_path):
        own = Spool(tmp_path / "spool", fsync=True)
        own.settled(usage_row())
        assert len(read_all(Reader(own.folder))[0]) == 1
        own.close()

    def test_nobody_else_may_read_it(self, own):
        assert (own.folder.stat().st_mode & 0o077, spool.segment_path(own.folder, 1).stat().st_mode & 0o077) == (0, 0)


class TestTornLines:
    def test_a_torn_last_line_waits_for_its_end(self, own):
        row = usage_row()
        own.settled(usage_row())
        own.settled(row)
        path = spool.segment_path(own.folder, 1)
        whole = path.read_bytes()
        path.write_bytes(whole[:-20])
        reader = Reader(own.folder)
        assert len(read_all(reader)[0]) == 1
        path.write_bytes(whole)
        assert settled_ids(reader) == [row.id]

    @given(st.integers(0, 3000), st.integers(60, 3000))
    @settings(max_examples=20, deadline=None)
    def test_a_reader_that_sees_a_growing_file_sees_each_line_once(self, tmp_path_factory, start, step):
        own = Spool(tmp_path_factory.mktemp("spool"))
        rows = [usage_row() for _ in range(5)]
        for row in rows:
            own.settled(row)
        path = spool.segment_path(own.folder, 1)
        whole = path.read_bytes()
        reader, seen = Reader(own.folder), []
        for end in [*range(start % step, len(whole), step), len(whole)]:
            path.write_bytes(whole[:end])
            seen += settled_ids(reader)
        own.close()
        assert seen == [row.id for row in rows]

    def test_a_line_that_cannot_be_read_is_told_and_the_rest_is_read(self, own):
        own.settled(usage_row())
        with spool.segment_path(own.folder, 1).open("ab") as file:
            file.write(b'{"line":"set\n\xff\xfe\n{}\n')
        later = usage_row()
        own.settled(later)
        lines, unreadable = read_all(Reader(own.folder))
        assert lines[1:] == [later]
        assert unreadable == [b'{"line":"set', b"\xff\xfe", b"{}"]

    def test_a_line_longer_than_a_batch_is_read_whole(self, own, monkeypatch):
        monkeypatch.setattr(spool, "BATCH_BYTES", 100)
        rows = [usage_row(), usage_row()]
        for row in rows:
            own.settled(row)
        assert settled_ids(Reader(own.folder)) == [row.id for row in rows]


class TestFullDisk:
    def test_an_opened_line_that_cannot_be_written_is_an_error(self, own):
        with full_disk(), pytest.raises(SpoolError, match="Cannot write to"):
            own.opened(opened_line())

    def test_half_a_line_does_not_stay(self, own):
        own.settled(usage_row())
        before = size(own.folder)
        with full_disk(after_bytes=before + 100), pytest.raises(SpoolError):
            own.opened(opened_line())
        assert size(own.folder) == before

    def test_what_is_written_once_there_is_room_again_is_read(self, own):
        first, last = usage_row(), usage_row()
        own.settled(first)
        with full_disk(after_bytes=size(own.folder) + 100), pytest.raises(SpoolError):
            own.opened(opened_line())
        own.settled(last)
        lines, unreadable = read_all(Reader(own.folder))
        assert (lines, unreadable) == ([first, last], [])

    def test_a_settled_row_waits_in_memory(self, own):
        row = usage_row()
        with full_disk():
            own.settled(row)
        assert own.take_unwritten() == [row]
        assert own.take_unwritten() == []
        assert Reader(own.folder).next_batch() is None

    def test_a_row_in_memory_is_written_once_there_is_room_again(self, own):
        row = usage_row()
        with full_disk():
            own.settled(row)
            assert own.write_again() == [row]
        assert own.write_again() == []
        assert read_all(Reader(own.folder))[0] == [row]

    def test_a_row_in_memory_is_not_written_where_nobody_would_read_it(self, own):
        row = usage_row()
        with full_disk():
            own.settled(row)
        spool.remove_folder(own.folder)
        assert own.write_again() == [row]

    def test_a_row_that_reached_the_database_waits_no_more(self, own):
        rows = [usage_row(), usage_row()]
        with full_disk():
            for row in rows:
                own.settled(row)
        own.forget(rows[:1])
        assert own.take_unwritten() == rows[1:]

    def test_it_says_that_it_is_not_writable(self, own):
        assert own.is_writable()
        with full_disk():
            assert not own.is_writable()
        assert own.is_writable()

    def test_asking_whether_it_is_writable_leaves_nothing_to_read(self, own):
        own.is_writable()
        row = usage_row()
        own.settled(row)
        assert read_all(Reader(own.folder))[0] == [row]

    def test_a_folder_that_cannot_be_made_is_an_error(self, tmp_path):
        (tmp_path / "file").write_text("in the way")
        with pytest.raises(SpoolError, match="Cannot write to"):
            Spool(tmp_path / "file" / "spool")


class TestClosed:
    @pytest.fixture(params=["closed", "removed"])
    def closed(self, request, tmp_path):
        closed = Spool(tmp_path / "spool")
        closed.close() if request.param == "closed" else closed.remove()
        return closed

    def test_a_late_row_stays_in_memory_and_is_told(self, closed, caplog):
        late = usage_row()
        closed.settled(late)
        assert closed.write_again() == [late]
        assert str(late.id) in caplog.text

    def test_a_late_row_never_lands_in_another_file(self, closed, tmp_path):
        paths = [tmp_path / f"other{number}" for number in range(5)]
        others = [path.open("wb") for path in paths]
        closed.settled(usage_row())
        for other in others:
            other.close()
        assert [path.stat().st_size for path in paths] == [0] * 5

    def test_a_late_row_opens_no_segment(self, closed, monkeypatch):
        before = segments(closed.folder)
        monkeypatch.setattr(spool, "SEGMENT_BYTES", -1)
        closed.settled(usage_row())
        assert segments(closed.folder) == before

    def test_no_upstream_may_be_called_any_more(self, closed):
        assert not closed.is_writable()
        with pytest.raises(SpoolError, match="Cannot write to"):
            closed.opened(opened_line())

    def test_closing_again_closes_nobody_elses_file(self, closed, tmp_path):
        with (tmp_path / "other").open("wb") as other:
            closed.close()
            closed.remove()
            other.write(b"x")


@pytest.mark.usefixtures("small_segments")
class TestSegments:
    def test_a_segment_that_has_grown_is_followed_by_another(self, own):
        for _ in range(6):
            own.settled(usage_row())
        assert len(segments(own.folder)) > 2

    def test_lines_are_read_in_order_across_segments(self, own):
        rows = [usage_row() for _ in range(12)]
        for row in rows:
            own.settled(row)
        assert settled_ids(Reader(own.folder)) == [row.id for row in rows]

    def test_what_is_drained_is_deleted_but_for_the_segment_in_use(self, own):
        for _ in range(12):
            own.settled(usage_row())
        last = segments(own.folder)[-1]
        read_all(Reader(own.folder))
        assert segments(own.folder) == [last]

    def test_a_segment_with_an_open_request_stays_until_it_is_settled(self, own):
        reader = Reader(own.folder)
        open_one = opened_line()
        own.opened(open_one)
        for _ in range(12):
            own.settled(usage_row())
        read_all(reader)
        assert segments(own.folder)[0] == 1
        assert reader.still_open == [open_one]
        own.settled(usage_row(id=open_one.id))
        read_all(reader)
        assert 1 not in segments(own.folder)
        assert reader.still_open == []

    def test_the_latest_opened_line_of_a_request_is_the_one_that_counts(self, own):
        reader = Reader(own.folder)
        first = opened_line(model="cheap")
        second = msgspec.structs.replace(first, model="dear", attempts=2)
        own.opened(first)
        own.opened(second)
        read_all(reader)
        assert reader.still_open == [second]

    def test_a_request_settled_without_a_line_holds_no_segment(self, own):
        reader = Reader(own.folder)
        open_one = opened_line()
        own.opened(open_one)
        read_all(reader)
        reader.forget([usage_row(id=open_one.id)])
        for _ in range(6):
            own.settled(usage_row())
        read_all(reader)
        assert (reader.still_open, 1 in segments(own.folder)) == ([], False)

    def test_a_last_line_written_while_the_reader_looks_for_the_next_segment_is_read(self, own, monkeypatch):
        rows = [usage_row() for _ in range(3)]

        class Interrupted(Reader):
            """Its folder's owner writes on after the first of the two looks, whichever that is."""

            is_watched = False

            def _has_successor(self):
                return self._then_the_owner_writes(super()._has_successor())

            def _read_lines(self):
                return self._then_the_owner_writes(super()._read_lines())

            def _then_the_owner_writes(self, seen):
                if self.is_watched:
                    self.is_watched = False
                    own.settled(rows[1])
                    own.settled(rows[2])
                return seen

        own.settled(rows[0])
        reader = Interrupted(own.folder)
        assert settled_ids(reader) == [rows[0].id]
        monkeypatch.setattr(spool, "SEGMENT_BYTES", size(own.folder))
        reader.is_watched = True
        assert settled_ids(reader) == [rows[1].id, rows[2].id]
        assert segments(own.folder) == [2]

    @pytest.mark.parametrize("drained", [2, 5, 11])
    def test_whoever_adopts_a_spool_reads_on_where_segments_were_deleted(self, own, drained):
        rows = [usage_row() for _ in range(12)]
        first = Reader(own.folder)
        for row in rows[:drained]:
            own.settled(row)
        read_all(first)
        for row in rows[drained:]:
            own.settled(row)
        assert set(settled_ids(Reader(own.folder))) >= {row.id for row in rows[drained:]}

    def test_a_request_open_when_segments_were_deleted_is_found_open(self, own):
        for _ in range(12):
            own.settled(usage_row())
        read_all(Reader(own.folder))
        open_one = opened_line()
        own.opened(open_one)
        adopter = Reader(own.folder)
        read_all(adopter)
        assert adopter.still_open == [open_one]


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
