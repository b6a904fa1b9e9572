#!/usr/bin/env python3
"""Writes the hand-made inputs of the corpora: corpus/<target>/seed-*, the same ones every time.

What fuzzing has found beside them has names of its own and is left alone.
"""

import pathlib
import struct

TOP = pathlib.Path(__file__).parent / "corpus"


def write(target, seeds):
    directory = TOP / target
    directory.mkdir(parents=True, exist_ok=True)
    for old in directory.glob("seed-*"):
        old.unlink()
    for name, data in seeds.items():
        data = data.encode() if isinstance(data, str) else data
        (directory / f"seed-{name}").write_bytes(data)


def message(tag, body=b""):
    return tag + struct.pack("!I", len(body) + 4) + body


def first(code, rest=b""):
    return struct.pack("!II", len(rest) + 8, code) + rest


SSL, GSS, CANCEL = (1234 << 16 | code for code in (5679, 5680, 5678))
V3 = 3 << 16
LOGIN = first(V3, b"user\0a\0database\0b\0application_name\0psql\0\0")


def query(text):
    return message(b"Q", text.encode() + b"\0")


def parse(text, name=b""):
    return message(b"P", name + b"\0" + text.encode() + b"\0\0\0")


def bind(name=b"", portal=b""):
    return message(b"B", portal + b"\0" + name + b"\0\0\0\0\0\0\0")


EXECUTE = message(b"E", b"\0\0\0\0\0")
DESCRIBE = message(b"D", b"P\0")
SYNC = message(b"S")
FLUSH = message(b"H")
TERMINATE = message(b"X")


def batch(text, name=b""):
    return parse(text, name) + bind(name) + DESCRIBE + EXECUTE


def copy_data(data):
    return message(b"d", data)


READY = message(b"Z", b"I")
PARSED = message(b"1") + message(b"2") + message(b"n")
COMPLETE = message(b"C", b"SELECT 1\0")
ROW = message(b"D", struct.pack("!HI", 1, 3) + b"one")
ERROR = message(b"E", b"SERROR\0VERROR\0C42601\0Mno\0\0")
FATAL = message(b"E", b"SFATAL\0VFATAL\0C57P01\0Mterminating connection\0\0")

write(
    "frame",
    {
        "nothing": b"\xff",
        "half-a-header": b"\xffD\0\0",
        "two-gigabytes": b"\xffD\x7f\xff\xff\xff" + b"x" * 20,
        "negative-length": b"\xffD\xff\xff\xff\xff",
        "one-gigabyte": b"\xffD\x3f\xff\xff\xff" + b"x" * 20,
        "length-3": b"\xffQ\0\0\0\x03",
        "length-4": b"\xffQ\0\0\0\x04" + SYNC,
        "queries": b"\xff" + query("select 1") + query("select 2") + TERMINATE,
        "queries-byte-by-byte": b"\0" + query("select 1") + query("select 2") + TERMINATE,
        "batch": b"\x05" + batch("select $1") + SYNC,
        "rows": b"\x10" + ROW * 9 + COMPLETE + READY,
        "error": b"\x03" + ERROR + READY,
        "unknown-tag": b"\xff" + SYNC + b"!\0\0\0\x04",
        "copy": b"\x02" + copy_data(b"1\t2\n") * 5 + message(b"c"),
        "password": b"\x09" + message(b"p", b"secret\0"),
        "long-row": b"\xff" + message(b"D", b"r" * 3000) + READY,
        "row-that-does-not-end": b"\xffD\0\x01\0\0" + b"r" * 300,
    },
)

