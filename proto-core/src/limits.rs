//! Every bound in one place: name, unit, reason.

use crate::time::Duration;

/// The longest startup packet, in bytes, its length word included, which PostgreSQL's
/// `MAX_STARTUP_PACKET_LENGTH` of 10,000 does not count.
pub const STARTUP_PACKET_LEN_MAX: usize = 10_004;

/// The longest message in either direction, in bytes, its type byte not counted: PostgreSQL
/// allocates less than 1 GB for one (`MaxAllocSize`), so a longer one is a lie.
pub const MESSAGE_LEN_MAX: usize = 0x3fff_ffff;

/// The longest message of a client that is not yet authenticated, in bytes: PostgreSQL's
/// `PG_MAX_AUTH_TOKEN_LENGTH`.
pub const AUTH_MESSAGE_LEN_MAX: usize = 65_535;

/// How much of a statement's message is looked at, in bytes. A longer one goes to the primary
/// unparsed: parsing it would cost more than balancing it saves.
pub const STATEMENT_VIEW_LEN: usize = 65_536;

/// How much of a `Bind`, `Describe` or `Close` is looked at, in bytes: room for the names of a
/// portal and a statement of ordinary length. A longer name is unknown, which means the primary.
pub const NAMES_VIEW_LEN: usize = 1024;

/// The longest message of a server that is held in view whole, in bytes: errors, notices and
/// parameter values. PostgreSQL's own are far shorter; a longer one passes unseen.
pub const SERVER_VIEW_LEN: usize = 65_536;

/// How far ahead of a pipeline's first message its other messages are looked at, in bytes, to
/// route them together. Drivers send a statement's messages in one packet; a longer pipeline
/// goes to the primary.
pub const PIPELINE_VIEW_LEN: usize = 16_384;

/// The largest view that any of the above asks a driver for, in bytes, headers included.
pub const VIEW_LEN_MAX: usize = STATEMENT_VIEW_LEN + 5;

/// A connection's send queue is full above so many bytes: its source is read no further. Large
/// enough for a server to run ahead of a client by a few kernel buffers.
pub const QUEUE_LEN_HIGH: usize = 256 * 1024;

/// Reading goes on below so many queued bytes, so that a stop and a start are some way apart.
pub const QUEUE_LEN_LOW: usize = 64 * 1024;

/// Answers that a server still owes on one connection; a client that pipelines more is read no
/// further until some have come.
pub const PIPELINE_DEPTH_MAX: usize = 4096;

/// Bytes that a driver reads at once. As much as PostgreSQL writes at once, eight times over.
pub const READ_LEN: usize = 64 * 1024;

/// Reads in a row from one connection before the others have a turn.
pub const READS_PER_TURN: usize = 4;

/// Cores that a thread may be bound to are numbered below this: as many as a set of them holds
/// (`CPU_SETSIZE` of Linux's C libraries).
pub const CORES_MAX: usize = 1024;

/// Buffers that a driver keeps for the next reader, per thread: enough for as many connections
/// with bytes in flight as one thread serves between two waits.
pub const SPARE_BUFFERS_MAX: usize = 64;

/// How long a client may take to log in when `authentication_timeout` is off.
pub const LOGIN_TIMEOUT: Duration = Duration::from_secs(60);

/// How long a closing connection may take to accept its last bytes.
pub const FLUSH_TIMEOUT: Duration = Duration::from_secs(10);

/// How long a server may take over a login, beyond `connect_timeout` for the connection.
pub const SERVER_LOGIN_TIMEOUT: Duration = Duration::from_secs(30);

/// How long a server may take over `reset_query_list`, and over what it was asked before, when a
/// connection is given back; then it is closed.
pub const RESET_TIMEOUT: Duration = Duration::from_secs(30);

/// How long a cancel request may take to be delivered.
pub const CANCEL_TIMEOUT: Duration = Duration::from_secs(10);

/// Cancel requests on their way per shard; more are dropped, as an overloaded server would.
pub const CANCELS_MAX: usize = 256;

/// How long an answer of the control plane may take before `SHOW` gives up.
pub const SHOW_TIMEOUT: Duration = Duration::from_secs(10);

/// Rows in one answer to `SHOW`, all shards together: twice as many as clients are expected, some
/// megabytes of text.
pub const VIEW_ROWS_MAX: usize = 20_000;

