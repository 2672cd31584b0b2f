"""Bodies on their way from a request to their table: masked, in batches, and dropped rather than waited for."""

import logging
from types import SimpleNamespace

import msgspec
import pytest
from django.db import IntegrityError, OperationalError

from analytics import bodies, ids, projects
from analytics.bodies import Bodies
from analytics.models import Project, RequestBody

pytestmark = pytest.mark.django_db
SAID = b'{"choices":[{"message":{"content":"Hello a@b.org"}}]}'


@pytest.fixture(autouse=True)
def connection_kept(monkeypatch):
    """The transaction of the test is open on the connection that the writer would close."""
    monkeypatch.setattr(bodies, "connection", SimpleNamespace(close=lambda: None))


@pytest.fixture
def project(db):
    return projects.create("lab", actor="tests", stores_bodies=True)


@pytest.fixture
def writer():
    return Bodies(retry_for_s=0.05, pause_s=0.01)


def asked(text="Hi, I am a@b.org"):
    return {"messages": msgspec.Raw(msgspec.json.encode([{"role": "user", "content": text}]))}


def keep(writer, project, **fields):
    request_id = ids.new()
    writer.keep(request_id, **({"project_id": project.pk, "asked": asked(), "said": SAID} | fields))
    return request_id


class TestWriting:
    def test_a_body_is_masked_and_found_under_its_requests_id(self, writer, project):
        request_id = keep(writer, project)
        writer.write_all()
        row = RequestBody.objects.get(pk=request_id)
        assert (row.project, row.at, row.answer) == (project, ids.started_at(request_id), "Hello [e-mail]")
        assert msgspec.json.decode(row.request) == {"messages": [{"role": "user", "content": "Hi, I am [e-mail]"}]}
        assert (row.request_is_cut, row.answer_is_cut, writer.dropped, writer.waiting_bytes) == (False, False, 0, 0)

    def test_many_go_in_few_statements(self, writer, project, django_assert_num_queries):
        for _ in range(bodies.ROWS_AT_ONCE):
            keep(writer, project)
        with django_assert_num_queries(4):  # a savepoint, the projects, the rows, its release
            writer.write_all()
        assert RequestBody.objects.count() == bodies.ROWS_AT_ONCE

    def test_a_project_that_stopped_or_went_meanwhile_has_none_kept(self, writer, project):
        gone = projects.create("gone", actor="tests", stores_bodies=True)
        for one in (project, gone):
            keep(writer, one)
        projects.edit(project, actor="tests", changes={"stores_bodies": False})
        projects.delete(gone, actor="tests")
        writer.write_all()
        assert (RequestBody.objects.count(), writer.dropped) == (0, 0)

    def test_the_same_one_twice_is_one(self, writer, project):
        request_id = keep(writer, project)
        writer.keep(request_id, project_id=project.pk, asked=asked(), said=None)
        writer.write_all()
        assert RequestBody.objects.get().answer == "Hello [e-mail]"

    def test_one_that_cannot_be_read_costs_no_other(self, writer, project, caplog):
        caplog.set_level(logging.WARNING, logger="analytics.bodies")
        keep(writer, project, asked={"messages": msgspec.Raw(b'["my secret words')})
        request_id = keep(writer, project)
        writer.write_all()
        assert (RequestBody.objects.get().pk, writer.dropped) == (request_id, 1)
        assert "secret words" not in caplog.text
        assert "DecodeError" in caplog.text


class TestTheQueue:
    def test_what_does_not_fit_is_dropped_and_counted(self, writer, project, monkeypatch):
        monkeypatch.setattr(bodies, "MOST_WAITING_BYTES", 250)
        for _ in range(5):
            keep(writer, project)
        assert writer.dropped == 3
        assert 0 < writer.waiting_bytes <= 250
        writer.write_all()
        assert (RequestBody.objects.count(), writer.waiting_bytes) == (2, 0)

    def test_nor_more_than_so_many(self, writer, project, monkeypatch):
        monkeypatch.setattr(bodies, "MOST_WAITING", 1)
        for _ in range(3):
            keep(writer, project)
        assert writer.dropped == 2

    def test_it_never_raises(self, writer, project, caplog):
        caplog.set_level(logging.CRITICAL, logger="analytics.bodies")
        keep(writer, project, asked=None)
        assert writer.dropped == 1