write(
    "startup",
    {
        "nothing": b"",
        "half-a-length": b"\0\0",
        "half-a-packet": LOGIN[:20],
        "login": LOGIN,
        "login-and-more": LOGIN + query("select 1"),
        "ssl": first(SSL),
        "ssl-and-garbage": first(SSL) + b"\x16\x03\x01garbage",
        "ssl-too-long": first(SSL, b"\0" * 8),
        "gss": first(GSS),
        "cancel": first(CANCEL, struct.pack("!I", 7) + b"abcd"),
        "cancel-without-key": first(CANCEL, struct.pack("!I", 7)),
        "cancel-key-256": first(CANCEL, struct.pack("!I", 7) + b"k" * 256),
        "cancel-key-257": first(CANCEL, struct.pack("!I", 7) + b"k" * 257),
        "version-2": first(2 << 16),
        "version-3-2": first(V3 | 2, b"user\0a\0\0"),
        "version-3-9999-grease": first(V3 | 9999, b"user\0a\0_pq_.grease\0x\0\0"),
        "version-4": first(4 << 16, b"user\0a\0\0"),
        "length-7": b"\0\0\0\x07xxxx",
        "length-10001": b"\0\0\x27\x11" + b"x" * 40,
        "two-gigabytes": b"\x7f\xff\xff\xff",
        "negative-length": b"\xff\xff\xff\xff\0\x03\0\0",
        "http": b"GET / HTTP/1.1\r\nHost: a\r\n\r\n",
        "tls": b"\x16\x03\x01\x02\0\x01\0\x01\xfc\x03\x03",
        "no-terminator": first(V3, b"user\0a\0"),
        "name-alone": first(V3, b"user\0\0"),
        "empty-value": first(V3, b"user\0\0\0"),
        "no-user": first(V3, b"database\0b\0\0"),
        "empty-name": first(V3, b"\0a\0user\0b\0\0"),
        "user-twice": first(V3, b"user\0a\0user\0b\0\0"),
        "replication": first(V3, b"user\0a\0replication\0database\0\0"),
        "not-utf8": first(V3, b"user\0\xff\xfe\0\0"),
    },
)

write(
    "frontend",
    {
        "nothing": b"",
        "nul": b"\0",
        "query": b"select 1\0",
        "query-open": b"select 1",
        "query-nul-inside": b"select\0 1\0",
        "parse": b"s\0select $1\0\0\x01\0\0\0\x17",
        "parse-open": b"s\0select 1",
        "bind": b"p\0s\0\0\x01\0\0\0\x01\0\0\0\x01x\0\0",
        "bind-null": b"\0\0\0\0\0\x01\xff\xff\xff\xff\0\0",
        "execute": b"p\0\0\0\0\x0a",
        "execute-short": b"p\0\0",
        "describe-statement": b"Ss\0",
        "describe-portal": b"P\0",
        "describe-neither": b"Xs\0",
        "describe-kind-alone": b"S",
        "key-data": struct.pack("!I", 7) + b"abcd",
        "error": ERROR[5:],
        "error-open": b"SERROR\0C42",
        "fatal": FATAL[5:],
        "not-utf8": b"\xff\xfe\0\xc3\x28\0",
    },
)