/// Notices of `notice_per_node_statement` that wait for a message to end; further ones are lost.
pub const NOTICES_MAX: usize = 256;

/// Questions of `SHOW` to all shards under way at once; the oldest is given up for one more.
pub const INQUIRIES_MAX: usize = 1024;

/// Encryption requests (`SSLRequest`, `GSSENCRequest`) on one connection: one of each.
pub const ENCRYPTION_REQUESTS_MAX: u8 = 2;

/// Clients that wait for a connection of one pool; more are refused at once.
pub const WAITERS_MAX: usize = 10_000;

/// How long a connection must have been idle before it is closed for another shard that takes turns
/// with connections of its own: a busy shard would soon want it again, and opening one takes some
/// milliseconds.
pub const LEASE_IDLE_TIME: Duration = Duration::from_millis(100);

/// How long clients of a shard that has no connection of a pool wait while another shard uses its
/// last one for clients who came later. Shards that share fewer connections than there are shards
/// take turns of this length, of which opening one takes a small part.
pub const LEASE_TURN_TIME: Duration = Duration::from_millis(100);

/// Named prepared statements that a session may use on more than one server.
pub const STATEMENTS_MAX: usize = 1024;

/// The longest name of such a statement, in bytes: its end must be in view in a `Bind`, behind the
/// name of a portal.
pub const STATEMENT_NAME_LEN_MAX: usize = NAMES_VIEW_LEN / 2;

/// Bytes of those statements' `Parse` messages, per session.
pub const STATEMENTS_LEN_MAX: usize = 256 * 1024;

/// Statements that pgherd prepares on one server connection for the sessions that share it; the one
/// that was not used for longest makes room. PgBouncer keeps 200 unless told otherwise; a server
/// needs some tens of kilobytes for each.
pub const PREPARED_PER_LINK_MAX: usize = 500;

/// Bytes of the texts of prepared statements that sessions share, per shard. Beyond it, sessions
/// prepare theirs for themselves.
pub const SHELF_LEN_MAX: usize = 16 * 1024 * 1024;

/// The longest `Parse` of an unnamed statement that is kept for a later batch, in bytes, per
/// session. With a longer one the session keeps its connection.
pub const UNNAMED_LEN_MAX: usize = 8 * 1024;

/// Parameters that a session has set and that are set again on its other connections, in bytes of
/// the statements that set them. A session that sets more stays on its connection.
pub const SETTINGS_LEN_MAX: usize = 8 * 1024;

/// Statements of one transaction that set parameters and are followed to its end. Applications set
/// a handful; with more, the session stays on its connection.
pub const SETTINGS_PER_TRANSACTION_MAX: usize = 32;

/// Reads in flight to one server that are kept to be sent again, in bytes of their messages:
/// several of ordinary length. A longer one is refused where it was sent.
pub const RETRY_LEN_MAX: usize = 16 * 1024;

/// The beginning of an answer that is held back until it is clear that the standby does not refuse
/// the statement, in bytes: descriptions of some hundred columns.
pub const WITHHELD_LEN_MAX: usize = 16 * 1024;

/// Different startup packets that are remembered, with their answers, per shard: one for each
/// user, database and client library.
pub const GREETINGS_MAX: usize = 1024;

/// How long they are remembered, so that a parameter that changes on the servers is told soon.
pub const GREETING_AGE_MAX: Duration = Duration::from_secs(60);

/// Columns that a probe's answer may have.
pub const PROBE_COLUMNS_MAX: usize = 16;

/// Rows that a probe's answer may have: standbys of one primary, beyond the 128 nodes there are.
pub const PROBE_ROWS_MAX: usize = 256;

/// Backend nodes, as in Pgpool-II.
pub const BACKENDS_MAX: usize = 128;

/// How long a shard that lost its connection to a node leaves it alone before the control plane
/// has looked at it.
pub const SUSPICION_TIME: Duration = Duration::from_secs(2);

/// How long a session whose read was ended by its server (57P01) waits to hear whether the server
/// stops, so that the read is sent elsewhere, or has meant this session. A login tells, which takes
/// milliseconds; a server that is busy starting processes is given seconds.
pub const FAREWELL_TIMEOUT: Duration = Duration::from_secs(5);

