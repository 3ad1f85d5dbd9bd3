"""What kind of thing a JSON value is, to compare our answers with recorded ones."""

from __future__ import annotations


def shape(value):
    """The value with every leaf replaced by its kind; a list whose items are alike counts as one of them."""
    if isinstance(value, dict):
        return {key: shape(item) for key, item in value.items()}
    if isinstance(value, list):
        shapes = [shape(item) for item in value]
        return shapes[:1] if all(one == shapes[0] for one in shapes) else shapes
    if isinstance(value, str):
        return "number in quotes" if is_number(value) else "text"
    return type(value).__name__


def is_number(text):
    try:
        float(text)
    except ValueError:
        return False
    return True
