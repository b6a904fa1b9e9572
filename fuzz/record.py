#!/usr/bin/env python3
"""Records what real clients and a real PostgreSQL server say to each other: record.py DIRECTORY

Each conversation of `CONVERSATIONS` becomes DIRECTORY/<name>.bin. `tests/tests/corpus/relay.rs`
plays them against pgherd. A recording is a sequence of pieces, in the order in which they passed
through the recorder; a piece is

    1 byte   `C` for the client's bytes, `S` for the server's
    4 bytes  length, big-endian
    n bytes  as they were

A recording begins with the client's startup packet; encryption is not asked for, and the server
trusts everybody. It holds one connection.

The server is a throw-away one. Needs initdb, pg_ctl, psql and pgbench (in $PG_BINDIR, or where
Debian has them), and psycopg 3 for Python.
"""

import glob
import os
import pathlib
import pwd
import selectors
import shutil
import socket
import struct
import subprocess
import sys
import tempfile
import threading

import psycopg

BIN = os.environ.get("PG_BINDIR") or sorted(glob.glob("/usr/lib/postgresql/*/bin"))[-1]
AS_ROOT = os.geteuid() == 0


def free_port():
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return listener.getsockname()[1]


class Server:
    """A server that trusts everybody on the loopback address."""

    def __enter__(self):
        self.dir = tempfile.mkdtemp(prefix="pgherd-record-")
        self.port = free_port()
        if AS_ROOT:
            account = pwd.getpwnam("postgres")
            os.chown(self.dir, account.pw_uid, account.pw_gid)
        self.run("initdb", "-D", f"{self.dir}/data", "-U", "postgres", "-A", "trust", "-E", "UTF8",
                 "--no-locale")
        options = f"-p {self.port} -c listen_addresses=127.0.0.1 -k {self.dir}"
        self.run("pg_ctl", "-D", f"{self.dir}/data", "-w", "-l", f"{self.dir}/log", "-o", options,
                 "start")
        return self

    def run(self, program, *args):
        command = [f"{BIN}/{program}", *args]
        if AS_ROOT:
            command = ["setpriv", "--reuid=postgres", "--regid=postgres", "--init-groups", *command]
        subprocess.run(command, check=True, stdout=subprocess.DEVNULL, cwd="/")

    def __exit__(self, *_):
        self.run("pg_ctl", "-D", f"{self.dir}/data", "-w", "-m", "fast", "stop")
        shutil.rmtree(self.dir)


class Recorder:
    """Passes connections on to the server, one at a time, and keeps what passes on the last."""

    def __init__(self, upstream):
        self.upstream = upstream
        self.pieces = []
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.port = self.listener.getsockname()[1]
        self.thread = threading.Thread(target=self.serve)
        self.thread.start()

    def serve(self):
        while True:
            client, _ = self.listener.accept()
            pieces = self.relay(client)
            if not pieces:
                return
            self.pieces = pieces

    def relay(self, client):
        pieces = []
        server = socket.create_connection(("127.0.0.1", self.upstream))
        with selectors.DefaultSelector() as selector:
            selector.register(client, selectors.EVENT_READ, (b"C", server))
            selector.register(server, selectors.EVENT_READ, (b"S", client))
            while selector.get_map():
                for key, _ in selector.select():
                    side, other = key.data
                    data = key.fileobj.recv(65536)
                    if data:
                        pieces.append((side, data))
                        other.sendall(data)
                    else:
                        selector.unregister(key.fileobj)
                        try:
                            other.shutdown(socket.SHUT_WR)
                        except OSError:
                            pass  # It has closed already.
        client.close()
        server.close()
        return pieces

    def write(self, path):
        # A connection without a word is the end.
        socket.create_connection(("127.0.0.1", self.port)).close()
        self.thread.join(30)
        assert not self.thread.is_alive(), "the client has not closed its connection"
        with open(path, "wb") as file:
            for side, data in self.pieces:
                file.write(side + struct.pack("!I", len(data)) + data)
        print(f"{path}: {len(self.pieces)} pieces, {sum(len(d) for _, d in self.pieces)} bytes")


ENVIRONMENT = {
    **os.environ,
    "PGSSLMODE": "disable",
    "PGGSSENCMODE": "disable",
    "PGHOST": "127.0.0.1",
    "PGUSER": "postgres",
    "PGDATABASE": "postgres",
}


def run(port, program, *args, stdin=""):
    environment = {**ENVIRONMENT, "PGPORT": str(port)}
    subprocess.run([f"{BIN}/{program}", *args], env=environment, input=stdin.encode(), check=False,
                   stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)


def psql(script):
    return lambda port: run(port, "psql", "-X", "-q", stdin=script)


def pgbench(mode, script, count=4):
    def play(port):
        with tempfile.NamedTemporaryFile("w", suffix=".sql") as file:
            file.write(script)
            file.flush()
            run(port, "pgbench", "-n", "-M", mode, "-t", str(count), "-f", file.name)

    return play


