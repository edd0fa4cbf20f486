"""A tracking server for a lab: MLflow on a PostgreSQL database, both in one folder, until Ctrl-C.

The folder holds everything (database, files of the runs, logs), so the same command later goes on with the same data.
"""

import os
import pwd
import secrets
import shutil
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Callable, Generator, Mapping, Sequence
from contextlib import closing, contextmanager, suppress
from pathlib import Path
from types import FrameType
from typing import NoReturn

from rftlab.errors import Parser, UserError, unwritable
from rftlab.files import FileLock, write_atomic
from rftlab.place import as_typed

USER = DATABASE = "mlflow"
START_S = 120.0  # a fresh database gets its tables in this time too
STOP_S = 20.0
BAD_INPUT = 2
ENDED_ITSELF = 1
INSTALLED = Path("/usr/lib/postgresql")
LOOPBACK = ("127.0.0.1", "localhost")
ALL_INTERFACES = "0.0.0.0"
PRIVATE = ("localhost", "localhost:*", "127.0.0.1:*", "10.*", "192.168.*", *(f"172.{i}.*" for i in range(16, 32)))
EPILOG = """\
Point the runs at it with the printed tracking.uri=http://HOST:PORT. It needs PostgreSQL on this machine (Debian:
apt-get install postgresql) and the driver (pip install 'rftlab[server]'). The server asks nobody for a password:
whoever reaches its port reads and writes everything, so open it to a network that you trust.
"""


def main(arguments: Sequence[str] | None = None) -> None:
    """Serve until interrupted; exit codes: 0 interrupted, 1 a part ended by itself, 2 bad input (nothing runs)."""
    parser = Parser(prog=as_typed("python -m rftlab.tracking.server"), description=__doc__, epilog=EPILOG)
    parser.add_argument("--folder", type=Path, default=Path("tracking-server"), help="where its data lie (%(default)s)")
    parser.add_argument("--port", type=int, default=5000, help="port of the server (%(default)s)")
    parser.add_argument(
        "--host", default="127.0.0.1", help="interface to listen on; 0.0.0.0 opens it to the network (%(default)s)"
    )
    parser.add_argument(
        "--allowed-hosts",
        help="comma-separated names (with * for any part) under which clients may address the server "
        "(default: this machine's name and private addresses)",
    )
    parser.add_argument("--workers", type=int, default=4, help="processes that answer requests (%(default)s)")
    options = parser.parse_args(arguments)
    for signum in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        if signum != signal.SIGHUP or signal.getsignal(signum) != signal.SIG_IGN:  # nohup keeps its meaning
            signal.signal(signum, _interrupt)
    try:
        serve(options.folder.absolute(), options.host, options.port, options.allowed_hosts, options.workers)
    except KeyboardInterrupt:
        print("stopped; the same command goes on with the same data", flush=True)
    except UserError as error:
        print(f"error: {error}", file=sys.stderr)
        sys.exit(BAD_INPUT)


def serve(folder: Path, host: str, port: int, allowed_hosts: str | None, workers: int) -> None:
    """Run both programs until one ends by itself, which exits with 1, or until an interrupt.

    Raises:
        UserError: A program, its driver, the folder or the port cannot be had.
        KeyboardInterrupt: The user asked to stop, and both programs have stopped.
    """
    programs = find_programs()
    _require_driver()
    owner = database_owner()
    _make_folder(folder, owner)
    with _turn(folder):
        _end_leftovers(folder)
        _require_free(host, port)
        _create_database(folder, programs, owner)
        _serve(folder, programs, owner, host, port, allowed_hosts, workers)


def _serve(
    folder: Path,
    programs: dict[str, Path],
    owner: str | None,
    host: str,
    port: int,
    allowed_hosts: str | None,
    workers: int,
) -> None:
    name = socket.gethostname() if host == ALL_INTERFACES else host
    with _postgres(folder, programs, owner) as (database, database_port):
        hosts = allowed_hosts or (None if host in LOOPBACK else allowed_names(name, port))
        with _mlflow(folder, database_port, host, port, hosts, workers) as server:
            print(f"tracking.uri=http://{name}:{port}   (data in {folder}; Ctrl-C stops the server)", flush=True)
            while True:
                for process, program in ((database, "PostgreSQL"), (server, "MLflow")):
                    if process.poll() is not None:
                        print(f"error: {program} ended by itself; the logs are in {folder}", file=sys.stderr)
                        sys.exit(ENDED_ITSELF)
                time.sleep(1.0)


