"""What the provider announces can be imported, and is what it is announced as."""

from __future__ import annotations

import inspect
from importlib import import_module

import pytest

from backfill.hooks.provider_info import get_provider_info

INFO = get_provider_info()


@pytest.fixture
def bases(airflow_home):
    """The class that each kind of module must have one of."""
    from airflow.providers.common.compat.sdk import BaseHook, BaseNotifier, BaseOperator, BaseOperatorLink

    return {
        "operators": BaseOperator,
        "sensors": BaseOperator,
        "hooks": BaseHook,
        "notifications": BaseNotifier,
        "extra-links": BaseOperatorLink,
    }


def own_classes(module):
    return [one for one in vars(module).values() if inspect.isclass(one) and one.__module__ == module.__name__]


def test_each_module_imports_and_has_a_class_of_its_kind(bases):
    for kind in ("operators", "sensors", "hooks"):
        names = [name for one in INFO[kind] for name in one["python-modules"]]
        assert names
        lacking = [
            name for name in names if not any(issubclass(one, bases[kind]) for one in own_classes(import_module(name)))
        ]
        assert lacking == []


def test_each_class_imports_and_is_of_its_kind(bases):
    for kind in ("notifications", "extra-links"):
        for path in INFO[kind]:
            module, _, name = path.rpartition(".")
            assert issubclass(getattr(import_module(module), name), bases[kind])
    (connection,) = INFO["connection-types"]
    module, _, name = connection["hook-class-name"].rpartition(".")
    assert issubclass(getattr(import_module(module), name), bases["hooks"])
