//! The operations of the core that are measured, each ready to be repeated.

use std::sync::Arc;

use bytes::Bytes;
use pgherd_core::config::{PoolMode, PoolPolicy};
use pgherd_core::entropy::Entropy;
use pgherd_core::id::{BackendId, Epoch, ShardId, Slab};
use pgherd_core::pool::{Answer, Claim, Lease, PoolKey, Pools, Purpose, Ticket, Urgency, Waiter};
use pgherd_core::route::classify::classify;
use pgherd_core::route::lore::Lore;
use pgherd_core::route::memo::Memo;
use pgherd_core::route::rules::Rules;
use pgherd_core::time::{Duration, Instant};
use pgherd_core::wire::backend::{Composer, LOOKS};
use pgherd_core::wire::frame::plain_run;
use pgherd_core::wire::frontend::{self, tag};
use pgherd_core::wire::startup::Params;

use crate::rig::{self, Rig};

/// An operation, and what it may cost.
#[derive(Clone, Copy, Debug)]
pub struct Op {
    /// What the tables call it.
    pub name: &'static str,
    /// What is counted, as in "row".
    pub unit: &'static str,
    /// The goal, in nanoseconds a unit, if there is one.
    pub goal_ns: Option<u32>,
    /// Allocations a unit in steady state, at most: none where nothing but bytes pass. Parsing has no
    /// such limit.
    pub allocations_max: Option<u64>,
    /// Makes everything that is not measured. What it returns does the operation once and says how
    /// many units that was.
    pub make: fn() -> Box<dyn FnMut() -> usize>,
}

/// Everything that is measured.
pub const OPS: &[Op] = &[
    Op {
        name: "frame rows",
        unit: "row",
        goal_ns: Some(5),
        allocations_max: Some(0),
        make: frame_rows,
    },
    Op {
        name: "relay rows",
        unit: "row",
        goal_ns: Some(5),
        allocations_max: Some(0),
        make: relay_rows,
    },
    Op {
        name: "relay long row",
        unit: "read",
        goal_ns: None,
        allocations_max: Some(0),
        make: relay_long_row,
    },
    Op {
        name: "classify known",
        unit: "statement",
        goal_ns: None,
        allocations_max: Some(0),
        make: classify_known,
    },
    Op {
        name: "classify new",
        unit: "statement",
        goal_ns: None,
        allocations_max: None,
        make: classify_new,
    },
    Op {
        name: "simple query",
        unit: "query",
        goal_ns: Some(1000),
        allocations_max: Some(0),
        make: || simple_query(PoolMode::Session),
    },
    Op {
        name: "extended query",
        unit: "query",
        goal_ns: None,
        allocations_max: Some(0),
        make: || extended_query(PoolMode::Session),
    },
    Op {
        name: "prepared query",
        unit: "query",
        goal_ns: None,
        allocations_max: Some(0),
        make: || prepared_query(PoolMode::Session),
    },
    Op {
        name: "simple pooled",
        unit: "query",
        goal_ns: Some(1000),
        allocations_max: Some(0),
        make: || simple_query(PoolMode::Transaction),
    },
    Op {
        name: "extended pooled",
        unit: "query",
        goal_ns: None,
        allocations_max: Some(0),
        make: || extended_query(PoolMode::Transaction),
    },
    Op {
        name: "prepared pooled",
        unit: "query",
        goal_ns: None,
        allocations_max: Some(0),
        make: || prepared_query(PoolMode::Transaction),
    },
    Op {
        name: "checkout, release",
        unit: "connection",
        goal_ns: None,
        allocations_max: Some(0),
        make: checkout,
    },
    Op {
        name: "lease message",
        unit: "message",
        goal_ns: None,
        allocations_max: None,
        make: lease_message,
    },
];

/// What pgbench sends with `-S`.
const SELECT: &str = "SELECT abalance FROM pgbench_accounts WHERE aid = 123456;";

/// What a driver reads at once.
const READ_LEN: usize = pgherd_core::limits::READ_LEN;

/// Whole rows, as many as fit into one read.
fn rows() -> (Bytes, usize) {
    let mut row = Composer::new();
    row.data_row(["123456", "1", "0", "some filler"].into_iter());
    let row = row.finish();
    let count = READ_LEN / row.len();
    (row.repeat(count).into(), count)
}

fn frame_rows() -> Box<dyn FnMut() -> usize> {
    let (bytes, count) = rows();
    Box::new(move || {
        assert_eq!(plain_run(&bytes, &LOOKS), bytes.len());
        count
    })
}

fn relay_rows() -> Box<dyn FnMut() -> usize> {
    let mut rig = Rig::new(PoolMode::Session);
    let (bytes, count) = rows();
    rig.from_client(frontend::compose_query(SELECT));
    Box::new(move || {
        assert_eq!(rig.from_server(bytes.clone()), bytes.len());
        count
    })
}

/// A row that is longer than the run of the benchmark.
fn relay_long_row() -> Box<dyn FnMut() -> usize> {
    let mut rig = Rig::new(PoolMode::Session);
    rig.from_client(frontend::compose_query(SELECT));
    let len = u32::try_from(ROW_READS * READ_LEN + 4).unwrap_or_default();
    let header: Bytes = [b"D".as_slice(), &len.to_be_bytes()].concat().into();
    let (mut left, part) = (0, Bytes::from(vec![b'D'; READ_LEN]));
    Box::new(move || {
        if left == 0 {
            left = ROW_READS;
            assert_eq!(rig.from_server(header.clone()), header.len());
        }
        left -= 1;
        assert_eq!(rig.from_server(part.clone()), part.len());
        1
    })
}

