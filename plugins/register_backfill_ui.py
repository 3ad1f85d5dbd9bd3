"""The one file that Airflow's plugin loader runs here; `.airflowignore` hides the package beside it.

Where the project is also installed as a distribution, its entry point has registered the plugin already.
"""

from importlib.metadata import entry_points

if not any(ep.value.startswith("backfill.") for ep in entry_points(group="airflow.plugins")):
    from backfill.ui.airflow_plugin import BackfillPlugin as BackfillPlugin
