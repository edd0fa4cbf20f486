"""A real SLURM on this machine's loopback: every node a process of its own, with fake GPUs.

All files of a cluster lie in one short temporary folder and all ports are free ones, so several run side by side.
Nothing outlives the process that started it. Only root can do this.
"""

import os
import random
import secrets
import shutil
import signal
import socket
import stat
import subprocess
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from subprocess import DEVNULL

Lines = Mapping[str, object]

START_TIMEOUT_S = 30.0
PACKAGES = {"munged": "munge", "slurmctld": "slurmctld", "slurmd": "slurmd", "sbatch": "slurm-client"}
ACCOUNTING_PACKAGES = {"slurmdbd": "slurmdbd", "mariadbd": "mariadb-server"}
# a node is a PID namespace: all that runs there ends with it; slurmd is not its first process, as it reaps no orphans
NODE = ("unshare", "--pid", "--mount-proc", "--fork", "--kill-child")
PATH = os.environ["PATH"] + os.pathsep + os.pathsep.join(("/usr/sbin", "/sbin"))

SETTINGS = {
    "ClusterName": "test",
    "AuthType": "auth/munge",
    "CommunicationParameters": "NoInAddrAny,NoCtldInAddrAny",  # loopback only
    "SlurmUser": "root",
    "MailProg": "/bin/true",
    # no cgroups: CPUs and GPUs are scheduled, their use is not limited
    "ProctrackType": "proctrack/linuxproc",
    "TaskPlugin": "task/none",
    "JobAcctGatherType": "jobacct_gather/none",
    "SelectType": "select/cons_tres",
    "SelectTypeParameters": "CR_Core",
    "GresTypes": "gpu",
    "SlurmdParameters": "config_overrides",  # a node may promise more CPUs than the machine has
    # a test waits seconds where a cluster waits minutes
    "SchedulerParameters": "batch_sched_delay=0,sched_interval=2,bf_interval=2",
    "SlurmdTimeout": "10",
    "KillWait": "5",
    "OverTimeLimit": "0",
    # jobs in `urgent` push those in `main` back into the queue, after a signal and the GraceTime
    "PreemptType": "preempt/partition_prio",
    "PreemptMode": "REQUEUE",
    "SlurmctldParameters": "preempt_send_user_signal",
    "ReturnToService": "2",  # a node that comes back is used again
}
PARTITIONS = """\
PartitionName=main Nodes=ALL Default=YES PriorityTier=1 GraceTime=10 MaxTime=INFINITE
PartitionName=urgent Nodes=ALL PriorityTier=2 PreemptMode=OFF MaxTime=INFINITE
"""


def reason_to_skip(accounting: bool = False) -> str | None:
    """Say what this machine lacks for a cluster, or None where it lacks nothing."""
    if os.geteuid() != 0:
        return "a SLURM cluster for tests needs root"
    needed = PACKAGES | (ACCOUNTING_PACKAGES if accounting else {})
    missing = [package for program, package in needed.items() if not shutil.which(program, path=PATH)]
    if missing:
        return f"Debian packages are missing: apt-get install --no-install-recommends {' '.join(missing)}"
    try:
        address = socket.gethostbyname(_host())
    except OSError:
        address = "nothing"
    if address != "127.0.0.1":
        return f"SLURM needs the line '127.0.0.1 {_host()}' in /etc/hosts: the host name resolves to {address}"
    if subprocess.run([*NODE, "true"], capture_output=True).returncode:
        return "a SLURM node needs a PID namespace of its own, and this machine allows none"
    return None


