"""What programs do with psycopg, through pgherd.

Called with a port. Exits with a traceback at the first thing that is not as PostgreSQL's
documentation or psycopg's says.
"""

import sys
import threading
import time

import psycopg
from psycopg import errors, sql
from psycopg.rows import dict_row

PORT = sys.argv[1]
INFO = (
    f"host=127.0.0.1 port={PORT} user=postgres password=postgres dbname=postgres connect_timeout=30"
)


def connect(**options):
    return psycopg.connect(INFO, **options)


def autocommit():
    with connect(autocommit=True) as conn:
        conn.execute("create table py_auto (n int primary key, t text)")
        conn.execute("insert into py_auto values (%s, %s)", (1, "one"))
        with connect(autocommit=True) as other:
            # By way of the primary, since a standby may be a moment behind.
            with other.transaction():
                assert other.execute("select t from py_auto where n = 1").fetchone() == ("one",)
        try:
            conn.execute("insert into py_auto values (1, 'again')")
            raise AssertionError("a duplicate key was accepted")
        except errors.UniqueViolation as error:
            assert error.diag.constraint_name == "py_auto_pkey"
        assert conn.info.transaction_status == psycopg.pq.TransactionStatus.IDLE


def transactions():
    with connect() as conn:
        conn.execute("create table py_tx (n int)")
        conn.commit()
        conn.execute("insert into py_tx values (1)")
        conn.rollback()
        with conn.transaction():
            conn.execute("insert into py_tx values (2)")
            try:
                with conn.transaction():
                    conn.execute("insert into py_tx values (3)")
                    conn.execute("select 1/0")
            except errors.DivisionByZero:
                pass
            conn.execute("insert into py_tx values (4)")
        rows = conn.execute("select n from py_tx order by n").fetchall()
        assert rows == [(2,), (4,)], rows
        conn.commit()
        conn.read_only = True
        try:
            conn.execute("insert into py_tx values (5)")
            raise AssertionError("a read-only transaction wrote")
        except errors.ReadOnlySqlTransaction:
            conn.rollback()
        conn.read_only = None
        conn.isolation_level = psycopg.IsolationLevel.SERIALIZABLE
        assert conn.execute("show transaction_isolation").fetchone() == ("serializable",)
        conn.rollback()


def cursors():
    with connect(row_factory=dict_row) as conn:
        with conn.cursor(name="on_the_server") as cursor:
            cursor.itersize = 100
            cursor.execute("select n, n * 2 as twice from generate_series(1, 1000) as n")
            total = sum(row["twice"] for row in cursor)
            assert total == 1001000, total
        with conn.cursor(name="scrolls", scrollable=True) as cursor:
            cursor.execute("select generate_series(0, 99) as n")
            cursor.scroll(50)
            assert cursor.fetchone() == {"n": 50}
            cursor.scroll(10, mode="absolute")
            assert cursor.fetchone() == {"n": 10}


def many():
    with connect() as conn, conn.cursor() as cursor:
        cursor.execute("create temp table py_many (n int, t text)")
        cursor.executemany(
            "insert into py_many values (%s, %s)", [(n, f"row {n}") for n in range(1000)]
        )
        assert cursor.rowcount == 1000
        cursor.executemany(
            "insert into py_many values (%s, 'x') returning n", [(1,), (2,)], returning=True
        )
        assert cursor.fetchone() == (1,) and cursor.nextset() and cursor.fetchone() == (2,)
        assert cursor.execute("select count(*) from py_many").fetchone() == (1002,)


def copy():
    with connect() as conn, conn.cursor() as cursor:
        cursor.execute("create table py_copy (n int, t text)")
        with cursor.copy("copy py_copy from stdin") as pipe:
            for n in range(50000):
                pipe.write_row((n, None if n % 10 == 0 else f"text {n}"))
        conn.commit()
        assert cursor.execute("select count(*), count(t) from py_copy").fetchone() == (50000, 45000)
        count = 0
        with cursor.copy("copy (select * from generate_series(1, 50000)) to stdout") as pipe:
            for _ in pipe.rows():
                count += 1
        assert count == 50000, count
        with cursor.copy("copy (select 7::int4, 'x'::text) to stdout (format binary)") as pipe:
            pipe.set_types(["int4", "text"])
            assert list(pipe.rows()) == [(7, "x")]
        try:
            with cursor.copy("copy py_copy from stdin") as pipe:
                pipe.write("not a number\ttext\n")
            raise AssertionError("nonsense was copied")
        except errors.InvalidTextRepresentation:
            conn.rollback()
        try:
            with cursor.copy("copy py_copy from stdin") as pipe:
                pipe.write_row((1, "x"))
                raise KeyError("the program changed its mind")
        except KeyError:
            conn.rollback()
        assert cursor.execute("select 1").fetchone() == (1,)