/// Pause before a link to a primary is tried again for a waiting write.
pub const PRIMARY_RETRY_DELAY: Duration = Duration::from_millis(200);

/// Pause between two looks at a server that is down: short, so that it is used again soon.
pub const LOST_LOOK_PERIOD: Duration = Duration::from_secs(1);

/// How late a deadline may be noticed for the process to have run all the time. A turn of a busy
/// control plane takes milliseconds; a process or a host that was stopped is late by seconds.
pub const LATENESS_MAX: Duration = Duration::from_secs(1);

/// Pause before a listener that failed to accept tries again: the process is likely out of file
/// descriptors, and a client must leave first.
pub const ACCEPT_RETRY_DELAY: Duration = Duration::from_millis(100);

/// Connections that the kernel keeps waiting for a listener, as PostgreSQL caps its own.
pub const LISTEN_BACKLOG: i32 = 4096;

/// By how many clients, at most, a shard may exceed the one with the fewest and still keep who comes
/// in. Few enough for the smallest crowd to which an eighth more makes no difference.
pub const CLIENTS_APART_MAX: usize = 8;

/// How often a shard tells how many clients it has, and `Control` tells all: long enough for that to
/// cost nothing where clients come and go by the thousand, and short beside a client's stay.
pub const HEADCOUNT_PERIOD: Duration = Duration::from_millis(20);

/// Clients of whom nobody was told that are told at once, however short the time since the last: as
/// many as shards may be apart by. What is said is a fraction of a message for each.
pub const HEADCOUNT_STEP: usize = 8;

/// Clients that wait in one shard to hear whether there is a place for them; more are refused. An
/// answer takes a few messages between threads.
pub const LOBBY_MAX: usize = 1024;

/// How long they wait; then they are refused. Only a thread that hangs takes so long.
pub const LOBBY_TIMEOUT: Duration = Duration::from_secs(5);

/// Facts of one database's catalog that are kept: functions of its own, unlogged tables, sequences.
/// A database with more is one of which nothing is known.
pub const CATALOG_FACTS_MAX: usize = 50_000;

/// Bytes of the names in those facts.
pub const CATALOG_NAMES_LEN_MAX: usize = 2 * 1024 * 1024;

/// Relations that a statement's class names; of one that touches more, all may be touched.
pub const CLASS_RELATIONS_MAX: usize = 32;

/// Databases whose catalogs a shard knows. Sessions of further ones go without its facts.
pub const CATALOGS_MAX: usize = 32;

/// How long after its last use a database's catalog makes room for another one's.
pub const CATALOG_KEEP_TIME: Duration = Duration::from_secs(60);

/// How long after a change a catalog is asked for again, so that a script of many changes does not
/// have it asked for after each.
pub const CATALOG_REFRESH_DELAY: Duration = Duration::from_secs(1);

/// Pause before what nobody waits for is tried again: a connection to be kept ready, a question.
pub const ERRAND_RETRY_DELAY: Duration = Duration::from_secs(1);

/// The longest such pause, which doubles with every failure.
pub const ERRAND_RETRY_DELAY_MAX: Duration = Duration::from_secs(60);

/// Pools that are remembered to have failed in that: more than rules for pools times servers that
/// anybody has.
pub const ERRAND_DELAYS_MAX: usize = 4096;

/// How long no connection is opened of pgherd's own accord to a database that is being dropped.
pub const VACANCY_TIME: Duration = Duration::from_secs(10);

/// Users of `pcp.conf`: far more than administer anything. Every login computes all of them.
pub const ADMIN_USERS_MAX: usize = 256;

/// The longest user name in `pcp.conf`, in bytes: Pgpool-II's `MAX_USER_PASSWD_LEN`.
pub const ADMIN_NAME_LEN_MAX: usize = 128;

/// The longest request of PCP, in bytes, its type byte not counted: what Pgpool-II takes.
pub const ADMIN_REQUEST_LEN_MAX: usize = 259;

/// How much of what is told of a task under way may wait to be sent to the session of PCP that
/// asked for it, in bytes: some ten lines. Whoever does not listen is told no more.
pub const ADMIN_PROGRESS_MAX: usize = 4 << 10;

/// The longest text of a field in an error of PCP, in bytes: where Pgpool-II cuts one.
pub const ADMIN_FIELD_LEN_MAX: usize = 255;

