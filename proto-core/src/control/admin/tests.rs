//! Sessions of PCP that last, wait, or take nothing.

use std::sync::Arc;

use super::*;
use crate::auth::pcp::challenge_response;
use crate::config::{Files, KeyFile, load};
use crate::entropy::Entropy;
use crate::machine::Machine;
use crate::message::{Arrival, Closed, Door, Hop, Message};
use crate::time::{Duration, WallClock, WallTime};

const DIGEST: &str = "3090be164580c74a25efe7abdf542eb2";

struct Texts;

impl Files for Texts {
    fn read(&self, path: &str) -> Result<String, String> {
        Ok(match path {
            "pcp.conf" => format!("pcpadmin:{DIGEST}\n"),
            _ => "sr_check_user = \"a\"\nworker_threads = 1\n\
                  [[backends]]\nhostname = \"a\"\nport = 5432\n"
                .to_owned(),
        })
    }

    fn exists(&self, _: &str) -> bool {
        true
    }

    fn key_file(&self) -> Option<KeyFile> {
        None
    }

    fn pcp_file(&self, _: &str) -> Option<String> {
        Some("pcp.conf".to_owned())
    }
}

/// A control plane, and what it has asked for that concerns connections of PCP.
struct Bench {
    control: Control,
    now: Instant,
}

/// What became of a connection.
#[derive(Debug, Default)]
struct Seen {
    sent: Vec<u8>,
    skipped: usize,
    closed: Option<Close>,
    rereads: usize,
}

impl Bench {
    fn new() -> Self {
        let config = Arc::new(load("pgherd.toml", &Texts).expect("it is right").config);
        let clock = WallClock { start: WallTime(0), offset: 0 };
        let entropy = Entropy::from_seed([1; 32]);
        let control = Control::new(config, entropy, clock, Instant::ZERO);
        Self { control, now: Instant::ZERO }
    }

    fn seen(&mut self, conn: ConnId) -> Seen {
        let mut seen = Seen::default();
        while let Some(output) = self.control.poll_output() {
            match output {
                Output::Send { to, bytes } if to == conn => seen.sent.extend(bytes),
                Output::Skip { from, len } if from == conn => seen.skipped += len,
                Output::Close { conn: closed, when } if closed == conn => seen.closed = Some(when),
                Output::Reread { conn: read } if read == conn => seen.rereads += 1,
                Output::Send { .. }
                | Output::Skip { .. }
                | Output::Close { .. }
                | Output::Reread { .. }
                | Output::Forward { .. }
                | Output::Copy { .. }
                | Output::Connect { .. }
                | Output::Move { .. }
                | Output::Post { .. }
                | Output::Recall { .. }
                | Output::Run { .. } => {}
            }
        }
        seen
    }

    fn arrive(&mut self) -> ConnId {
        let arrival = Arrival { address: None, hop: Hop::None, door: Door::Pcp };
        self.control.handle_accept(self.now, arrival)
    }

    fn say(&mut self, conn: ConnId, bytes: &[u8]) -> Seen {
        self.control.handle_read(self.now, conn, bytes);
        self.seen(conn)
    }

    /// Everything that was sent has left.
    fn left(&mut self, conn: ConnId, len: usize) -> Seen {
        self.control.handle_sent(self.now, conn, len);
        self.seen(conn)
    }

    fn log_in(&mut self) -> ConnId {
        let conn = self.arrive();
        let salt = self.say(conn, b"M\0\0\0\x04").sent;
        self.left(conn, salt.len());
        let answer =
            challenge_response(DIGEST.as_bytes(), b"pcpadmin", salt[5..].try_into().unwrap());
        let proof = [&b"R\0\0\0\x2epcpadmin\0"[..], &answer, b"\0"].concat();
        let welcome = self.say(conn, &proof).sent;
        assert!(welcome.starts_with(b"r"), "{welcome:?}");
        assert_eq!(self.left(conn, welcome.len()).rereads, 1);
        conn
    }

    fn wait(&mut self, conn: ConnId, span: Duration) -> Seen {
        self.now = self.now + span;
        self.control.handle_timeout(self.now);
        self.seen(conn)
    }
}

