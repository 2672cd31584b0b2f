"""Every column of what all projects share can be set by its service, or is said to stay."""

import pytest

from providers.models import Model, Provider
from routing import candidate_rows, layer_rows, model_rows, policy_rows, vendor_rows
from routing.models import Candidate, Layer, Policy

BY_ITSELF = {"id", "created_at", "updated_at"}


@pytest.mark.parametrize(
    ("table", "settable"),
    [
        (Provider, {*vendor_rows.EDITABLE, *vendor_rows.FIXED}),
        (Model, {*model_rows.EDITABLE, *model_rows.FIXED}),
        (Layer, {*layer_rows.EDITABLE}),
        (Candidate, {*candidate_rows.EDITABLE, "layer", "model"}),
        (Policy, {*policy_rows.EDITABLE}),
    ],
)
def test_no_column_is_forgotten(table, settable):
    assert {field.name for field in table._meta.concrete_fields} - BY_ITSELF == settable