/// The longest packet of an answer of PCP, in bytes, its type byte not counted: all that a watchdog
/// tells of a hundred members, or the numbers of a hundred thousand sessions.
pub const ADMIN_PACKET_LEN_MAX: usize = 1 << 20;

/// The longest answer of PCP that is read, in bytes: [`VIEW_ROWS_MAX`] rows several times over.
pub const ADMIN_ANSWER_LEN_MAX: usize = 64 << 20;

/// How long whoever asks over PCP waits for each address to answer a connection attempt.
pub const ADMIN_CONNECT_TIMEOUT: Duration = Duration::from_secs(10);

/// How long it waits for bytes of an answer that takes no work on servers: longer than the asked one
/// waits for its threads ([`SHOW_TIMEOUT`]).
pub const ADMIN_ANSWER_TIMEOUT: Duration = Duration::from_secs(30);

/// How long a host may be silent while a promotion or a recovery is waited for, until it is asked
/// whether it is still there. With the two bounds below, one that is gone is found in a minute.
pub const ADMIN_KEEPALIVE_TIME: Duration = Duration::from_secs(30);

/// Pause between two such questions.
pub const ADMIN_KEEPALIVE_PERIOD: Duration = Duration::from_secs(10);

/// Such questions without an answer until the host is taken for gone.
pub const ADMIN_KEEPALIVE_COUNT: u32 = 3;

/// The longest password of PCP that is typed, in bytes: what Pgpool-II's programs take.
pub const ADMIN_PASSWORD_LEN_MAX: usize = 99;

/// How long standbys may take to say how much WAL they have when the primary is lost; then one of
/// those that have is promoted. What is well answers in milliseconds.
pub const FAILOVER_LOOK_TIMEOUT: Duration = Duration::from_secs(3);

/// How long it is listened whether standbys that are still connected to a lost primary receive
/// anything from it. A primary that lives and is written to sends more often.
pub const LISTENING_TIME: Duration = Duration::from_secs(1);

/// How long after the start it is waited for every node to have been looked at before one that says
/// so is taken for the primary: an old one may answer first.
pub const FIRST_LOOKS_TIMEOUT: Duration = Duration::from_secs(3);

/// How long a promotion may take until the server takes writes. It replays what it has received
/// before; PostgreSQL's own `pg_ctl promote` waits as long by default.
pub const PROMOTION_TIMEOUT: Duration = Duration::from_secs(60);

/// How long a server may take to be seen as the primary once it has said that it is promoted, or
/// that it will not be; then the next one is tried.
pub const PROMOTION_GRACE: Duration = Duration::from_secs(5);

/// Pause before it is decided again who is promoted, when nobody could be: until then a server may
/// have come back, or caught up.
pub const FAILOVER_RETRY_DELAY: Duration = Duration::from_secs(5);

/// How much WAL a standby may lack, in bytes, when clients are made to wait for a switchover: it is
/// replayed in well under a second.
pub const SWITCHOVER_LAG_MAX: u64 = 16 << 20;

/// Pause between two looks at how far a switchover is while clients wait: a fraction of what the
/// promotion takes, which is what they wait for most.
pub const SWITCHOVER_LOOK_PERIOD: Duration = Duration::from_millis(20);

/// How long a server may take to be seen as the primary after the command that promotes has ended
/// well: a script need not wait until its server has replayed what it has.
pub const COMMAND_PROMOTION_GRACE: Duration = Duration::from_secs(30);

/// How long a fence is left alone that this process has not raised, while all other servers follow:
/// a promotion that somebody else has just ordered shows within some looks.
pub const FENCE_SETTLE_TIME: Duration = Duration::from_secs(5);

/// How long a primary that was lost before the start must stay silent while all others have lost it,
/// before another is promoted: machines that are switched on together are not up at once.
pub const UNSEEN_PATIENCE: Duration = Duration::from_secs(10);

/// How long the old primary may take to be the primary again when a switchover is undone; then
/// clients wait as for a primary that is lost.
pub const SWITCHOVER_UNDO_TIMEOUT: Duration = Duration::from_secs(10);

/// How long it is waited for shards to tell how long their clients have waited for a switchover. A
/// message there takes microseconds.
pub const STALL_REPORT_TIMEOUT: Duration = Duration::from_secs(1);