LONG = "select '" + "x" * 3000 + "'"
CONVERSATIONS = {
    "query": query("select 1"),
    "queries": query("select 1") + query("select 2") + query("broken") + query("select 3"),
    "terminate": TERMINATE,
    "query-terminate": query("select 1") + TERMINATE,
    "batch": batch("select $1") + SYNC,
    "named": batch("select $1", b"s") + SYNC + bind(b"s") + EXECUTE + SYNC,
    "pipeline-with-error": batch("select 1") + batch("broken") + batch("select 2") + SYNC,
    "pipeline-of-syncs": (batch("select 1") + SYNC) * 5 + SYNC * 3,
    "flush": batch("select 1") + FLUSH,
    "sync-alone": SYNC,
    "copy-in": query("copy t from stdin") + copy_data(b"1\n") * 3 + message(b"c"),
    "copy-fail": query("copy t from stdin") + copy_data(b"1\n") + message(b"f", b"no\0"),
    "copy-broken-off": query("copy t from stdin") + copy_data(b"1\n") + query("select 1"),
    "copy-extended": batch("copy t from stdin") + SYNC + copy_data(b"1\n") + message(b"c") + SYNC,
    "copy-out": query("copy t to stdout"),
    "copy-data-alone": copy_data(b"1\n") + message(b"c") + query("select 1"),
    "transaction": query("begin") + query("insert into t values (1)") + query("commit"),
    "transaction-failed": query("begin") + query("broken") + query("select 1") + query("rollback"),
    "read-only": query("begin read only") + query("select 1") + query("commit"),
    "read-only-lock": query("begin read only") + query("select pg_advisory_lock(1)"),
    "settings": query("set work_mem to '1MB'") + query("select 1") + query("insert into t values (1)"),
    "setting-and-batch": query("set work_mem to '1MB'") + batch("select 1") + SYNC,
    "discard": query("set work_mem to '1MB'") + query("discard all") + query("select 1"),
    "show": query("show pool_nodes") + query("show pool_version") + query("select 1"),
    "show-extended": batch("show pool_nodes") + SYNC,
    "show-mixed": batch("show pool_nodes") + batch("select 1") + SYNC,
    "function-call": message(b"F", b"\0" * 10),
    "long": query(LONG) + query("select 1"),
    "empty": query("") + query(" ; "),
    "multi": query("select 1; insert into t values (1)"),
    "query-without-nul": message(b"Q", b"select 1"),
    "parse-without-nul": message(b"P", b"s\0select"),
    "unknown-tag": query("select 1") + b"!\0\0\0\x04",
    "password": message(b"p", b"secret\0"),
    "length-3": b"Q\0\0\0\x03",
    "two-gigabytes": b"Q\x7f\xff\xff\xff",
    "one-gigabyte": b"d\x3f\xff\xff\xff" + b"x" * 100,
    "half-a-header": query("select 1") + b"Q\0\0",
    "half-a-query": query("select 1")[:9],
    "close-statement": batch("select 1", b"s") + SYNC + message(b"C", b"Ss\0") + SYNC,
    "describe-unknown": message(b"D", b"Sx\0") + SYNC,
    "long-name": bind(b"n" * 2000) + SYNC,
    "temp-table": query("create temp table t (a int)") + query("select * from t"),
    "listen": query("listen a") + query("select 1"),
}
SESSIONS = {f"{name}-{flags}": bytes([flags]) + data for name, data in CONVERSATIONS.items() for flags in [0]}
SESSIONS |= {
    f"{name}-standby": b"\x01" + data
    for name, data in CONVERSATIONS.items()
    if name.split("-")[0] in ("query", "queries", "batch", "named", "pipeline", "read", "setting", "settings", "discard", "temp", "copy")
}
SESSIONS |= {
    f"{name}-bytewise": b"\x05" + data
    for name, data in CONVERSATIONS.items()
    if name in ("query", "named", "pipeline-with-error", "copy-in", "settings", "show", "transaction")
}
SESSIONS |= {"slow-client": b"\x02" + query(LONG) * 20}
SESSIONS |= {
    "start-" + name: b"\x10" + data
    for name, data in {
        "login": LOGIN + query("select 1"),
        "ssl-garbage": first(SSL) + b"garbage",
        "ssl-login": first(SSL) + LOGIN,
        "ssl-twice": first(SSL) + first(SSL) + first(SSL),
        "gss": first(GSS),
        "cancel": first(CANCEL, struct.pack("!I", 0) + b"abcd"),
        "cancel-elsewhere": first(CANCEL, struct.pack("!I", 0x7FFFFFFF) + b"abcd"),
        "version-2": first(2 << 16),
        "grease": first(V3 | 9999, b"user\0a\0_pq_.grease\0x\0\0") + query("select 1"),
        "no-user": first(V3, b"database\0b\0\0"),
        "replication": first(V3, b"user\0a\0replication\0true\0\0"),
        "http": b"GET / HTTP/1.1\r\n\r\n",
    }.items()
}
write("session", SESSIONS)

