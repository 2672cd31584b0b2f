"""The spool: what was written is read back, line by line; once it is closed nothing is written.

Full disks, segments and what other processes left have files of their own.
"""

from decimal import Decimal

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from analytics import spool
from analytics.spool import Reader, Spool, SpoolError
from tests.unit.analytics.spools import read_all, segments, settled_ids
from tests.unit.analytics.test_ledger import EVERY_FIELD, opened_line, usage_row


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
