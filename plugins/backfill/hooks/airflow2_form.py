"""Airflow 2's connection form, from Airflow 3's description."""

from __future__ import annotations

from typing import Any


def field_behaviour(connection: dict[str, Any]) -> dict[str, Any]:
    """``ui-field-behaviour``, as customized_form_field_behaviours.schema.json."""
    return {name.replace("-", "_"): value for name, value in connection["ui-field-behaviour"].items()}


def form_widgets(connection: dict[str, Any]) -> dict[str, Any]:
    """A WTForms text field per ``conn-fields`` entry; connections.py parses numbers."""
    from flask_appbuilder.fieldwidgets import BS3TextFieldWidget  # type: ignore
    from wtforms import StringField  # type: ignore

    return {
        name: StringField(field["label"], widget=BS3TextFieldWidget(), description=field["description"])
        for name, field in connection["conn-fields"].items()
    }