@contextmanager
def _turn(folder: Path) -> Generator[None]:
    """Keep a second server from the same folder.

    Raises:
        UserError: One is running.
    """
    lock = FileLock(folder / "server.lock")
    if not lock.take(0.0):
        raise UserError(f"a server that already runs from {folder}", "one server per folder", "DIR, or end that one")
    try:
        yield
    finally:
        lock.release()


def _end_leftovers(folder: Path) -> None:
    """Stop the programs of a server that was killed; the lock says that nobody watches over them any more."""
    for name in ("mlflow", "postgres"):
        note = folder / f"{name}.pid"
        words = note.read_text().split() if note.exists() else []
        if len(words) != 3 or words[2] != _boot():  # none, or of another machine, or from before a restart of this one
            note.unlink(missing_ok=True)
            continue
        pid, started, _ = words
        ours = _start_time(int(pid)) == started
        if ours:
            print(f"stopping {name} (process {pid}), left by a server that was killed", flush=True)
            os.kill(int(pid), signal.SIGINT)
            until = time.monotonic() + STOP_S
            while _start_time(int(pid)) == started and time.monotonic() < until:
                time.sleep(0.1)
        if ours or not _start_time(int(pid)):  # otherwise the number belongs to a stranger by now
            with suppress(ProcessLookupError):  # its children, which may outlive it
                os.killpg(int(pid), signal.SIGKILL)
        note.unlink()


