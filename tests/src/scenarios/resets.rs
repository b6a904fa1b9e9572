//! What has a connection reset when its client is done with it, and what has not.
//!
//! Every reset is counted where nobody else has to tell of it: `reset_query_list` ends with a
//! statement that puts a row into a table.

use crate::client::{Client, Login, compose};
use crate::play::{PRIMARY, Play};
use crate::world::{End, Setup, World};

/// One connection, which counts its resets.
#[must_use]
pub fn counted() -> Setup {
    Setup::weights(&[1.0, 0.0, 0.0])
        .set("worker_threads = 1")
        .set("pool_size_max = 1")
        .set("reset_query_list = \"ABORT; DISCARD ALL; INSERT INTO resets VALUES (1)\"")
}

/// The same, given back between transactions.
#[must_use]
pub fn counted_shared() -> Setup {
    counted().set("pool_mode = \"transaction\"")
}

/// What a client does before it leaves.
enum Deed {
    /// Simple queries, of which some may fail.
    Says(&'static [&'static str]),
    /// Messages of the extended query protocol, answered or not.
    Sends(fn() -> Vec<u8>),
}

use Deed::{Says, Sends};

/// Makes the table in which resets are counted. The connection that pgherd has by now may have
/// served somebody already; it serves nobody without being seen from here on.
fn begin(w: &mut impl World) {
    w.sql(PRIMARY, "create table resets (n int)").expect("the primary is well");
    w.sql(PRIMARY, "create table written (n serial)").expect("the primary is well");
    w.sql(PRIMARY, "create function whatever() returns int language sql volatile as 'select 1'")
        .expect("the primary is well");
}

fn count(w: &mut impl World) -> usize {
    w.truth(PRIMARY, "select count(*) from resets").parse().expect("a count")
}

fn act(w: &mut impl World, client: &Client, deed: &Deed) {
    match deed {
        Says(texts) => {
            for text in *texts {
                let answer = w.query(client, text);
                assert!(answer.status.is_some(), "{text}: {}", answer.trouble());
            }
        }
        Sends(messages) => {
            w.post(client, &messages());
            w.finish(client);
        }
    }
}

/// The login of everybody, also of who was here first: no parameters have to be set between them,
/// so that only the deed can be the cause.
fn same() -> Login {
    Login::app("settling")
}

/// Lets a client live, and returns how often its connection was reset after it.
fn resets_after(w: &mut impl World, deed: &Deed, end: End) -> usize {
    let before = count(w);
    let client = w.connect_as(&same());
    act(w, &client, deed);
    match end {
        End::Orderly => w.terminate(&client),
        End::Reset => w.vanish(&client),
    }
    // There is only one connection: whoever has it next has it reset.
    let next = w.connect_as(&same());
    assert_eq!(w.run(&next, "select 1").value(), "1");
    let after = count(w);
    assert_eq!(w.server_connections(PRIMARY), 1, "it was kept");
    w.terminate(&next);
    after - before
}

fn named() -> Vec<u8> {
    [compose::parse("left", "select 1"), compose::sync()].concat()
}

fn unnamed() -> Vec<u8> {
    [compose::statement("select 1", &[]), compose::sync()].concat()
}

/// What a session leaves for the next one if nobody cleans up.
const LEAVES: &[(&str, Deed)] = &[
    ("a setting", Says(&["set work_mem = '5MB'"])),
    ("a setting by a function", Says(&["select set_config('work_mem', '5MB', false)"])),
    ("a role", Says(&["set role postgres"])),
    ("a temporary table", Says(&["create temp table mine (n int)"])),
    ("a channel", Says(&["listen somebody"])),
    ("a lock", Says(&["select pg_advisory_lock(4714)"])),
    ("a statement by SQL", Says(&["prepare left_behind as select 1"])),
    ("a statement by the protocol", Sends(named)),
    ("a cursor", Says(&["begin", "declare c cursor with hold for select 1", "commit"])),
    ("an open transaction", Says(&["begin"])),
    ("a failed transaction", Says(&["begin", "select 1/0"])),
    ("a block", Says(&["do $$ begin perform 1; end $$"])),
    ("who knows what", Says(&["select whatever()"])),
    ("the last value of a sequence", Says(&["insert into written default values"])),
];