/// Reads in the longest row: 512 MB in all.
const ROW_READS: usize = 8192;

fn classify_known() -> Box<dyn FnMut() -> usize> {
    let mut memo = Memo::new(&mut Entropy::from_seed([7; 32]));
    let rules = Rules::default();
    Box::new(move || {
        std::hint::black_box(memo.classify(SELECT.as_bytes(), &Lore::bare(&rules)));
        1
    })
}

fn classify_new() -> Box<dyn FnMut() -> usize> {
    let rules = Rules::default();
    Box::new(move || {
        std::hint::black_box(classify(SELECT.as_bytes(), &Lore::bare(&rules)));
        1
    })
}

/// A pool's connection goes to a session and comes back.
fn checkout() -> Box<dyn FnMut() -> usize> {
    let key = PoolKey {
        backend: BackendId(0),
        database: Bytes::from_static(b"bench"),
        user: Bytes::from_static(b"bench"),
    };
    let (key, startup) = (Arc::new(key), Arc::new(Params::default()));
    let mut pools = Pools::new(&PoolPolicy::default(), 1, ShardId(0));
    let ticket = Ticket { epoch: Epoch(0), backend: key.backend, purpose: Purpose::Read };
    let mut ids = Slab::new();
    let (session, fresh) = (ids.insert(()), ids.insert(()));
    let mut now = Instant::ZERO;
    Box::new(move || {
        now = now + Duration::from_micros(1);
        let waiter = Waiter { session, startup: startup.clone(), ticket, since: now };
        let link = match pools.ask(&key, waiter, now) {
            Answer::Lent(link) => link,
            Answer::Open => fresh,
            answer @ (Answer::Queued(_) | Answer::Full) => panic!("{answer:?}"),
        };
        pools.put_back(&key, link, startup.clone(), now);
        assert_eq!(pools.roused(), None, "nobody is in line");
        1
    })
}

/// A shard is granted a place for a connection, and yields it to another that claims one.
fn lease_message() -> Box<dyn FnMut() -> usize> {
    let mut rig = Rig::new(PoolMode::Transaction);
    let mut number = 0;
    Box::new(move || {
        number += 1;
        let claim =
            Claim { urgency: Urgency::Calm, has: 1, since: Instant::ZERO, shard: ShardId(1) };
        rig.lease(Lease::Grant { count: 1, answers: None });
        rig.lease(Lease::Recall { number, claim: Some(claim) });
        2
    })
}

fn simple_query(mode: PoolMode) -> Box<dyn FnMut() -> usize> {
    round_trip(Rig::new(mode), frontend::compose_query(SELECT), rig::answer())
}

fn extended_query(mode: PoolMode) -> Box<dyn FnMut() -> usize> {
    let parse = [b"\0", SELECT.as_bytes(), b"\0\0\0"].concat();
    let query = [
        frontend::compose(tag::PARSE, &parse),
        frontend::compose(tag::BIND, &[0; 8]),
        frontend::compose(tag::DESCRIBE, b"P\0"),
        frontend::compose(tag::EXECUTE, &[0; 5]),
        frontend::compose(tag::SYNC, b""),
    ];
    round_trip(Rig::new(mode), query.concat().into(), extended_answer(b"1\0\0\0\x04"))
}

fn prepared_query(mode: PoolMode) -> Box<dyn FnMut() -> usize> {
    let mut rig = Rig::new(mode);
    let parse = [b"P0\0", SELECT.as_bytes(), b"\0\0\0"].concat();
    let sync = frontend::compose(tag::SYNC, b"");
    rig.from_client([frontend::compose(tag::PARSE, &parse), sync.clone()].concat().into());
    // Where connections are shared, whatever was prepared by that name there is closed first.
    let closed: &[u8] = if mode == PoolMode::Session { b"" } else { b"3\0\0\0\x04" };
    let prepared = [closed, b"1\0\0\0\x04Z\0\0\0\x05I"].concat();
    assert_eq!(rig.from_server(prepared.into()), 11, "the client hears of its own statement");
    let query = [
        frontend::compose(tag::BIND, b"\0P0\0\0\0\0\0\0\0"),
        frontend::compose(tag::DESCRIBE, b"P\0"),
        frontend::compose(tag::EXECUTE, &[0; 5]),
        sync,
    ];
    round_trip(rig, query.concat().into(), extended_answer(b""))
}

/// Composes `BindComplete` and the answer of a simple query, which is the same from there on.
fn extended_answer(first: &[u8]) -> Bytes {
    [first, b"2\0\0\0\x04", &rig::answer()].concat().into()
}

fn round_trip(mut rig: Rig, query: Bytes, answer: Bytes) -> Box<dyn FnMut() -> usize> {
    Box::new(move || {
        // Where connections are shared, the name of a prepared statement is a longer one there.
        assert!(rig.from_client(query.clone()) >= query.len());
        assert_eq!(rig.from_server(answer.clone()), answer.len());
        1
    })
}