def _start_time(pid: int) -> str:
    """Return when a process started, in the kernel's ticks, which tells it from a later one of the same number."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[19]
    except OSError:
        return ""


def _boot() -> str:
    """Return what tells this machine, since it was started, from all others."""
    return Path("/proc/sys/kernel/random/boot_id").read_text().strip()


def _interrupt(signum: int, frame: FrameType | None) -> NoReturn:
    raise KeyboardInterrupt


def find_programs() -> dict[str, Path]:
    """Find `initdb` and `postgres`, which distributions keep out of PATH."""
    places = [Path(found).parent for found in (shutil.which("postgres"),) if found]
    if config := shutil.which("pg_config"):
        places.append(Path(subprocess.run([config, "--bindir"], capture_output=True, text=True).stdout.strip()))
    places += sorted(INSTALLED.glob("*/bin"), reverse=True)
    for place in places:
        programs = {name: place / name for name in ("initdb", "postgres")}
        if all(os.access(path, os.X_OK) for path in programs.values()):
            return programs
    raise UserError(
        f"no PostgreSQL in PATH or {INSTALLED}",
        "the programs initdb and postgres",
        "PATH, or install them (Debian: apt-get install postgresql)",
    )


def _require_driver() -> None:
    try:
        import psycopg2  # noqa: F401
    except ImportError:
        raise UserError(
            "no package psycopg2", "the driver of PostgreSQL", "the environment: pip install 'rftlab[server]'"
        ) from None


def _require_free(host: str, port: int) -> None:
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host, port))
        except (OSError, OverflowError) as error:
            raise UserError(f"{host}:{port}: {error}", "a free port of this machine", "PORT or HOST") from None


def database_owner() -> str | None:
    """Return the user that runs the database, None for the present one: PostgreSQL refuses to run as root."""
    if os.geteuid() != 0:
        return None
    try:
        return pwd.getpwnam("postgres").pw_name
    except KeyError:
        raise UserError("root, and no user postgres", "a user that may run PostgreSQL", "the user") from None


def _make_folder(folder: Path, owner: str | None) -> None:
    try:
        folder.mkdir(parents=True, exist_ok=True)
        (folder / "artifacts").mkdir(exist_ok=True)
    except OSError as error:
        raise unwritable(folder, error, "DIR") from None
    if owner and subprocess.run(["test", "-x", folder], user=owner).returncode:
        raise UserError(f"{folder}, which the user {owner} cannot enter", "a folder that it can", "DIR")


def _create_database(folder: Path, programs: dict[str, Path], owner: str | None) -> None:
    """Make the database aside and put it in place whole."""
    if (folder / "database").exists():
        return
    aside, password = folder / "database.new", folder / "password"
    shutil.rmtree(aside, ignore_errors=True)  # left by a start that was killed here
    aside.mkdir(mode=0o700)
    password.touch(mode=0o600)
    password.write_text(secrets.token_hex(16))
    if owner:
        shutil.chown(aside, owner)
        shutil.chown(password, owner)
    settings = ["--auth=scram-sha-256", "--encoding=UTF8", "--locale=C"]
    command = [programs["initdb"], "-D", aside, "-U", USER, f"--pwfile={password}", *settings]
    with (folder / "postgres.log").open("ab") as log:
        made = subprocess.run(command, stdout=log, stderr=log, cwd=folder, user=owner)
    if made.returncode:
        raise _not_started("initdb", folder / "postgres.log")
    aside.replace(folder / "database")


@contextmanager
def _postgres(
    folder: Path, programs: dict[str, Path], owner: str | None
) -> Generator[tuple[subprocess.Popen[bytes], int]]:
    """Run the database on a port of 127.0.0.1, behind the password of the folder."""
    import psycopg2

    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    settings = {"listen_addresses": "127.0.0.1", "port": port, "unix_socket_directories": ""}
    options = [part for name, value in settings.items() for part in ("-c", f"{name}={value}")]
    command = [programs["postgres"], "-D", folder / "database", *options]
    log = folder / "postgres.log"
    password = (folder / "password").read_text()

    def ready() -> bool:
        try:
            connection = psycopg2.connect(
                host="127.0.0.1", port=port, user=USER, password=password, dbname="postgres", connect_timeout=5
            )
        except psycopg2.OperationalError:
            return False
        connection.autocommit = True
        with closing(connection), connection.cursor() as cursor:
            cursor.execute("SELECT 1 FROM pg_database WHERE datname = %s", (DATABASE,))
            if cursor.fetchone() is None:
                cursor.execute(f"CREATE DATABASE {DATABASE}")
        return True

    with _running(command, log, user=owner) as process:
        _wait(process, ready, "PostgreSQL", log)
        yield process, port


@contextmanager
def _mlflow(
    folder: Path, database_port: int, host: str, port: int, hosts: str | None, workers: int
) -> Generator[subprocess.Popen[bytes]]:
    command = [
        *(sys.executable, "-m", "mlflow", "server", "--host", host, "--port", str(port), "--workers", str(workers)),
        *("--backend-store-uri", f"postgresql+psycopg2://{USER}@127.0.0.1:{database_port}/{DATABASE}"),
        *("--serve-artifacts", "--artifacts-destination", (folder / "artifacts").as_uri()),
        *(("--allowed-hosts", hosts) if hosts else ()),
    ]
    environment = {
        **os.environ,
        "PGPASSWORD": (folder / "password").read_text(),  # not in the command, which every user of the machine can see
        "MLFLOW_DISABLE_TELEMETRY": "true",
        "MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false",
    }
    health = f"http://{LOOPBACK[0] if host == ALL_INTERFACES else host}:{port}/health"

    def ready() -> bool:
        try:
            with urllib.request.urlopen(health, timeout=5):
                return True
        except OSError:
            return False

    log = folder / "mlflow.log"
    with _running(command, log, env=environment) as process:
        _wait(process, ready, "MLflow", log)
        yield process


def allowed_names(name: str, port: int) -> str:
    """Return the names that clients may use: MLflow itself lets in addresses of private networks, but no host name."""
    own = dict.fromkeys((name, socket.gethostname(), socket.getfqdn()))
    return ",".join([*(text for host in own for text in (host, f"{host}:{port}")), *PRIVATE])


@contextmanager
def _running(
    command: Sequence[str | Path], log: Path, user: str | None = None, env: Mapping[str, str] | None = None
) -> Generator[subprocess.Popen[bytes]]:
    """Run a program in a session of its own, so that Ctrl-C stops one after the other and in order."""
    with log.open("ab") as output:
        process = subprocess.Popen(
            command,
            cwd=log.parent,
            user=user,
            env=env,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=output,
            start_new_session=True,
        )
    note = log.with_suffix(".pid")
    try:
        write_atomic(note, f"{process.pid} {_start_time(process.pid)} {_boot()}")
        yield process
    finally:
        if process.poll() is None:
            process.send_signal(signal.SIGINT)
        with suppress(subprocess.TimeoutExpired):
            process.wait(STOP_S)
        with suppress(ProcessLookupError):  # also its children, which outlive it if it was killed
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()
        note.unlink(missing_ok=True)


def _wait(process: subprocess.Popen[bytes], ready: Callable[[], bool], program: str, log: Path) -> None:
    until = time.monotonic() + START_S
    while not ready():
        if process.poll() is not None or time.monotonic() > until:
            raise _not_started(program, log)
        time.sleep(0.1)


def _not_started(program: str, log: Path) -> UserError:
    lines = log.read_text(errors="replace").split("\n")
    last = next((line.strip() for line in reversed(lines) if line.strip()), "no word")
    return UserError(f"{program} did not start ({last[:200]})", "a start", f"what {log} complains about")


if __name__ == "__main__":
    main()
