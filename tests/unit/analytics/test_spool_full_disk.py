"""The spool on a full disk: what is refused, what waits in memory, what is written once there is room again."""

import pytest

from analytics.spool import Reader, Spool, SpoolError
from tests.unit.analytics.spools import full_disk, read_all, size
from tests.unit.analytics.test_ledger import opened_line, usage_row


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
