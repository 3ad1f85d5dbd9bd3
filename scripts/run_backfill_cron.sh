#!/bin/sh
# One fill without Airflow, for cron and systemd. Exit code: that of `backfill fill` (0 complete, 3 gaps remain, 2 bad
# usage, 1 failure); 0 if another run holds the lock.
#
#   0 3 * * 0  cd /srv/candles && scripts/run_backfill_cron.sh              Sundays: the deep history
#   */30 * * * *  /srv/candles/scripts/run_backfill_cron.sh --timeframes 1m  arguments go to `backfill fill`
#
# Settings come from the environment, then from .env and .env.local of the project (docs/settings.md).
set -u

root=$(cd "$(dirname "$0")/.." && pwd) || exit 1
cd "$root" || exit 1
folder=${BACKFILL_HOME:-$root/.backfill}
backfill=${BACKFILL_COMMAND:-$root/.venv/bin/backfill}
unset BACKFILL_COMMAND
mkdir -p "$folder/logs" || exit 1
log=$folder/logs/backfill.log

say() { echo "$(date -u +%Y-%m-%dT%H:%M:%SZ) $*" >>"$log"; }

exec 9>"$folder/backfill.lock" || exit 1
if ! flock -n 9; then
    say "another run is at work; nothing was done"
    exit 0
fi

# Without arguments: the deep history, unless a profile is named.
if [ $# -eq 0 ] && [ -z "${BACKFILL_PROFILE:-}" ] && ! grep -qs '^ *\(BACKFILL_PROFILE\|TIMEFRAME\) *=' .env .env.local; then
    export BACKFILL_PROFILE=deep_history
fi

say "begins: backfill fill $*"
"$backfill" migrate >>"$log" 2>&1 9>&- && "$backfill" fill "$@" >>"$log" 2>&1 9>&-
code=$?
say "ended with exit code $code"
exit $code
