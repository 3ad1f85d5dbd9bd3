"""A PostgreSQL server in one folder, on a Unix socket, from a wheel's programs.

    HOME/postgres/18/      the data
    HOME/postgres/socket/  who may enter is superuser, others cannot connect
    HOME/postgres/server.log

As root, ``HOME/postgres`` may link to /var/lib: see postgres_programs. The server outlives the process that started it;
``start`` finds it again.
"""

from __future__ import annotations

import hashlib
import os
import shutil
import signal
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from urllib.parse import quote

import psutil

from backfill.errors import DatabaseUnreachable
from backfill.local.postgres_programs import Account, PostgresPrograms
from backfill.storage.server import accepts_connections, ensure_database

OUTSIDE = Path("/var/lib")
SOCKET_PATH_BYTES = 107  # sockaddr_un.sun_path less its closing NUL (man 7 unix)
SOCKET_NAME = ".s.PGSQL.5432"
SETTINGS = {
    "listen_addresses": "",
    "max_connections": "200",
    "shared_buffers": "256MB",
    "max_wal_size": "2GB",
    "timezone": "UTC",
    "log_timezone": "UTC",
}
THROW_AWAY_SETTINGS = {"fsync": "off", "synchronous_commit": "off", "full_page_writes": "off"}
ORPHANS_GRACE_S = 1.0
START_WITHIN_S = 300
ANSWERS_WITHIN_S = 120


