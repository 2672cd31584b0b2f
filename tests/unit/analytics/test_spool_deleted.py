"""A spool whose folder somebody deletes or moves while it is in use: nothing of it is lost."""

import os
import shutil

import pytest

from analytics import spool
from analytics.spool import Reader, SpoolError
from tests.unit.analytics.spools import full_disk, read_all, size
from tests.unit.analytics.test_ledger import opened_line, usage_row


@pytest.fixture
def in_the_way(own):
    """The spool's folder is gone, and its place is taken."""
    root = own.folder.parent
    shutil.rmtree(root)
    root.write_text("in the way")
    return root


class TestNotices:
    def test_that_it_is_there(self, own):
        assert not own.is_deleted()

    def test_that_it_was_deleted(self, own):
        shutil.rmtree(own.folder)
        assert own.is_deleted()

    def test_that_it_was_moved(self, own, tmp_path):
        own.folder.rename(tmp_path / "elsewhere")
        assert own.is_deleted()

    def test_that_another_file_stands_in_its_place(self, own):
        (segment,) = own.folder.glob("*.jsonl")
        segment.unlink()
        segment.write_text("")
        assert own.is_deleted()

    def test_nothing_once_it_is_closed(self, own):
        own.close()
        shutil.rmtree(own.folder)
        assert not own.is_deleted()


class TestMoves:
    def test_with_what_it_held_and_what_came_since(self, own):
        before, since, after = usage_row(), usage_row(), usage_row()
        own.settled(before)
        shutil.rmtree(own.folder)
        own.settled(since)
        own.move([])
        own.settled(after)
        assert read_all(Reader(own.folder)) == ([before, since, after], [])
        assert not own.is_deleted()

    def test_with_the_requests_opened_in_segments_that_are_gone(self, own, small_segments):
        reader, open_one = Reader(own.folder), opened_line()
        own.opened(open_one)
        for _ in range(5):
            own.settled(usage_row())
        read_all(reader)
        shutil.rmtree(own.folder)
        own.move(reader.still_open)
        moved = Reader(own.folder)
        read_all(moved)
        assert moved.still_open == [open_one]

    def test_and_leaves_nothing_that_looks_abandoned_while_it_is_in_use(self, own):
        """Else the requests it has open would be settled as those of a process that died."""
        own.opened(opened_line())
        own.folder.rename(own.folder.with_name("by-hand"))
        own.move([])
        assert list(spool.abandoned(own.folder.parent)) == []
        own.close()
        found = list(spool.abandoned(own.folder.parent))
        for _, lock in found:
            os.close(lock)
        assert len(found) == 2

    def test_and_counts_what_it_wrote_there(self, own):
        own.settled(usage_row())
        shutil.rmtree(own.folder)
        own.move([])
        before = size(own.folder)
        with full_disk(after_bytes=before + 100), pytest.raises(SpoolError):
            own.opened(opened_line())
        assert size(own.folder) == before

    def test_nowhere_while_no_folder_can_be_made(self, own, in_the_way):
        with pytest.raises(OSError):
            own.move([])
        with pytest.raises(SpoolError):
            own.opened(opened_line())
        assert not own.is_writable()

    def test_once_one_can_with_what_was_settled_meanwhile(self, own, in_the_way):
        with pytest.raises(OSError):
            own.move([])
        meanwhile, opened = usage_row(), opened_line()
        own.settled(meanwhile)
        in_the_way.unlink()
        own.move([])
        own.opened(opened)
        assert read_all(Reader(own.folder)) == ([meanwhile, opened], [])
