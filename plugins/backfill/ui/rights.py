"""What the signed-in user may do, asked of Airflow's auth manager."""

from __future__ import annotations

from collections.abc import Callable

from airflow.api_fastapi.app import get_auth_manager
from airflow.api_fastapi.auth.managers.models.resource_details import DagAccessEntity, DagDetails
from airflow.api_fastapi.core_api.security import GetUserDep

from backfill.ui.answers import Rights


def user_rights(*, decided_as: str, filled_by: str) -> Callable[..., Rights]:
    """A dependency: whether the user may edit the one Dag, and start the other."""

    def rights(user: GetUserDep) -> Rights:
        """For the page's buttons: Airflow and our routes ask again."""
        manager = get_auth_manager()
        return Rights(
            may_fill=manager.is_authorized_dag(
                method="POST", access_entity=DagAccessEntity.RUN, details=DagDetails(id=filled_by), user=user
            ),
            may_decide=manager.is_authorized_dag(method="PUT", details=DagDetails(id=decided_as), user=user),
        )

    return rights