def connect(port, **options):
    return psycopg.connect(host="127.0.0.1", port=port, user="postgres", dbname="postgres",
                           sslmode="disable", gssencmode="disable", **options)


def psycopg_transactions(port):
    with connect(port) as conn:
        conn.execute("create table py (n int primary key, t text)")
        with conn.transaction():
            conn.execute("insert into py values (%s, %s)", (1, "one"))
            try:
                with conn.transaction():
                    conn.execute("insert into py values (1, 'again')")
            except psycopg.errors.UniqueViolation:
                pass
        conn.rollback()
        conn.execute("drop table if exists py")


def psycopg_prepared(port):
    with connect(port, autocommit=True, prepare_threshold=2) as conn:
        for number in range(6):
            conn.execute("select %s::int + 1, %s::text", (number, "x" * number), binary=number % 2)
        conn.execute("deallocate all")
        for number in range(3):
            conn.execute("select %s::int + 2", (number,))


def psycopg_pipeline(port):
    with connect(port, autocommit=True) as conn:
        with conn.pipeline():
            cursors = [conn.execute("select %s::int", (number,)) for number in range(20)]
        assert [cursor.fetchone()[0] for cursor in cursors] == list(range(20))
        try:
            with conn.pipeline() as pipeline:
                conn.execute("select 1")
                conn.execute("select 1 / 0")
                conn.execute("select 2")
                pipeline.sync()
                conn.execute("select 3")
        except psycopg.errors.DivisionByZero:
            pass
        conn.execute("select 4")


def psycopg_copy(port):
    with connect(port, autocommit=True) as conn:
        conn.execute("create temp table py_copy (n int, t text)")
        with conn.cursor() as cursor:
            with cursor.copy("copy py_copy from stdin") as copy:
                for number in range(200):
                    copy.write_row((number, f"row {number}"))
            with cursor.copy("copy py_copy to stdout (format binary)") as copy:
                for _ in copy:
                    pass
            try:
                with cursor.copy("copy py_copy from stdin") as copy:
                    copy.write(b"no number\tx\n")
            except psycopg.errors.InvalidTextRepresentation:
                pass
            try:
                with cursor.copy("copy py_copy from stdin") as copy:
                    copy.write(b"1\tx\n")
                    raise ZeroDivisionError
            except ZeroDivisionError:
                pass
        conn.execute("select count(*) from py_copy")


def psycopg_cursor(port):
    with connect(port) as conn:
        with conn.cursor(name="c") as cursor:
            cursor.itersize = 7
            cursor.execute("select n, repeat('r', n) from generate_series(1, 30) n")
            assert len(list(cursor)) == 30


def message(tag, body=b""):
    return tag + struct.pack("!I", len(body) + 4) + body


def raw(*steps):
    """Plays steps: bytes to send, and after each the type byte and number of messages to await."""

    def play(port):
        with socket.create_connection(("127.0.0.1", port)) as conn:
            body = b"user\0postgres\0database\0postgres\0\0"
            conn.sendall(struct.pack("!II", len(body) + 8, 3 << 16) + body)
            stream = conn.makefile("rb")

            def wait(tag, count):
                while count:
                    header = stream.read(5)
                    stream.read(struct.unpack("!I", header[1:])[0] - 4)
                    count -= header[:1] == tag

            wait(b"Z", 1)
            for data, tag, count in steps:
                conn.sendall(data)
                wait(tag, count)
            conn.sendall(message(b"X"))
            stream.read()

    return play


def parse(text, name=b""):
    return message(b"P", name + b"\0" + text + b"\0\0\0")


def bind(name=b"", portal=b""):
    return message(b"B", portal + b"\0" + name + b"\0\0\0\0\0\0\0")


def describe(what, name=b""):
    return message(b"D", what + name + b"\0")


def execute(rows=0, portal=b""):
    return message(b"E", portal + b"\0" + struct.pack("!I", rows))


def query(text):
    return message(b"Q", text + b"\0")


SYNC = message(b"S")
FLUSH = message(b"H")
SERIES = b"select n, repeat('x', n) from generate_series(1, 10) n"

EXTENDED = raw(
    # A step at a time, each awaited with a Flush.
    (parse(SERIES, b"s") + FLUSH, b"1", 1),
    (describe(b"S", b"s") + FLUSH, b"T", 1),
    (bind(b"s", b"p") + FLUSH, b"2", 1),
    (describe(b"P", b"p") + FLUSH, b"T", 1),
    (execute(4, b"p") + FLUSH, b"s", 1),
    (execute(4, b"p") + FLUSH, b"s", 1),
    (execute(0, b"p") + FLUSH, b"C", 1),
    (SYNC, b"Z", 1),
    (bind(b"s") + execute() + message(b"C", b"Ss\0") + SYNC, b"Z", 1),
    (bind(b"s") + execute() + SYNC, b"Z", 1),
    (parse(b"") + bind() + execute() + SYNC, b"Z", 1),
    (parse(b"create temp table x (a int)") + bind() + describe(b"P") + execute() + SYNC, b"Z", 1),
    (SYNC + SYNC, b"Z", 2),
    (parse(b"select broken") + bind() + execute() + FLUSH, b"E", 1),
    (SYNC, b"Z", 1),
)

