"""The only file Airflow's plugin loader runs; `.airflowignore` hides the package.

An installed distribution registers by its entry point.
"""

from importlib.metadata import entry_points

if not any(ep.value.startswith("backfill.") for ep in entry_points(group="airflow.plugins")):
    from backfill.ui.airflow_plugin import BackfillPlugin as BackfillPlugin
