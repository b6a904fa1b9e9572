"""The servers and pgherd, and one run of the suite on them."""

import os
import pwd
import re
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from pathlib import Path

from outcome import UNENDED, Outcome
from terms import Trouble, say

USER = "postgres"
HOST = "127.0.0.1"

# Seconds that a server or pgherd may take to answer.
START_LIMIT = 30
# Seconds that an orderly end may take before a hard one.
STOP_LIMIT = 20
# Seconds for the suite, once. It takes half a minute on two idle cores and two minutes on busy
# ones; a test that hangs must not hold up the lane for ever.
SUITE_LIMIT = 240


class Ground:
    """A temporary directory, and the processes that live in it and end with it."""

    def __init__(self, suite, bindir, pgherd):
        self.bindir = bindir
        self.pgherd = pgherd
        self.source = suite
        self.children = []
        # PostgreSQL refuses to run as root.
        self.account = {}
        if os.geteuid() == 0:
            name = lesser_user()
            self.account = {"user": name, "group": pwd.getpwnam(name).pw_gid, "extra_groups": []}

    def __enter__(self):
        self.dir = Path(tempfile.mkdtemp(prefix="pgherd-regress-"))
        try:
            self.dir.chmod(0o755)
            self.unpack()
        except BaseException:
            shutil.rmtree(self.dir, ignore_errors=True)
            raise
        return self

    def __exit__(self, *_):
        self.end_all()
        shutil.rmtree(self.dir, ignore_errors=True)

    def unpack(self):
        """Lays out the suite where the servers can read it, with the libraries that it loads."""
        self.suite = self.dir / "suite"
        shutil.copytree(self.source, self.suite)
        packaged = self.bindir.parent / "lib"
        for name in ["refint.so", "autoinc.so"]:
            shutil.copy(packaged / name, self.suite / name)
        for path in [self.suite, *self.suite.rglob("*")]:
            path.chmod(0o755 if path.is_dir() or path.suffix == ".so" else 0o644)
        self.driver = packaged / "pgxs/src/test/regress/pg_regress"
        if not self.driver.exists():
            raise Trouble(f"there is no {self.driver}")

    def make_dir(self, name, mode):
        """Makes a directory of the user that the servers run as."""
        path = self.dir / name
        path.mkdir(mode=mode)
        if self.account:
            os.chown(path, pwd.getpwnam(self.account["user"]).pw_uid, self.account["group"])
        return path

    def spawn(self, command, log, **how):
        """Starts a process that ends with this directory, whatever happens."""
        with open(self.dir / log, "ab") as out:
            child = subprocess.Popen(
                words(command), cwd=self.dir, stdin=subprocess.DEVNULL, stdout=out,
                stderr=subprocess.STDOUT, start_new_session=True, **how,
            )
        self.children.append(child)
        return child

    def run(self, command):
        """Runs a program of PostgreSQL's to its end; what it says is shown only if it fails."""
        ran = subprocess.run(
            words(command), cwd=self.dir, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT, text=True, **self.account,
        )
        if ran.returncode:
            raise Trouble(f"{command[0]} failed:\n{ran.stdout.rstrip()}")

    def end_all(self):
        """Ends every process, the last one first."""
        while self.children:
            end(self.children[-1])
            self.children.pop()

    def play(self, name, way, tests):
        """Runs the suite on a fresh server, through pgherd if a way is given."""
        say(f"{name}: {way.about}" if way else f"{name}: without pgherd")
        port = self.start_primary(name, standby=way is not None and way.standby)
        if way:
            ports = [port, self.start_standby(name, port)] if way.standby else [port]
            port = self.start_pgherd(name, way, ports)
        # Every pass says the same paths, so that these cannot be a difference.
        place = self.make_dir("run", 0o755)
        started = time.monotonic()
        statuses = self.run_suite(name, port, tests)
        ended = [test for test, ended in statuses.items() if ended != UNENDED]
        took = time.monotonic() - started
        say(f"{name}: {len(ended)} of {len(statuses)} tests ended, in {took:.0f} s")
        self.end_all()
        return Outcome(place.rename(self.dir / name), statuses, way)

    def start_primary(self, name, standby):
        """Sets up a server and waits until it takes connections."""
        data = self.make_dir(f"primary-{name}", 0o700)
        # The C locale is the one that the expected files are written for.
        self.run([self.bindir / "initdb", "-D", data, "-U", USER, "-A", "trust", "-E", "UTF8",
                  "--no-locale", "--no-sync"])
        port = self.start_server(data, f"primary-{name}.log")
        if standby:
            self.start_backup(name, port)
            # A read must find on the standby what was written before it.
            self.sql(port, "ALTER SYSTEM SET synchronous_standby_names = 'standby'")
            self.sql(port, "ALTER SYSTEM SET synchronous_commit = 'remote_apply'")
        return port

    def start_backup(self, name, port):
        """Copies a primary's data for a standby."""
        data = self.make_dir(f"standby-{name}", 0o700)
        target = f"host={HOST} port={port} user={USER} application_name=standby"
        self.run([self.bindir / "pg_basebackup", "-D", data, "-d", target, "-R", "--no-sync",
                  "--checkpoint=fast"])

    def start_standby(self, name, primary):
        """Starts the standby, and then lets the primary wait for it."""
        port = self.start_server(self.dir / f"standby-{name}", f"standby-{name}.log")
        self.sql(primary, "SELECT pg_reload_conf()")
        return port

    def sql(self, port, statement):
        """Has a server carry out a statement."""
        self.run([self.bindir / "psql", "-X", "-q", "-h", HOST, "-p", port, "-U", USER,
                  "-d", "postgres", "-c", statement])

    def start_server(self, data, log):
        """Starts a server and waits until it takes connections."""
        port = free_port()
        settings = {
            "listen_addresses": HOST, "port": port, "unix_socket_directories": "", "fsync": "off",
            # The suite's own temporary instance has it.
            "max_prepared_transactions": 2,
        }
        flags = [word for name, value in settings.items() for word in ("-c", f"{name}={value}")]
        server = self.spawn([self.bindir / "postgres", "-D", data, *flags], log, **self.account)
        ready = words([self.bindir / "pg_isready", "-q", "-h", HOST, "-p", port])
        self.wait_ready(server, log, lambda: subprocess.run(ready).returncode == 0)
        return port

    def start_pgherd(self, name, way, servers):
        """Starts pgherd in front of the servers and waits until it takes connections."""
        port = free_port()
        config = self.dir / f"pgherd-{name}.toml"
        # The suite has up to twenty clients of one user at once, and each of pgherd's threads has
        # only its part of a limit.
        text = (
            f'listen_addresses = "{HOST}"\nport = {port}\nunix_socket_directories = ""\n'
            f'sr_check_user = "{USER}"\npool_size_max = 80\n{way.settings}'
        )
        for number, server in enumerate(servers):
            # The primary gets reads only where there is nobody else.
            weight = 0 if number == 0 and len(servers) > 1 else 1
            text += f'\n[[backends]]\nhostname = "{HOST}"\nport = {server}\nweight = {weight}\n'
        config.write_text(text)
        log = f"pgherd-{name}.log"
        herder = self.spawn([self.pgherd, "run", "--config", config], log)
        self.wait_ready(herder, log, lambda: listens(port))
        return port

    def wait_ready(self, child, log, ready):
        """Waits until a process answers; its log is the explanation if it does not."""
        deadline = time.monotonic() + START_LIMIT
        while not ready():
            if child.poll() is not None or time.monotonic() > deadline:
                raise Trouble(f"it does not start:\n{(self.dir / log).read_text()}")
            time.sleep(0.05)

    def run_suite(self, name, port, tests):
        """Runs pg_regress and shows what it says; returns how every test ended."""
        statuses = dict.fromkeys(["test_setup", *tests] if tests else self.all_tests(), UNENDED)
        command = [self.driver, f"--bindir={self.bindir}", f"--inputdir={self.suite}",
                   f"--dlpath={self.suite}", f"--outputdir={self.dir}/run", f"--host={HOST}",
                   f"--port={port}", f"--user={USER}"]
        scheduled = [] if tests else self.scheduled()
        if scheduled:
            command.append(f"--schedule={self.suite}/parallel_schedule")
        command += [test for test in statuses if test not in scheduled]
        unset = {key: value for key, value in os.environ.items() if not key.startswith("PG")}
        runner = subprocess.Popen(
            words(command), cwd=self.dir, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT, text=True, errors="replace", env=unset,
            start_new_session=True, **self.account,
        )
        # Ending pg_regress ends the loop below; its clients go with the server.
        signal.signal(signal.SIGALRM, lambda *_: runner.kill())
        signal.alarm(SUITE_LIMIT)
        try:
            for line in runner.stdout:
                print(f"{name:>11} | {line}", end="", flush=True)
                statuses.update(status(line))
        finally:
            signal.alarm(0)
            end(runner, signal.SIGTERM)
        return statuses

    def scheduled(self):
        """Lists the tests of the suite's own schedule."""
        text = (self.suite / "parallel_schedule").read_text()
        lines = re.findall(r"(?m)^(?:test|ignore):(.*)$", text)
        return list(dict.fromkeys(" ".join(lines).split()))

    def all_tests(self):
        """Lists every test: those of the schedule, then the slow ones that it leaves out."""
        every = sorted(path.stem for path in (self.suite / "sql").glob("*.sql"))
        return dict.fromkeys([*self.scheduled(), *every])


