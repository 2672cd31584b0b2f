"""Where names may be broken, and that they are escaped whatever they are."""

import pytest
from django.template import Context, Template

from gateway.templatetags import names


@pytest.mark.parametrize(
    ("name", "shown"),
    [
        ("", ""),
        ("laptop", "laptop"),
        ("dogwood-04", "dogwood-<wbr>04"),
        ("api_key.created", "api_<wbr>key.<wbr>created"),
        ("openrouter/z-ai/glm-5", "openrouter/<wbr>z-<wbr>ai/<wbr>glm-<wbr>5"),
        ("./--a", "./--<wbr>a"),
        ("ends-", "ends-"),
        ("Budget 1: 5 USD per day", "Budget 1: 5 USD per day"),
        ("a" * 15, "a" * 12 + "<wbr>aaa"),
    ],
)
def test_a_name_breaks_behind_its_joints_and_within_long_pieces(name, shown):
    assert names.breakable(name) == shown


def test_nothing_in_a_name_becomes_markup():
    template = Template("{% load names %}{{ name|breakable }}")
    assert template.render(Context({"name": "<b>a-b</b>&amp;"})) == "&lt;b&gt;a-<wbr>b&lt;/<wbr>b&gt;&amp;amp;"
