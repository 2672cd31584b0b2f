"""`/v1/admin/keys`: lists, and a key that is shown once."""

from datetime import UTC, datetime, timedelta

import pytest

from analytics import keys
from analytics.models import ApiKey, AuditEntry
from tests.unit.gateway.conftest import bearing

pytestmark = pytest.mark.django_db


class TestMake:
    def test_a_key_is_shown_once_and_works(self, us):
        answer = us.answer("post", "keys", {"name": "new", "scopes": ["admin"]})
        made = answer.json()
        assert (answer.status_code, answer.headers["Cache-Control"]) == (201, "no-store")
        assert (made["object"], made["name"], made["project"]) == ("api_key", "new", "default")
        assert bearing(made["key"])("get", "keys")[0] == 200
        for path in ("keys", f"keys/{made['id']}"):
            assert made["key"] not in us.answer("get", path).content.decode()
        assert made["key"] not in str(list(AuditEntry.objects.values()))

    def test_every_field_is_kept(self, us):
        given = {"name": "bot", "project": "default", "scopes": ["chat"], "allowed_models": ["gpt-*"],
                 "allowed_layers": ["L0"], "allowed_endpoints": ["/v1/chat/*"], "allowed_networks": ["10.0.0.0/8"],
                 "requests_per_minute": 60, "tokens_per_minute": 5000, "concurrent_requests": 2,
                 "expires_at": "2040-01-01T02:00:00+02:00", "enabled": False}  # fmt: skip
        made = us("post", "keys", **given)[1]
        assert {name: made[name] for name in given if name not in ("expires_at", "enabled")} == {
            name: value for name, value in given.items() if name not in ("expires_at", "enabled")
        }
        row = ApiKey.objects.get(pk=made["id"])
        assert (row.expires_at, row.enabled, made["state"]) == (datetime(2040, 1, 1, tzinfo=UTC), False, "disabled")
        assert made["warnings"][0].startswith("No model matches")

    def test_a_superuser_names_the_project(self, root, theirs):
        assert root("post", "keys", name="new", project="theirs")[1]["project"] == "theirs"
        assert root("post", "keys", name="new")[1]["project"] == "default"

    def test_a_name_that_is_taken_is_told_at_name(self, us):
        words = "A key named 'first' already exists in default; choose another name."
        assert us.refused("post", "keys", name="first") == (400, "name", words)

    @pytest.mark.parametrize(
        ("fields", "field", "says"),
        [
            ({"name": None}, "name", "Use a text."),
            ({"name": 5}, "name", "Use a text."),
            ({"name": ""}, "name", "cannot be blank"),
            ({"requests_per_minute": "5"}, "requests_per_minute", "Use a whole number."),
            ({"requests_per_minute": True}, "requests_per_minute", "Use a whole number."),
            ({"tokens_per_minute": 1.0}, "tokens_per_minute", "Use a whole number."),
            ({"concurrent_requests": -1}, "concurrent_requests", "greater than or equal to 1"),
            ({"concurrent_requests": 10**40}, "concurrent_requests", "less than or equal to"),
            ({"enabled": 1}, "enabled", "Use true or false."),
            ({"enabled": "true"}, "enabled", "Use true or false."),
            ({"enabled": None}, "enabled", "Use true or false."),
            ({"scopes": None}, "scopes", "Scopes are a list out of"),
            ({"scopes": ["root"]}, "scopes", "Scopes are a list out of"),
            ({"allowed_models": False}, "allowed_models", "Use a list of patterns"),
            ({"allowed_models": {}}, "allowed_models", "Use a list of patterns"),
            ({"allowed_layers": "L0"}, "allowed_layers", "Use a list of patterns"),
            ({"allowed_endpoints": [1]}, "allowed_endpoints", "Use a list of paths"),
            ({"allowed_networks": ["10.0.0.1/8"]}, "allowed_networks", "write 10.0.0.0/8 for the network"),
            ({"expires_at": "2040-01-01T00:00:00"}, "expires_at", "with its time zone"),
            ({"expires_at": "2040-13-01T00:00:00Z"}, "expires_at", "with its time zone"),
            ({"expires_at": 2_000_000_000}, "expires_at", "with its time zone"),
            ({"expires_at": "2020-01-01T00:00:00Z"}, "expires_at", "This lies in the past."),
            ({"owner": "nobody"}, "owner", "There is no user 'nobody'."),
            ({"owner": 1}, "owner", "Use a text."),
            ({"owner": "a\0b"}, "owner", "Use no control characters"),
            ({"project": 1}, "project", "Use a text."),
            ({"prefix": "agw_"}, "prefix", "There is no field 'prefix': use name, project"),
            ({"key_hash": "x"}, "key_hash", "There is no field 'key_hash'"),
        ],
    )
    def test_what_is_wrong_is_told_at_its_field(self, us, fields, field, says):
        status, param, words = us.refused("post", "keys", {"name": "new"} | fields)
        assert (status, param) == (400, field)
        assert says in words
        assert ApiKey.objects.count() == 2

    def test_several_mistakes_are_told_at_once(self, us):
        error = us("post", "keys", name="", requests_per_minute="5")[1]["error"]
        assert error["param"] in ("name", "requests_per_minute")
        assert set(error["gateway"]["fields"]) == {"name", "requests_per_minute"}

    @pytest.mark.parametrize("body", ["[]", "{", '{"name": NaN}', '"x"', '{"name": "\\ud800"}', b"\xff"])
    def test_what_is_no_json_object_is_refused(self, us, body):
        assert us("post", "keys", body)[0] == 400
        assert ApiKey.objects.count() == 2

    def test_a_body_that_is_too_large_is_refused(self, us, settings):
        settings.DATA_UPLOAD_MAX_MEMORY_SIZE = 10
        assert us("post", "keys", name="x" * 20)[0] == 413