/// How long an order to a server other than a promotion may take, its login included.
pub const ORDER_TIMEOUT: Duration = Duration::from_secs(10);

/// Pause between two looks at a server of which a change is awaited.
pub const HASTY_LOOK_PERIOD: Duration = Duration::from_millis(250);

/// How long a standby may take to follow a new primary; then it is kept out of service until it
/// does, because what it serves grows old. A standby that was disconnected asks for WAL again
/// after 5 seconds (`wal_retrieve_retry_interval`).
pub const FOLLOW_TIMEOUT: Duration = Duration::from_secs(30);

/// Pause before a standby that could not be pointed at the primary is tried again.
pub const FOLLOW_RETRY_DELAY: Duration = Duration::from_secs(5);

/// The longest line of a command's output that is logged, in bytes; of a longer one the rest is left
/// out. Lines for people are shorter, and what is not is a file that was written by mistake.
pub const COMMAND_LINE_LEN_MAX: usize = 2048;

/// Lines of one command's output that are logged: a script that traces itself writes hundreds. The
/// rest is read, so that the command goes on, and dropped.
pub const COMMAND_LINES_MAX: usize = 10_000;

/// How long a command that was told to end (`SIGTERM`), since its time is over, may tidy up; then it
/// is killed, with all that it has started.
pub const COMMAND_KILL_DELAY: Duration = Duration::from_secs(5);

/// How long it is read on after a command has ended. What is still to come was written by something
/// that it has left running, such as a server, and is none of its output.
pub const COMMAND_OUTPUT_DELAY: Duration = Duration::from_millis(500);

/// How much longer than it may a command takes at most until its end is told: it is told to end, is
/// killed, and is not waited for any more.
pub const COMMAND_END_TIME_MAX: Duration =
    COMMAND_KILL_DELAY.saturating_mul(2).saturating_add(COMMAND_OUTPUT_DELAY);

/// How long a stop waits for servers that are to take writes again, and for a recovery that it has
/// ended: its command is ended, and then its replication slot is dropped.
pub const STOP_PATIENCE: Duration = COMMAND_END_TIME_MAX.saturating_add(ORDER_TIMEOUT);

/// Pause before a former primary is recovered once more that was not made a standby: what was in the
/// way, such as another copy or a full disk, takes its time.
pub const DEMOTION_RETRY_DELAY: Duration = Duration::from_secs(60);

/// How often a former primary is recovered without being asked, as long as one node is the primary.
/// What has not helped so often does not help, and each time costs that one a copy.
pub const DEMOTION_TRIES_MAX: u32 = 3;

/// Pause before a replication slot is dropped once more that was still in use: its server notices
/// soon that a command has ended.
pub const SLOT_DROP_DELAY: Duration = Duration::from_secs(1);

/// How often a replication slot is dropped at most. One that is in use for longer has a user.
pub const SLOT_DROPS_MAX: u32 = 5;

/// Commands that wait to be told of nodes that were lost or are back, two for each node there can
/// be. Where more come about, nodes come and go faster than a command tells anybody.
pub const COMMANDS_WAITING_MAX: usize = 2 * BACKENDS_MAX;

/// Pause before `follow_primary_command` is run again for a standby that does not follow after it:
/// such scripts rewind and copy servers.
pub const FOLLOW_COMMAND_RETRY_DELAY: Duration = Duration::from_secs(60);

/// How often it is run for one standby of one primary. What has not helped so often does not help.
pub const FOLLOW_COMMAND_TRIES_MAX: u32 = 3;

/// Sessions of PCP at once, as many as Pgpool-II has places for. Its programs make one for each
/// command, and each may hold an answer of [`VIEW_ROWS_MAX`] rows.
pub const ADMIN_SESSIONS_MAX: usize = 20;

/// How long a login of PCP may take: its programs ask for the password before they connect.
pub const ADMIN_LOGIN_TIMEOUT: Duration = Duration::from_secs(10);

/// How long a session of PCP may ask nothing, or take no bytes of its answer.
pub const ADMIN_IDLE_TIMEOUT: Duration = Duration::from_secs(600);

/// Pause between two notices that something which takes long goes on: often enough for who watches,
/// and few lines for who reads them later.
pub const PROGRESS_PERIOD: Duration = Duration::from_secs(5);