class TestTheDatabaseAway:
    @pytest.fixture
    def away(self, monkeypatch, caplog):
        """Fails so many times, and then writes."""
        caplog.set_level(logging.CRITICAL, logger="analytics.bodies")
        insert = bodies._insert
        told = SimpleNamespace(failures=0, error=OperationalError("a@b.org is in the way"))

        def failing(rows):
            if told.failures:
                told.failures -= 1
                raise told.error
            insert(rows)

        monkeypatch.setattr(bodies, "_insert", failing)
        return told

    @pytest.mark.parametrize("error", [OperationalError("away"), IntegrityError("its project went")])
    def test_it_is_tried_again_for_a_while(self, writer, project, away, error):
        away.failures, away.error = 2, error
        keep(writer, project)
        writer.write_all()
        assert (RequestBody.objects.count(), writer.dropped) == (1, 0)

    def test_then_dropped_counted_and_told_once_without_a_word_of_it(self, writer, project, away, caplog):
        caplog.set_level(logging.WARNING, logger="analytics.bodies")
        away.failures = 10_000
        for _ in range(2):
            keep(writer, project)
            writer.write_all()
        assert (RequestBody.objects.count(), writer.dropped, writer.waiting_bytes) == (0, 2, 0)
        assert ["OperationalError" in line for line in caplog.messages] == [True]
        assert "a@b.org" not in caplog.text

    def test_what_the_database_refuses_is_not_tried_again(self, writer, project, away):
        away.failures, away.error = 1, ValueError("a@b.org")
        keep(writer, project)
        writer.write_all()
        assert (RequestBody.objects.count(), writer.dropped) == (0, 1)


class TestTheThread:
    @pytest.fixture
    def written(self, monkeypatch):
        """Another connection than the test's would wait for its transaction."""
        rows = []
        monkeypatch.setattr(bodies, "_insert", rows.extend)
        return rows

    def test_its_stop_writes_what_waits(self, writer, project, written):
        for _ in range(50):
            keep(writer, project)
        writer.start()
        assert writer.stop(timeout_s=5.0)
        assert (len(written), writer.waiting_bytes, writer.is_alive()) == (50, 0, False)

    def test_without_a_database_its_stop_does_not_wait(self, project, monkeypatch, caplog):
        caplog.set_level(logging.CRITICAL, logger="analytics.bodies")
        writer = Bodies(retry_for_s=60, pause_s=60)

        def away(rows):
            raise OperationalError

        monkeypatch.setattr(bodies, "_insert", away)
        for _ in range(50):
            keep(writer, project)
        writer.start()
        assert writer.stop(timeout_s=5.0)
        assert (writer.dropped, writer.waiting_bytes) == (50, 0)

    def test_one_that_never_began_is_over_at_once(self, writer):
        assert writer.stop(timeout_s=0.1)


def test_a_projects_bodies_go_with_it_unread(project, writer, theirs, django_assert_max_num_queries):
    other = theirs.project
    projects.edit(other, actor="tests", changes={"stores_bodies": True})
    for one in (project, project, other):
        keep(writer, one)
    writer.write_all()
    with django_assert_max_num_queries(14) as asked_for:
        projects.delete(project, actor="tests")
    assert not any("SELECT" in query["sql"] and "requestbody" in query["sql"] for query in asked_for.captured_queries)
    assert RequestBody.objects.get().project == other
    Project.objects.filter(pk=project.pk).delete()


def test_the_admin_asks_about_a_project_without_naming_its_bodies(admin_client, project, writer):
    request_id = keep(writer, project)
    writer.write_all()
    page = f"/admin/analytics/project/{project.pk}/delete/"
    assert str(request_id) not in admin_client.get(page).content.decode()
    assert admin_client.post(page, {"post": "yes"}).status_code == 302
    assert not RequestBody.objects.exists()
