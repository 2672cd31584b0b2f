"""The spool's segments: read in order, deleted when drained, kept while a request in them is open."""

import msgspec
import pytest

from analytics import spool
from analytics.spool import Reader
from tests.unit.analytics.spools import read_all, segments, settled_ids, size
from tests.unit.analytics.test_ledger import opened_line, usage_row


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


class TestLinesInPlace:
    def test_every_line_of_every_segment_and_nothing_is_deleted(self, own, small_segments):
        rows = [usage_row() for _ in range(12)]
        for row in rows:
            own.settled(row)
        before = segments(own.folder)
        assert [line.id for line in spool.lines(own.folder)] == [row.id for row in rows]
        assert (len(before) > 2, segments(own.folder)) == (True, before)

    def test_a_torn_last_line_and_unreadable_ones_are_passed_by(self, own):
        row = usage_row()
        with spool.segment_path(own.folder, 1).open("ab") as file:
            file.write(b"{half\n")
        own.settled(row)
        with spool.segment_path(own.folder, 1).open("ab") as file:
            file.write(b'{"line":"settled"')
        assert [line.id for line in spool.lines(own.folder)] == [row.id]

    def test_segments_that_go_meanwhile_do_not_hide_those_behind_them(self, own, small_segments):
        rows = [usage_row() for _ in range(12)]
        for row in rows:
            own.settled(row)
        first, *between, last = segments(own.folder)
        reading = spool.lines(own.folder)
        ids = [next(reading).id]
        for number in (first, *between):
            spool.segment_path(own.folder, number).unlink()
        ids += [line.id for line in reading]
        assert ids[-1] == rows[-1].id
        assert len(ids) < len(rows)