class TestList:
    @pytest.fixture
    def ids(self, us, ours):
        for number in range(4):
            keys.create(f"k{number}", actor="tests", project=ours.project)
        return list(ApiKey.objects.order_by("id").values_list("id", flat=True))

    def test_pages_follow_one_another(self, us, ids):
        seen, after = [], ""
        while True:
            page = us("get", f"keys?limit=4{after}")[1]
            seen += [row["id"] for row in page["data"]]
            assert (page["object"], page["first_id"]) == ("list", page["data"][0]["id"])
            if not page["has_more"]:
                break
            ApiKey.objects.filter(pk=page["last_id"]).delete()  # meanwhile
            after = f"&after={page['last_id']}"
        assert seen == ids

    def test_an_empty_page_ends_a_list(self, us, ids):
        page = us("get", f"keys?after={ids[-1]}")[1]
        assert (page["data"], page["last_id"], page["has_more"]) == ([], None, False)

    def test_a_state_or_a_project_alone(self, root, ids, theirs):
        ApiKey.objects.filter(pk=ids[0]).update(enabled=False)
        ApiKey.objects.filter(pk=ids[1]).update(expires_at=datetime.now(UTC) - timedelta(days=1))

        def found(query):
            return [row["id"] for row in root("get", f"keys?{query}")[1]["data"]]

        assert found("state=disabled") == ids[:1]
        assert found("state=expired") == ids[1:2]
        assert found("project=theirs&state=active") == [theirs.key.pk]

    @pytest.mark.parametrize(
        ("query", "field"),
        [("limit=0", "limit"), ("limit=101", "limit"), ("limit=x", "limit"), ("after=x", "after"),
         ("after=-1", "after"), ("state=odd", "state"), ("sort=name", "sort"), ("project=%00", "project"),
         ("limit=1&limit=2", "limit"), ("state=active&state=active", "state")],
    )  # fmt: skip
    def test_a_wrong_parameter_is_named(self, us, query, field):
        assert us.refused("get", f"keys?{query}")[:2] == (400, field)

    def test_it_takes_as_many_queries_for_many(self, us, ids, django_assert_max_num_queries):
        us("get", "keys")
        with django_assert_max_num_queries(20):  # most of them the snapshot's
            us("get", "keys")