fn says(sent: &[u8], text: &str) -> bool {
    sent.windows(text.len()).any(|part| part == text.as_bytes())
}

#[test]
fn whoever_is_one_too_many_is_told() {
    let mut bench = Bench::new();
    let inside: Vec<ConnId> = (0..limits::ADMIN_SESSIONS_MAX).map(|_| bench.log_in()).collect();
    let late = bench.arrive();
    let seen = bench.seen(late);
    assert!(says(&seen.sent, "FATAL\0") && says(&seen.sent, "too many PCP connections"));
    assert_eq!(seen.closed, Some(Close::AfterFlush));
    bench.control.handle_close(bench.now, late, Closed::ByUs);
    bench.control.handle_close(bench.now, inside[3], Closed::ByPeer);
    bench.log_in();
}

#[test]
fn a_stranger_makes_room() {
    let mut bench = Bench::new();
    let begun = bench.arrive();
    bench.say(begun, b"M\0\0\0\x04");
    let mute = bench.arrive();
    for _ in 2..limits::ADMIN_SESSIONS_MAX {
        bench.log_in();
    }
    let late = bench.arrive();
    let seen = bench.seen(mute);
    assert_eq!(seen.closed, Some(Close::AfterFlush), "whoever has said nothing goes first");
    assert!(bench.control.wants_read(late) && !bench.control.wants_read(mute));
}

#[test]
fn shards_that_say_nothing_are_waited_for_in_vain_once() {
    let mut bench = Bench::new();
    let conn = bench.log_in();
    let seen = bench.say(conn, b"N\0\0\0\x04L\0\0\0\x04");
    assert_eq!((seen.skipped, seen.sent.len()), (5, 0));
    assert!(!bench.control.wants_read(conn), "the next request waits");
    assert!(bench.wait(conn, limits::SHOW_TIMEOUT / 2).sent.is_empty());
    let seen = bench.wait(conn, limits::SHOW_TIMEOUT / 2);
    assert!(says(&seen.sent, "ERROR\0") && says(&seen.sent, "no answer came"), "{seen:?}");
    assert_eq!(bench.left(conn, seen.sent.len()).rereads, 1);
    assert_eq!(seen.closed, None);
    // The late answer is nobody's.
    let sheet = crate::inquiry::Sheet::default();
    let late = Message::Collected { number: 1, sheet };
    let shard = crate::message::Peer::Shard(crate::id::ShardId(0));
    bench.control.handle_message(bench.now, shard, late);
    assert!(bench.seen(conn).sent.is_empty());
    assert!(says(&bench.say(conn, b"L\0\0\0\x04").sent, "CommandComplete\x001\0"));
}

#[test]
fn whoever_takes_nothing_is_let_go() {
    let mut bench = Bench::new();
    let conn = bench.log_in();
    let sent = bench.say(conn, b"B\0\0\0\x04").sent.len();
    assert!(sent > 1000, "{sent} bytes of settings");
    assert_eq!(bench.wait(conn, limits::ADMIN_IDLE_TIMEOUT / 2).closed, None);
    assert_eq!(bench.left(conn, 10).rereads, 0);
    assert_eq!(bench.wait(conn, limits::ADMIN_IDLE_TIMEOUT / 2).closed, None, "it took some");
    let seen = bench.wait(conn, limits::ADMIN_IDLE_TIMEOUT / 2);
    assert_eq!(seen.closed, Some(Close::Now));
}

#[test]
fn whoever_says_nothing_is_told_and_let_go() {
    for (is_in, limit) in [(false, limits::ADMIN_LOGIN_TIMEOUT), (true, limits::ADMIN_IDLE_TIMEOUT)]
    {
        let mut bench = Bench::new();
        let conn = if is_in { bench.log_in() } else { bench.arrive() };
        bench.seen(conn);
        assert_eq!(bench.wait(conn, limit - Duration::from_millis(1)).closed, None);
        let seen = bench.wait(conn, Duration::from_millis(1));
        assert!(says(&seen.sent, "FATAL\0"), "{seen:?}");
        assert_eq!(seen.closed, Some(Close::AfterFlush));
        // Its last bytes have their time as well.
        assert_eq!(bench.wait(conn, limits::FLUSH_TIMEOUT).closed, Some(Close::Now));
    }
}