WILD = {
    "silence": b"",
    "honest": message(b"T", b"\0\0") + ROW + COMPLETE + READY,
    "batch": PARSED + COMPLETE + READY,
    "error": ERROR + READY,
    "error-alone": ERROR,
    "fatal": FATAL,
    "fatal-then-rows": FATAL + ROW + READY,
    "half-a-row": b"D\0\0\1\0" + b"r" * 20,
    "half-a-header": ROW + b"D\0",
    "ready-twice": COMPLETE + READY + READY,
    "ready-without-status": COMPLETE + message(b"Z"),
    "ready-nonsense": COMPLETE + message(b"Z", b"?"),
    "ready-long": COMPLETE + message(b"Z", b"I" * 100),
    "two-gigabytes": b"D\x7f\xff\xff\xff",
    "one-gigabyte": b"D\x3f\xff\xff\xff" + b"r" * 50,
    "error-long": b"E\0\x01\x86\xa0" + b"M" * 500,
    "length-3": b"Z\0\0\0\3",
    "unknown-tag": b"!\0\0\0\4",
    "authentication": message(b"R", b"\0\0\0\5salt"),
    "copy-in": message(b"G", b"\0\0\0"),
    "copy-in-ready": message(b"G", b"\0\0\0") + COMPLETE + READY,
    "copy-both": message(b"W", b"\0\0\0"),
    "notices": message(b"N", b"SNOTICE\0\0") * 5 + COMPLETE + READY,
    "notification": message(b"A", struct.pack("!I", 7) + b"a\0b\0") + COMPLETE + READY,
    "parameter": message(b"S", b"TimeZone\0UTC\0") + COMPLETE + READY,
    "parameter-hidden": message(b"S", b"in_hot_standby\0on\0") + COMPLETE + READY,
    "parsed-too-often": message(b"1") * 9 + READY,
    "key-data": message(b"K", b"\0\0\0\1abcd"),
}
SERVERS = {}
for number, question in [(0, "query"), (1, "batch"), (3, "flush"), (5, "copy"), (6, "set")]:
    for name, data in WILD.items():
        if number in (0, 1) or name in ("error", "half-a-row", "copy-in", "ready-twice", "honest"):
            SERVERS[f"{question}-{name}"] = bytes([0, 16 | number]) + data
WELCOME = message(b"R", b"\0\0\0\0") + message(b"S", b"a\0b\0") + message(b"K", b"\0\0\0\1abcd")
for name, data in {
    "refused": FATAL,
    "md5": message(b"R", b"\0\0\0\5salt"),
    "md5-short": message(b"R", b"\0\0\0\5s"),
    "sasl": message(b"R", b"\0\0\0\x0aSCRAM-SHA-256\0\0"),
    "sasl-unknown": message(b"R", b"\0\0\0\x0aX\0\0"),
    "sasl-continue": message(b"R", b"\0\0\0\x0br=x,s=eA==,i=1"),
    "kerberos": message(b"R", b"\0\0\0\2"),
    "short": message(b"R", b"\0"),
    "welcome": WELCOME + READY,
    "welcome-half": WELCOME,
    "welcome-and-more": WELCOME + READY + ROW,
    "ready-first": READY,
    "negotiate": message(b"v", b"\0\3\0\0\0\0\0\0") + WELCOME + READY,
    "notice": message(b"N", b"SNOTICE\0\0") + WELCOME + READY,
    "http": b"HTTP/1.1 400 Bad Request\r\n\r\n",
    "ssl-answer": b"N",
    "silence": b"",
}.items():
    SERVERS[f"login-{name}"] = b"\0\0" + data
write("backend", SERVERS)

PASSWORDS = {
    "nothing": "",
    "plain": "alice:secret\nbob:other\n",
    "text": "alice:TEXTsecret\nbob:TEXT\n",
    "md5": "alice:md5" + "0123456789abcdef" * 2 + "\n",
    "md5-upper": "alice:md5" + "0123456789ABCDEF" * 2 + "\n",
    "md5-short": "alice:md50123456789abcdef0123\nbob:md5love\n",
    "aes": "alice:AES7GC8L0x9QAhGqKVG1aVJYA==\nbob:AESnotbase64!\n",
    "aes-short": "alice:AES\nbob:AESAAAA\n",
    "aesgcm": "alice:AESGCM" + "A" * 76 + "\n",
    "aesgcm-short": "alice:AESGCM\nbob:AESGCMAAAA\ncarol:AESGCM====\n",
    "aes-that-looks-like-gcm": "alice:AESGCM" + "A" * 21 + "\n",
    "scram": "alice:SCRAM-SHA-256$4096:c2FsdA==$c3RvcmVk:c2VydmVy\n",
    "no-colon": "alice\n:secret\nbob:\n# a comment\n",
    "escapes": "al\\:ice:se\\\\cret\\:\nbob\\\n",
    "fields": "alice:secret:more:fields\n",
    "twice": "alice:first\nalice:second\n",
    "crlf": "alice:secret\r\n\r\nbob:other\r\n",
    "blank-lines": "\n\n\nalice:secret\n \n",
    "no-newline": "alice:secret",
    "not-utf8": b"\xff\xfe:secret\nalice:\xc3\x28\n",
    "nul": b"ali\0ce:secret\nbob:se\0cret\n",
    "long": "a" * 1024 + ":" + "b" * 1025 + "\n" + "c" * 1025 + ":d\n",
    "bom": "\ufeffalice:secret\n",
    "lone-backslash": "\\",
}
write("pool_passwd", PASSWORDS)