class Cluster:
    """As a context manager: start on entry, kill and remove everything on exit.

    A client needs `env`; `call` runs one with it. `settings` adds lines to slurm.conf or replaces them.
    """

    def __init__(
        self, nodes: int = 3, cpus: int = 2, gpus: int = 1, accounting: bool = False, settings: Lines | None = None
    ) -> None:
        """Write the configuration; nothing runs yet."""
        self.accounting = accounting
        self.nodes = tuple(f"n{i + 1}" for i in range(nodes))
        self.folder = Path(tempfile.mkdtemp(prefix="rs", dir="/tmp"))  # paths of UNIX sockets end at 108 characters
        self.env = os.environ | {"SLURM_CONF": str(self.folder / "slurm.conf"), "PATH": PATH}
        self._munge_socket = self.folder / "munge.socket"
        self._processes: dict[str, subprocess.Popen[bytes]] = {}
        self._port = _free_ports(nodes + 3)  # controller, database daemon, database, nodes
        self._configure(cpus, gpus, settings or {})

    def start(self) -> None:
        """Start everything and wait until the nodes are idle."""
        # by force: the folder can be entered by its owner only
        munged = ["munged", "--foreground", "--force", f"--socket={self._munge_socket}"]
        munged += [f"--{name}-file={self.folder}/munge.{name}" for name in ("key", "pid", "seed", "log")]
        self._launch("munged", munged, lambda: self._answers("munge", "-n", "-S", str(self._munge_socket)))
        if self.accounting:
            self._start_accounting()
        self.start_controller()
        for name in self.nodes:
            self._launch(name, self._node(name))
        for name in self.nodes:
            self._wait(name, lambda name=name: self._node_is_up(name))

    def stop(self) -> None:
        """Kill every process of the cluster, jobs included, and remove its folder."""
        for name in reversed(list(self._processes)):
            self._kill(name)
        shutil.rmtree(self.folder, ignore_errors=True)

    def __enter__(self) -> "Cluster":
        try:
            self.start()
        except BaseException:
            self.stop()
            raise
        return self

    def __exit__(self, *error: object) -> None:
        self.stop()

    def kill_node(self, name: str) -> None:
        """Let a node crash, with every process on it; the controller notices after half a minute."""
        assert name in self.nodes
        self._kill(name)

    def start_node(self, name: str) -> None:
        """Bring a killed node back and wait until it takes jobs."""
        self._launch(name, self._node(name), lambda: self._node_is_up(name))

    def stop_controller(self) -> None:
        """End slurmctld in good order, as a crash may undo its last seconds: jobs run on, no client gets an answer."""
        self._kill("slurmctld", signal.SIGTERM)

    def start_controller(self) -> None:
        """Start slurmctld, with the jobs it had, and wait until it answers."""
        self._launch("slurmctld", ["slurmctld", "-D"], lambda: self._answers("scontrol", "ping"))

    def reset(self) -> None:
        """Bring back what was killed, end every job and wait until all nodes are idle."""
        if "slurmctld" not in self._processes:
            self.start_controller()
        for name in self.nodes:
            if name not in self._processes:
                self.start_node(name)
        if not self.call("squeue", "--noheader"):
            return
        self.call("scancel", f"--user={os.getuid()}")
        self._wait("the empty queue", lambda: not self.call("squeue", "--noheader"))
        for name in self.nodes:
            self._wait(name, lambda name=name: self._state(name) == "idle")

    def call(self, *command: str, timeout_s: float = 30.0) -> str:
        """Run a command with the cluster's environment and return what it prints; its failure is an error."""
        result = subprocess.run(command, env=self.env, stdin=DEVNULL, capture_output=True, text=True, timeout=timeout_s)
        assert result.returncode == 0, f"{' '.join(command)}: {result.stderr.strip()}"
        return result.stdout.strip()

    def _configure(self, cpus: int, gpus: int, settings: Lines) -> None:
        folder, host = self.folder, _host()
        _write_private(folder / "munge.key", secrets.token_hex(64))
        lines: dict[str, object] = {
            **SETTINGS,
            "SlurmctldHost": f"{host}(127.0.0.1)",
            "SlurmctldPort": self._port,
            "AuthInfo": f"socket={self._munge_socket},cred_expire=5",  # a requeued job waits cred_expire
            "StateSaveLocation": folder / "state",
            "SlurmdSpoolDir": folder / "%n",
            "SlurmctldPidFile": folder / "slurmctld.pid",
            "SlurmdPidFile": folder / "%n.pid",
        }
        if self.accounting:
            lines |= {
                "AccountingStorageType": "accounting_storage/slurmdbd",
                "AccountingStorageHost": "127.0.0.1",
                "AccountingStoragePort": self._port + 1,
                "AccountingStoragePass": self._munge_socket,  # AuthInfo does not reach this connection
                "AccountingStorageTRES": "gres/gpu",
            }
        # SLURM hands a job its GPU numbers only for character devices, which these copies of /dev/null are
        for gpu in range(gpus):
            os.mknod(folder / f"gpu{gpu}", 0o666 | stat.S_IFCHR, os.makedev(1, 3))
        devices = f"NodeName=n[1-{len(self.nodes)}] Name=gpu File={folder}/gpu[0-{gpus - 1}] Flags=nvidia_gpu_env\n"
        (folder / "gres.conf").write_text(devices if gpus else "")
        resources = f"CPUs={cpus} RealMemory=4000" + (f" Gres=gpu:{gpus}" if gpus else "")
        nodes = "".join(
            f"NodeName={name} NodeHostname={host} NodeAddr=127.0.0.1 Port={self._port + 3 + i} {resources}\n"
            for i, name in enumerate(self.nodes)
        )
        (folder / "slurm.conf").write_text(_settings(lines | dict(settings)) + nodes + PARTITIONS)
        for name in ("state", *self.nodes):
            (folder / name).mkdir()

    def _node(self, name: str) -> list[str]:
        return [*NODE, "sh", "-c", f"slurmd -D -N {name} & wait"]

    def _start_accounting(self) -> None:
        data, mysql_socket, password = self.folder / "mysql", self.folder / "mysql.socket", secrets.token_hex(16)
        common = ["--no-defaults", "--user=root", f"--datadir={data}", "--innodb-log-file-size=8M"]
        self.call("mariadb-install-db", *common, "--auth-root-authentication-method=normal", "--skip-test-db")
        _write_private(
            self.folder / "init.sql",
            "CREATE DATABASE slurm;\n"
            f"CREATE USER 'slurm'@'127.0.0.1' IDENTIFIED BY '{password}';\n"
            "GRANT ALL ON slurm.* TO 'slurm'@'127.0.0.1';\n",
        )
        database = ["mariadbd", *common, "--innodb-buffer-pool-size=64M", "--innodb-lock-wait-timeout=900"]
        database += [f"--socket={mysql_socket}", "--bind-address=127.0.0.1", f"--port={self._port + 2}"]
        database += [f"--pid-file={self.folder}/mariadbd.pid", f"--init-file={self.folder}/init.sql"]
        ping = ["mariadb-admin", "--no-defaults", f"--socket={mysql_socket}", "ping"]
        self._launch("mariadbd", database, lambda: self._answers(*ping))
        slurmdbd = {
            "AuthType": "auth/munge",
            "AuthInfo": f"socket={self._munge_socket}",
            "CommunicationParameters": "NoInAddrAny",
            "DbdHost": _host(),
            "DbdAddr": "127.0.0.1",
            "DbdPort": self._port + 1,
            "SlurmUser": "root",
            "StorageType": "accounting_storage/mysql",
            "StorageHost": "127.0.0.1",
            "StoragePort": self._port + 2,
            "StorageUser": "slurm",
            "StoragePass": password,
            "StorageLoc": "slurm",
            "PidFile": self.folder / "slurmdbd.pid",
        }
        _write_private(self.folder / "slurmdbd.conf", _settings(slurmdbd))
        self._launch("slurmdbd", ["slurmdbd", "-D"], lambda: self._answers("sacctmgr", "-n", "show", "cluster"))

    def _launch(self, name: str, command: Sequence[str], ready: Callable[[], bool] | None = None) -> None:
        assert name not in self._processes, f"{name} runs already"
        with (self.folder / f"{name}.out").open("ab") as out:
            command = ["setpriv", "--pdeathsig", "KILL", *command]  # not even a killed test leaves a daemon behind
            self._processes[name] = subprocess.Popen(
                command, env=self.env, cwd=self.folder, stdin=DEVNULL, stdout=out, stderr=out, start_new_session=True
            )
        if ready is not None:
            self._wait(name, ready)

    def _wait(self, what: str, ready: Callable[[], bool]) -> None:
        deadline = time.monotonic() + START_TIMEOUT_S
        while not ready():
            process = self._processes.get(what)
            if time.monotonic() > deadline or (process is not None and process.poll() is not None):
                log = self.folder / f"{what}.out"
                words = log.read_text(errors="replace")[-2000:] if log.exists() else ""
                raise RuntimeError(f"{what} did not come within {START_TIMEOUT_S:.0f} s, or ended:\n{words}")
            time.sleep(0.05)

    def _kill(self, name: str, how: signal.Signals = signal.SIGKILL) -> None:
        process = self._processes.pop(name)
        process.send_signal(how)
        process.wait()

    def _answers(self, *command: str) -> bool:
        return subprocess.run(["timeout", "5", *command], env=self.env, capture_output=True).returncode == 0

    def _state(self, name: str) -> str:
        return self.call("sinfo", "--noheader", "--partition=main", f"--nodes={name}", "--format=%T")

    def _node_is_up(self, name: str) -> bool:
        return self._state(name) in ("idle", "mixed", "allocated", "completing", "planned")


def _settings(lines: Lines) -> str:
    return "".join(f"{key}={value}\n" for key, value in lines.items())


def _write_private(path: Path, text: str) -> None:
    path.touch(mode=0o600)  # the daemons refuse secrets that others can read
    path.write_text(text)


def _host() -> str:
    return socket.gethostname().split(".")[0]


def _free_ports(count: int) -> int:
    """Return the first of `count` free ports in a row, below those that the kernel hands out by itself."""
    draw = random.SystemRandom()
    for _ in range(100):
        first = draw.randrange(20000, 30000)
        try:
            for port in range(first, first + count):
                with socket.socket() as probe:
                    probe.bind(("127.0.0.1", port))
            return first
        except OSError:
            continue
    raise RuntimeError("no free ports")
