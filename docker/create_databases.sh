#!/bin/bash
# Run once by the Postgres image, on an empty volume: a role and a database for Airflow, and one each for the candles.
set -euo pipefail

create() { # create ROLE DATABASE PASSWORD
    psql --username postgres --set ON_ERROR_STOP=1 --set role="$1" --set database="$2" --set password="$3" <<'SQL'
CREATE ROLE :"role" LOGIN PASSWORD :'password';
CREATE DATABASE :"database" OWNER :"role";
REVOKE CONNECT ON DATABASE :"database" FROM PUBLIC;
SQL
}

create airflow airflow "$AIRFLOW_DB_PASSWORD"
create backfill candles "$CANDLES_DB_PASSWORD"