TUTORIAL = """\
# pgpool.conf of the tutorial, shortened
backend_clustering_mode = 'streaming_replication'
listen_addresses = '*'
port = 9999
unix_socket_directories = '/tmp'
pcp_port = 9898
backend_hostname0 = 'server1'
backend_port0 = 5432
backend_weight0 = 1
backend_data_directory0 = '/var/lib/pgsql/data'
backend_flag0 = 'ALLOW_TO_FAILOVER'
backend_application_name0 = 'server1'
backend_hostname1 = 'server2'
backend_port1 = 5432
backend_weight1 = 1
backend_flag1 = 'ALLOW_TO_FAILOVER'
sr_check_user = 'pgpool'
sr_check_password = 'secret'
sr_check_period = 10
health_check_period = 5
health_check_timeout = 30s
health_check_user = 'pgpool'
health_check_max_retries = 3
failover_command = '/etc/pgpool-II/failover.sh %d %h %p %D %m %H %M %P %r %R %N %S'
follow_primary_command = '/etc/pgpool-II/follow_primary.sh %d %h %p'
recovery_user = 'postgres'
enable_pool_hba = on
pool_passwd = 'pool_passwd'
load_balance_mode = on
use_watchdog = on
delegate_ip = '192.168.137.150'
if_up_cmd = '/usr/bin/sudo /sbin/ip addr add $_IP_$/24 dev enp0s8 label enp0s8:0'
hostname0 = 'server1'
wd_port0 = 9000
heartbeat_hostname0 = 'server1'
log_destination = 'stderr'
logging_collector = on
log_line_prefix = '%m: %a pid %p: '
"""
LEAST = "backend_hostname0 = 'a'\nsr_check_user = 'b'\nsr_check_password = 'c'\n"
CONF = {
    "nothing": "",
    "tutorial": TUTORIAL,
    "least": LEAST,
    "no-sign": "port 9999\nbackend_hostname0 'a'\n",
    "no-blanks": "port=9999#comment\nbackend_hostname0='a'\n",
    "unit-apart": LEAST + "health_check_timeout = 5 min\n",
    "units": LEAST + "health_check_timeout = 5min\nconnection_life_time = 1d\nsr_check_period = 10h\n",
    "unit-overflow": LEAST + "client_idle_limit = 99999999999999999999d\n",
    "unit-unknown": LEAST + "client_idle_limit = 5 parsecs\n",
    "number-out-of-range": LEAST + "port = 65536\nnum_init_children = -1\n",
    "number-float": LEAST + "port = 5432.0\nbackend_weight0 = 1e400\n",
    "number-hex": LEAST + "port = 0x1538\n",
    "weight-nan": LEAST + "backend_weight0 = nan\n",
    "weight-negative": LEAST + "backend_weight0 = -0.5\n",
    "double-quotes": 'port = "9999"\n',
    "doubled-quote": "listen_addresses = 'it''s'\n",
    "open-quote": "listen_addresses = 'open\nport = 1\n",
    "open-quote-escaped": "listen_addresses = 'open\\'\n",
    "escapes": "listen_addresses = 'a\\'b\\\\c\\n'\n",
    "hash-inside": "log_line_prefix = '%m # %p'\n",
    "two-on-a-line": "port = 1 pcp_port = 2\n",
    "no-value": "port =\nport\nport = # none\n",
    "double-sign": "port == 1\n",
    "unquoted": "unix_socket_directories = /tmp\nlisten_addresses = *\n",
    "booleans": LEAST + "load_balance_mode = yes\nconnection_cache = 0\nlog_connections = tRuE\nenable_pool_hba = perhaps\n",
    "unknown": LEAST + "prot = 1\nload_balance = on\n",
    "dead": LEAST + "black_function_list = 'a'\nreplication_mode = on\nmaster_slave_mode = on\n",
    "twice": LEAST + "port = 1\nport = 2\n",
    "gap": "backend_hostname0 = 'a'\nbackend_hostname7 = 'b'\nbackend_hostname127 = 'c'\n",
    "number-too-big": "backend_hostname128 = 'a'\nbackend_hostname99999999999999999999 = 'b'\n",
    "leading-zero": "backend_hostname00 = 'a'\nbackend_hostname01 = 'b'\n",
    "port-alone": "backend_port3 = 5432\n",
    "include": "include 'included.conf'\n",
    "include-itself": "include = 'pgpool.conf'\n",
    "include-nothing": "include 'nowhere.conf'\ninclude ''\n",
    "crlf": LEAST.replace("\n", "\r\n"),
    "bom": "\ufeff" + LEAST,
    "tabs": "\tport\t=\t1\t\n",
    "not-utf8": b"port = '\xff\xfe'\n",
    "nul": b"port = '1\0'\n",
    "section": "[users]\nalice = 'secret'\n",
    "password-aes": LEAST.replace("'c'", "'AES7GC8L0x9QAhGqKVG1aVJYA=='"),
    "password-md5": LEAST.replace("'c'", "'md5" + "0" * 32 + "'"),
    "lists": LEAST + "reset_query_list = 'ABORT; DISCARD ALL;;'\nlisten_addresses = 'a, b,,c'\n",
    "flags": LEAST + "backend_flag0 = 'ALLOW_TO_FAILOVER|ALWAYS_PRIMARY | NONSENSE'\n",
    "long-line": "port = '" + "9" * 5000 + "'\n",
}
write("pgpool_conf", CONF)