def pipelines():
    with connect(autocommit=True) as conn:
        conn.execute("create table py_pipe (n int)")
        with conn.pipeline() as pipeline:
            cursors_sent = [
                conn.execute("insert into py_pipe values (%s) returning n", (n,))
                for n in range(100)
            ]
            pipeline.sync()
            assert [cursor.fetchone()[0] for cursor in cursors_sent] == list(range(100))
        try:
            with conn.pipeline():
                conn.execute("insert into py_pipe values (1000)")
                conn.execute("select 1/0")
                conn.execute("insert into py_pipe values (1001)")
            raise AssertionError("an error in a pipeline was lost")
        except errors.DivisionByZero:
            pass
        with conn.transaction():
            assert conn.execute("select max(n) from py_pipe").fetchone() == (99,)


def prepared():
    with connect(prepare_threshold=0) as conn:
        for n in range(20):
            assert conn.execute("select %s::int + 1", (n,)).fetchone() == (n + 1,)
        conn.commit()
        for n in range(20):
            assert conn.execute("select %s::int + 1", (n,)).fetchone() == (n + 1,)
    with connect(prepare_threshold=2, autocommit=True) as conn:
        conn.prepared_max = 5
        conn.execute("create table py_prep (n int)")
        # More statements than are kept: the oldest are deallocated all the time.
        for _ in range(3):
            for n in range(12):
                for _ in range(3):
                    conn.execute(f"insert into py_prep values (%s + {n})", (n,))
                    conn.execute(f"select count(*) + {n} from pg_class where oid > %s", (n,))
        with conn.transaction():
            assert conn.execute("select count(*) from py_prep").fetchone() == (108,)


def notifications():
    with connect(autocommit=True) as listener, connect(autocommit=True) as speaker:
        channel = sql.Identifier("py_news")
        listener.execute(sql.SQL("listen {}").format(channel))
        speaker.execute("select pg_notify('py_news', 'hello')")
        speaker.execute(sql.SQL("notify {}, 'world'").format(channel))
        heard = [notice.payload for notice in listener.notifies(timeout=30, stop_after=2)]
        assert heard == ["hello", "world"], heard
    heard = []
    with connect(autocommit=True) as conn:
        conn.add_notice_handler(lambda diag: heard.append(diag.message_primary))
        conn.execute("do $$ begin raise notice 'to know'; end $$")
    assert heard == ["to know"], heard


def cancel():
    with connect(autocommit=True) as conn:
        stop = threading.Event()

        def canceller():
            # A cancel that comes before the query runs does nothing, so it is repeated.
            while not stop.wait(0.2):
                conn.cancel_safe(timeout=30)

        thread = threading.Thread(target=canceller)
        thread.start()
        try:
            conn.execute("select pg_sleep(60)")
            raise AssertionError("the sleeper was not woken")
        except errors.QueryCanceled:
            pass
        finally:
            stop.set()
            thread.join()
        assert conn.execute("select 1").fetchone() == (1,)


def timeouts():
    with connect(autocommit=True, options="-c statement_timeout=300ms") as conn:
        began = time.monotonic()
        try:
            conn.execute("select pg_sleep(30)")
            raise AssertionError("the timeout of the startup packet does not hold")
        except errors.QueryCanceled:
            assert time.monotonic() - began < 20
        conn.execute("set statement_timeout = 0")
        assert conn.execute("show statement_timeout").fetchone() == ("0",)
        assert conn.execute("select 1").fetchone() == (1,)


def refusals():
    try:
        psycopg.connect(INFO, password="wrong")
        raise AssertionError("a wrong password was accepted")
    except psycopg.OperationalError as error:
        assert "password authentication failed" in str(error), error


for traffic in [
    autocommit,
    transactions,
    cursors,
    many,
    copy,
    pipelines,
    prepared,
    notifications,
    cancel,
    timeouts,
    refusals,
]:
    try:
        traffic()
    except BaseException:
        print(f"in {traffic.__name__}", file=sys.stderr)
        raise
    print(f"{traffic.__name__}: ok")