/// What leaves nothing.
const LEAVES_NOTHING: &[(&str, Deed)] = &[
    ("nothing at all", Says(&[])),
    ("a read", Says(&["select 1"])),
    ("a read of a table", Says(&["select count(*) from written"])),
    ("a read by the extended protocol", Sends(unnamed)),
    ("a read that fails", Says(&["select 1/0", "select nothing from nowhere"])),
    ("a parameter shown", Says(&["show work_mem"])),
    ("a transaction of reads", Says(&["begin", "select 1", "commit"])),
    ("a transaction rolled back", Says(&["begin", "select 1", "rollback"])),
    ("a transaction that failed", Says(&["begin", "select 1/0", "rollback"])),
    ("a question to pgherd", Says(&["show pool_nodes"])),
];

/// A session that leaves something has its connection reset once, however it ends.
pub fn what_a_session_leaves_is_cleaned_up(w: &mut impl World) {
    begin(w);
    for (what, deed) in LEAVES {
        for end in [End::Orderly, End::Reset] {
            assert_eq!(resets_after(w, deed, end), 1, "{what}, {end:?}");
        }
    }
}

/// A session that leaves nothing costs nothing.
pub fn what_leaves_nothing_resets_nothing(w: &mut impl World) {
    begin(w);
    for (what, deed) in LEAVES_NOTHING {
        for end in [End::Orderly, End::Reset] {
            assert_eq!(resets_after(w, deed, end), 0, "{what}, {end:?}");
        }
    }
}

/// What binds a session that shares connections, until it ends.
const PINS: &[(&str, Deed)] = &[
    ("a role", Says(&["set role postgres"])),
    ("a temporary table", Says(&["create temp table mine (n int)"])),
    ("a channel", Says(&["listen somebody"])),
    ("a lock", Says(&["select pg_advisory_lock(4714)"])),
    ("a statement by SQL", Says(&["prepare left_behind as select 1"])),
    ("a cursor", Says(&["begin", "declare c cursor with hold for select 1", "commit"])),
    ("an open transaction", Says(&["begin"])),
    ("an open transaction that wrote", Says(&["begin", "insert into written values (1)"])),
    ("a failed transaction", Says(&["begin", "select 1/0"])),
];

/// What a session that shares connections does without a reset: others set for themselves what
/// they want to be set, and find the statements that it has prepared.
const SHARED: &[(&str, Deed)] = &[
    ("a read", Says(&["select 1"])),
    ("a write", Says(&["insert into written values (1)"])),
    ("a transaction", Says(&["begin", "insert into written values (1)", "commit"])),
    ("a transaction that failed", Says(&["begin", "select 1/0", "rollback"])),
    ("a setting", Says(&["set work_mem = '5MB'"])),
    ("a statement by the protocol", Sends(named)),
    // The last statement of each comes behind the server's word that nothing is left.
    ("a channel given up", Says(&["listen somebody", "unlisten *", "select 1"])),
    (
        "a lock given up",
        Says(&["select pg_advisory_lock(1)", "select pg_advisory_unlock(1)", "select 1"]),
    ),
    ("a table dropped", Says(&["create temp table mine (n int)", "drop table mine", "select 1"])),
];

/// A session that is bound when it ends has its connection reset.
pub fn what_a_bound_session_leaves_is_cleaned_up(w: &mut impl World) {
    begin(w);
    for (what, deed) in PINS {
        for end in [End::Orderly, End::Reset] {
            assert_eq!(resets_after(w, deed, end), 1, "{what}, {end:?}");
        }
    }
}

/// A session that is not bound has not.
pub fn what_sessions_share_resets_nothing(w: &mut impl World) {
    begin(w);
    for (what, deed) in SHARED {
        for end in [End::Orderly, End::Reset] {
            assert_eq!(resets_after(w, deed, end), 0, "{what}, {end:?}");
        }
    }
    let client = w.connect_as(&same());
    assert_ne!(w.run(&client, "show work_mem").value(), "5MB");
}