LEAST_TOML = 'sr_check_user = "b"\nsr_check_password = "c"\n[[backends]]\nhostname = "a"\nport = 5432\n'
TOML = {
    "nothing": "",
    "least": LEAST_TOML,
    "two": LEAST_TOML + '[[backends]]\nhostname = "b"\nweight = 0.5\n',
    "users": LEAST_TOML + '[users]\nalice = "secret"\n"bob smith" = "TEXTother"\nport = "md5love"\n',
    "users-hashed": LEAST_TOML + '[users]\nalice = "md5' + "0" * 32 + '"\nbob = "SCRAM-SHA-256$1"\n',
    "users-aes": LEAST_TOML + '[users]\nalice = "AESGCM' + "A" * 76 + '"\n',
    "users-not-a-table": "users = 1\nbackends = 2\n",
    "on-off": "load_balance_mode = on\n" + LEAST_TOML,
    "broken": 'port = \n= 1\n"a\n' + LEAST_TOML,
    "broken-string": 'listen_addresses = "open\n' + LEAST_TOML,
    "twice": "port = 1\nport = 2\n" + LEAST_TOML,
    "units": 'client_idle_limit = "10s"\nshutdown_timeout = "1h30m"\n' + LEAST_TOML,
    "unit-bad": 'client_idle_limit = "10 parsecs"\nshutdown_timeout = -1\n' + LEAST_TOML,
    "float": "port = 1.5\nclient_max = inf\nworker_threads = nan\n" + LEAST_TOML,
    "big": "port = 99999999999999999999\nclient_max = 9223372036854775807\n" + LEAST_TOML,
    "hex": "port = 0x1538\nclient_max = 1_000\n" + LEAST_TOML,
    "dates": "port = 1979-05-27T07:32:00Z\n" + LEAST_TOML,
    "dotted": "a.b.c = 1\nport.x = 2\n" + LEAST_TOML,
    "inline": 'backends = [{ hostname = "a" }, { hostname = "b", port = "x" }, 3]\n',
    "empty-backend": LEAST_TOML + "[[backends]]\n",
    "unknown": "prot = 1\n[sections]\nx = 1\n" + LEAST_TOML,
    "unknown-in-backend": LEAST_TOML + "wieght = 1\n",
    "arrays": 'listen_addresses = ["a", "b", 3]\nreset_query_list = []\n' + LEAST_TOML,
    "multi-line": 'listen_addresses = """\na\nb"""\n' + LEAST_TOML,
    "escapes": 'listen_addresses = "\\u0000\\uFFFF\\x"\n' + LEAST_TOML,
    "auth": 'auth_method = "scram-sha-256"\n' + LEAST_TOML,
    "auth-bad": 'auth_method = "kerberos"\n' + LEAST_TOML,
    "deep": "a = " + "[" * 200 + "]" * 200 + "\n",
    "deep-dots": ".".join("a" * 150) + " = 1\n",
    "many-backends": "".join(f'[[backends]]\nhostname = "h{n}"\n' for n in range(130)),
    "bom": "\ufeff" + LEAST_TOML,
    "not-utf8": b'port = "\xff\xfe"\n',
    "crlf": LEAST_TOML.replace("\n", "\r\n"),
    "pgpool-inside": "backend_hostname0 = 'a'\nport = 5432\n",
}
write("toml_conf", TOML)