def status(line):
    """Reads how a test ended from a line of pg_regress, in the form of 15 or in that of 16."""
    old = re.match(r"(?:test|\s)\s*(\S+)\s+\.\.\. (.*?)\s+\d+ ms$", line)
    if old:
        yield old[1], old[2]
    new = re.match(r"(ok|not ok) \d+\s+[-+] (\S+)\s+\d+ ms", line)
    if new:
        yield new[2], new[1]


def words(command):
    """Turns paths and numbers of a command into words."""
    return [str(word) for word in command]


def lesser_user():
    """Chooses whom root's servers run as."""
    for name in ["postgres", "nobody"]:
        try:
            pwd.getpwnam(name)
        except KeyError:
            continue
        return name
    raise Trouble("PostgreSQL does not run as root, and there is no user postgres or nobody")


def end(child, how=signal.SIGINT):
    """Ends a process that was started here, in order or else hard.

    Servers and pgherd take an interrupt as the wish to end without waiting for clients.
    """
    if child.poll() is not None:
        return
    child.send_signal(how)
    try:
        child.wait(STOP_LIMIT)
    except subprocess.TimeoutExpired:
        say(f"process {child.pid} does not end in order")
        child.kill()
        child.wait()


def free_port():
    """Finds a port that nothing uses right now."""
    with socket.socket() as listener:
        listener.bind((HOST, 0))
        return listener.getsockname()[1]


def listens(port):
    """Says whether something takes connections on a port."""
    with socket.socket() as client:
        return client.connect_ex((HOST, port)) == 0