PIPELINED = raw(
    (b"".join(query(b"select %d" % n) for n in range(12)), b"Z", 12),
    (b"".join(parse(b"select %d" % n) + bind() + execute() + SYNC for n in range(12)), b"Z", 12),
    (
        parse(b"select 1") + bind() + execute()
        + parse(b"select 1/0") + bind() + execute()
        + parse(b"select 2") + bind() + execute() + SYNC
        + parse(b"select 3") + bind() + execute() + SYNC,
        b"Z",
        2,
    ),
    (query(b"select 1") + parse(b"select 2") + bind() + execute() + SYNC + query(b"select 3"), b"Z", 3),
    (query(b"begin; select 1; commit") + query(b"select broken; select 1") + query(b""), b"Z", 3),
)

COPIES = raw(
    (query(b"create temp table x (a int)"), b"Z", 1),
    (query(b"copy x from stdin"), b"G", 1),
    (message(b"d", b"1\n2\n") + message(b"d", b"3\n") + message(b"c"), b"Z", 1),
    (query(b"copy x from stdin"), b"G", 1),
    (message(b"d", b"1\n") + message(b"f", b"changed my mind\0"), b"Z", 1),
    (parse(b"copy x from stdin") + bind() + execute() + FLUSH, b"G", 1),
    (message(b"d", b"4\n") + message(b"c") + SYNC, b"Z", 1),
    (parse(b"copy x to stdout") + bind() + execute() + SYNC, b"Z", 1),
    (query(b"copy x from stdin; select count(*) from x"), b"G", 1),
    (message(b"d", b"5\n") + message(b"c"), b"Z", 1),
)

# current_date's oid is not fixed; int4pl is pg_proc 177 in every version.
FUNCTION = raw((
    message(b"F", struct.pack("!IHHHIIIIH", 177, 1, 1, 2, 4, 40, 4, 2, 1)), b"Z", 1,
))

CONVERSATIONS = {
    "psql-simple": psql(
        "select 1;\nselect 'ä', null, now() - now();\nselect nonsense;\n"
        "create temp table t (a int primary key);\ninsert into t select generate_series(1, 50);\n"
        "select * from t;\nupdate t set a = a + 100;\nbegin;\ninsert into t values (101);\n"
        "select 1;\nrollback;\nselect 1\\; select 2\\; select 3;\n;\nset timezone to 'UTC';\n"
        "set application_name to 'other';\nshow timezone;\n"
    ),
    "psql-notices": psql(
        "do $$ begin for n in 1..20 loop raise notice 'notice %', n; end loop; end $$;\n"
        "do $$ begin raise warning 'late' using detail = 'detail', hint = 'hint'; end $$;\n"
        "drop table if exists nowhere;\nlisten here;\nnotify here, 'payload';\nselect 1;\n"
    ),
    "psql-copy": psql(
        "create temp table t (a int, b text);\ncopy t from stdin;\n"
        + "".join(f"{n}\trow {n}\n" for n in range(100))
        + "\\.\ncopy t to stdout;\ncopy t (b) to stdout with csv header;\ncopy t from stdin;\n"
        "nonsense\n\\.\nselect count(*) from t;\n"
    ),
    "psql-large-rows": psql("select n, repeat(chr(96 + n), 4000) from generate_series(1, 20) n;\n"),
    "psql-describe": psql("\\d pg_am\n\\dt\n\\l\n"),
    "psql-gset": psql("\\set FETCH_COUNT 5\nselect * from generate_series(1, 17);\nselect 1 \\gdesc\n"),
    "pgbench-simple": pgbench("simple", "\\set n random(1, 9)\nbegin;\nselect :n;\nend;\n"),
    "pgbench-extended": pgbench("extended", "\\set n random(1, 9)\nbegin;\nselect :n + 1;\nend;\n"),
    "pgbench-prepared": pgbench("prepared", "\\set n random(1, 9)\nselect :n + 1;\nselect :n;\n"),
    "pgbench-pipeline": pgbench(
        "prepared", "\\startpipeline\n" + "select 1;\nselect 2;\n" * 5 + "\\endpipeline\n"
    ),
    "psycopg-transactions": psycopg_transactions,
    "psycopg-prepared": psycopg_prepared,
    "psycopg-pipeline": psycopg_pipeline,
    "psycopg-copy": psycopg_copy,
    "psycopg-cursor": psycopg_cursor,
    "raw-extended": EXTENDED,
    "raw-pipelined": PIPELINED,
    "raw-copies": COPIES,
    "raw-function-call": FUNCTION,
}


def main():
    directory = pathlib.Path(sys.argv[1])
    directory.mkdir(parents=True, exist_ok=True)
    with Server() as server:
        for name, play in CONVERSATIONS.items():
            recorder = Recorder(server.port)
            play(recorder.port)
            recorder.write(directory / f"{name}.bin")


main()
