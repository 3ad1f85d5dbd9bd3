"""The only file Airflow's plugin loader runs, in each task too; `.airflowignore` hides the package.

An installed distribution registers by its entry point. To ask for that one takes no time; to look through those of all
distributions took a tenth of a task's CPU.
"""

from importlib.metadata import PackageNotFoundError, distribution

try:
    is_registered = any(
        one.group == "airflow.plugins" for one in distribution("airflow-provider-candle-keeper").entry_points
    )
except PackageNotFoundError:
    is_registered = False
if not is_registered:
    from backfill.ui.airflow_plugin import BackfillPlugin as BackfillPlugin