STATEMENTS = {
    "nothing": "",
    "read": "select a, b from t where c = 1 order by 2",
    "write": "insert into t values (1, 'x')",
    "cte-dml": "with x as (insert into t values (1) returning a) select * from x",
    "cte-dml-deep": "with a as (with b as (delete from t returning *) select * from b) select * from a",
    "cte-read": "with x as (select 1) select * from x",
    "dollar": "select $$insert into t$$, $a$ $$ $a$, $1",
    "dollar-open": "select $a$ never ends $b$",
    "dollar-in-name": "select a$b$ from t$b$",
    "string-open": "select 'never ends",
    "string-escape": "select E'it\\'s', 'a\\', ' ; drop table t; --'",
    "string-unicode": "select U&'\\0061', N'x', B'01', X'ff'",
    "string-continued": "select 'a'\n  'b'",
    "name-quoted": 'select "insert" from "delete ; "" "',
    "name-open": 'select "never ends',
    "name-unicode": 'select U&"\\0061"',
    "comment-open": "select 1 /* never ends",
    "comment-nested": "select 1 /* a /* b */ c */ + 2 -- end",
    "comment-before": "/* NO LOAD BALANCE */ select 1",
    "multi": "select 1; select 2",
    "multi-hidden": "select 1;;; drop table t",
    "semicolons": ";;;",
    "for-update": "select * from t for update skip locked",
    "into": "select * into u from t",
    "function": "select nextval('s'), now(), my_function(1)",
    "function-schema": "select pg_catalog.now(), public.now()",
    "advisory": "select pg_advisory_xact_lock(1)",
    "begin": "begin isolation level serializable, read only, deferrable",
    "start": "start transaction read write",
    "commit": "commit and chain",
    "savepoint": "savepoint a; rollback to a; release a",
    "set": "set local work_mem to '1MB'",
    "set-transaction": "set transaction isolation level repeatable read",
    "reset": "reset all",
    "discard": "discard all",
    "show": "show pool_nodes",
    "show-server": "show server_version",
    "copy-out": "copy (select 1) to stdout with (format csv)",
    "copy-in": "copy t from stdin",
    "copy-program": "copy t to program 'rm -rf /'",
    "explain": "explain analyze delete from t",
    "prepare": "prepare p as select 1",
    "catalog": "select * from pg_catalog.pg_class",
    "values": "values (1), (2)",
    "table": "table t",
    "do": "do $$ begin perform 1; end $$",
    "declare": "declare c cursor with hold for select 1",
    "temp": "create temp table t as select 1",
    "operator": "select 1 operator(pg_catalog.+) 2, a <-> b, a @@ b",
    "number-junk": "select 123abc, 0x1F, 1_000, 1e10, .5",
    "not-utf8": b"select '\xff\xfe'",
    "nul": b"select 1\0; drop table t",
    "no-break-space": "select\u00a01",
    "deep": "select " + "(" * 300 + "1" + ")" * 300,
    "deep-case": "select " + "case when a then " * 60 + "1" + " end" * 60,
    "long-or": "select 1 where " + " or ".join(f"a = {n}" for n in range(400)),
    "lateral": "select * from t, lateral (select nextval('s')) x",
    "merge": "merge into t using u on t.a = u.a when matched then delete",
    "call": "call p(1)",
    "lock": "lock table t",
    "vacuum": "vacuum full t",
}
TEXTS = {name: b"\0" + (text if isinstance(text, bytes) else text.encode()) for name, text in STATEMENTS.items()}
TEXTS |= {"comment-before-allowed": b"\1/* a */ select 1", "comment-inside-allowed": b"\1select /* a */ 1"}
write("classify", TEXTS)

for target in TOP.iterdir():
    files = list(target.iterdir())
    print(f"{target.name}: {len(files)} inputs, {sum(f.stat().st_size for f in files)} bytes")