class EmbeddedPostgres:
    """``major``: the wheel has 16 and 18, Debian others.

    ``durable=False``, for tests: a power cut may cost the data, a killed server may not.
    """

    def __init__(self, home: Path, major: int = 18, *, durable: bool = True) -> None:
        self.home = home.resolve()
        self.major = major
        self.durable = durable
        self.account = Account.current()
        self._link = self.home / "postgres"

    @property
    def _base(self) -> Path:
        """The server's folder. A copied home has the original's link: do not follow it."""
        return self._elsewhere(OUTSIDE) if self._link.is_symlink() else self._link

    @property
    def data(self) -> Path:
        """The folder of the data."""
        return self._base / str(self.major)

    @property
    def socket(self) -> Path:
        """The folder of the socket."""
        return (self._base / "socket").resolve()

    @property
    def log(self) -> Path:
        """The server's log file."""
        return self._base / "server.log"

    def uri(self, database: str = "candles") -> str:
        """The libpq URI of a database."""
        return f"postgresql://postgres@/{database}?host={quote(str(self.socket), safe='')}"

    def start(self) -> None:
        """Start the server unless it answers: 1 s the first time, then 0.2 s."""
        if self._answers():
            return
        self._make_base()
        programs = PostgresPrograms.find(self.major, self.account, copies=self._base / "programs")
        self._clear_remains()
        try:
            if not (self.data / "PG_VERSION").exists():
                self._initialise(programs)
            self._pg_ctl(programs, "start", "-l", str(self.log), "-o", self._server_options(), timeout_s=START_WITHIN_S)
        except subprocess.CalledProcessError as error:
            raise DatabaseUnreachable(
                f"the embedded Postgres does not start:\n{error.stdout}{_tail(self.log)}"
            ) from error

    def stop(self) -> None:
        """Stop the server if it runs, cleanly if possible."""
        try:
            self._shut_down("fast")
        except subprocess.SubprocessError:
            self._shut_down("immediate")

    def _shut_down(self, mode: str) -> None:
        if self.is_running():
            programs = PostgresPrograms.find(self.major, self.account, self._base / "programs")
            self._pg_ctl(programs, "stop", "-m", mode, timeout_s=60)
        self._clear_remains()

    def remove(self) -> None:
        """Stop the server and delete its files, also outside ``home``."""
        self._shut_down("immediate")
        for path in (self.socket, self._base):
            shutil.rmtree(path, ignore_errors=True)
        if self._link.is_symlink():
            self._link.unlink()

    def is_running(self) -> bool:
        """Whether the server's process lives, perhaps still recovering."""
        return self._postmaster() is not None

    def ensure_database(self, name: str) -> None:
        """Create the database unless it exists."""
        ensure_database(self.uri("postgres"), name)

    def _make_base(self) -> None:
        """Create folders within the account's reach, with a short socket path."""
        self.home.mkdir(parents=True, exist_ok=True)
        if self._link.is_symlink() or not self.account.may_enter(self._link):
            self._make_base_outside()
        else:
            self._link.mkdir(mode=0o755, exist_ok=True)
        if len(os.fsencode(self._base / "socket" / SOCKET_NAME)) > SOCKET_PATH_BYTES:
            link = self._base / "socket"
            link.unlink(missing_ok=True)
            link.symlink_to(self._elsewhere(Path(tempfile.gettempdir())))
        for folder in (self.socket, self.data):
            self.account.make_private_folder(folder)
        self.log.touch()
        if self.account.is_lent:
            os.chown(self.log, self.account.uid, self.account.gid)

    def _make_base_outside(self) -> None:
        outside = self._elsewhere(OUTSIDE)
        if self._link.is_symlink() and self._link.readlink() == outside and outside.exists():
            return
        self._link.unlink(missing_ok=True)
        self._link.symlink_to(outside)
        if outside.exists():  # left by a deleted home at the same path
            self._shut_down("immediate")
            shutil.rmtree(outside)
        outside.mkdir(mode=0o755)

    def _elsewhere(self, parent: Path) -> Path:
        return parent / f"candle-keeper-{hashlib.sha256(os.fsencode(self.home)).hexdigest()[:12]}"

    def _initialise(self, programs: PostgresPrograms) -> None:
        options = ["--username=postgres", "--auth-local=trust", "--auth-host=reject", "--encoding=UTF8"]
        if not self.durable:
            options.append("--no-sync")
        programs.run("initdb", *options, "--locale=C", f"--pgdata={self.data}", cwd=self.data)

    def _server_options(self) -> str:
        settings = SETTINGS | ({} if self.durable else THROW_AWAY_SETTINGS)
        settings |= {"unix_socket_directories": str(self.socket)}
        return " ".join(f"-c {name}='{value}'" for name, value in settings.items())

    def _pg_ctl(self, programs: PostgresPrograms, action: str, *options: str, timeout_s: int) -> None:
        arguments = (action, "--wait", f"--timeout={timeout_s}", f"--pgdata={self.data}", *options)
        programs.run("pg_ctl", *arguments, cwd=self.data, timeout_s=timeout_s + 10)

    def _postmaster(self) -> psutil.Process | None:
        try:
            process = psutil.Process(int((self.data / "postmaster.pid").read_text().split()[0]))
        except (OSError, ValueError, IndexError, psutil.NoSuchProcess):
            return None
        return process if _works_in(process, self.data) else None

    def _answers(self) -> bool:
        """Whether it lets us in, perhaps after starting or recovering."""
        deadline = time.monotonic() + ANSWERS_WITHIN_S
        while self.is_running() and time.monotonic() < deadline:
            if accepts_connections(self.uri("postgres"), ANSWERS_WITHIN_S):
                return True
            time.sleep(0.05)
        return False

    def _clear_remains(self) -> None:
        """Kill children of a killed postmaster: no server starts beside them."""
        if self.is_running():
            return
        deadline = time.monotonic() + ORPHANS_GRACE_S
        while orphans := list(self._orphans()):
            if time.monotonic() > deadline:
                for orphan in orphans:
                    with suppress(psutil.NoSuchProcess):
                        orphan.send_signal(signal.SIGKILL)
            time.sleep(0.05)
        # Postgres refuses to start if this PID is another process's, or a zombie (containers may reap no orphans).
        for leftover in (self.data / "postmaster.pid", self.socket / f"{SOCKET_NAME}.lock"):
            leftover.unlink(missing_ok=True)

    def _orphans(self) -> Iterator[psutil.Process]:
        for process in psutil.process_iter():
            with suppress(psutil.NoSuchProcess):
                if process.name().startswith("postgres") and _works_in(process, self.data):
                    yield process


def _works_in(process: psutil.Process, folder: Path) -> bool:
    """Whether ``folder`` is its working directory, as of all the server's processes."""
    try:
        return process.status() != psutil.STATUS_ZOMBIE and Path(process.cwd()) == folder
    except (psutil.AccessDenied, psutil.NoSuchProcess):
        return False


def _tail(log: Path, lines: int = 15) -> str:
    try:
        return "\n".join(log.read_text(errors="replace").splitlines()[-lines:])
    except OSError:
        return ""
