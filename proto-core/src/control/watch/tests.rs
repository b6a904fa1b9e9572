//! What the control plane makes of what it hears of a server, between looks.

use std::sync::Arc;

use super::*;
use crate::config::{Files, KeyFile, load};
use crate::entropy::Entropy;
use crate::id::Epoch;
use crate::machine::Machine;
use crate::message::{Closed, Message, Peer};
use crate::time::{Duration, WallClock, WallTime};
use crate::topology::Topology;

/// A configuration of one server.
struct Text(&'static str);

impl Files for Text {
    fn read(&self, _: &str) -> Result<String, String> {
        Ok(format!(
            "sr_check_user = \"a\"\nsr_check_period = \"60s\"\nworker_threads = 1\n{}\n\
             [[backends]]\nhostname = \"a\"\nport = 5432\nconnect_timeout = \"2s\"\n",
            self.0
        ))
    }

    fn exists(&self, _: &str) -> bool {
        false
    }

    fn key_file(&self) -> Option<KeyFile> {
        None
    }
}

/// What the control plane has asked for.
#[derive(Debug, Default)]
struct Asked {
    connects: Vec<ConnId>,
    closes: Vec<ConnId>,
    sends: usize,
    topology: Option<Arc<Topology>>,
    meant: Option<Whom>,
}

struct Bench {
    control: Control,
    now: Instant,
}

impl Bench {
    fn new(settings: &'static str) -> Self {
        let config = Arc::new(load("pgherd.toml", &Text(settings)).expect("it is right").config);
        let clock = WallClock { start: WallTime(0), offset: 0 };
        let entropy = Entropy::from_seed([1; 32]);
        let control = Control::new(config, entropy, clock, Instant::ZERO);
        Self { control, now: Instant::ZERO }
    }

    fn asked(&mut self) -> Asked {
        let mut asked = Asked::default();
        while let Some(output) = self.control.poll_output() {
            if let Output::Connect { conn, .. } = output {
                asked.connects.push(conn);
            } else if let Output::Close { conn, .. } = output {
                asked.closes.push(conn);
            } else if let Output::Send { .. } = output {
                asked.sends += 1;
            } else if let Output::Post { message, .. } = output {
                if let Message::Topology(topology) = *message {
                    asked.topology = Some(topology);
                } else if let Message::Meant { whom, .. } = *message {
                    asked.meant = Some(whom);
                }
            }
        }
        asked
    }

    fn wait(&mut self, span: Duration) -> Asked {
        self.now = self.now + span;
        self.control.handle_timeout(self.now);
        self.asked()
    }

    fn suspect(&mut self, sign: Sign) -> Asked {
        let message = Message::Suspect { backend: BackendId(0), epoch: Epoch(1), sign };
        self.control.handle_message(self.now, Peer::Control, message);
        self.asked()
    }

    fn read(&mut self, conn: ConnId, messages: &[(u8, &[u8])]) -> Asked {
        let mut bytes = Vec::new();
        for (tag, body) in messages {
            bytes.push(*tag);
            bytes.extend(u32::try_from(body.len() + 4).unwrap().to_be_bytes());
            bytes.extend(*body);
        }
        self.control.handle_read(self.now, conn, &bytes);
        self.asked()
    }

    /// The server is looked at, and is the primary.
    fn is_seen(&mut self) -> ConnId {
        let conn = self.wait(Duration::ZERO).connects[0];
        assert_eq!(self.answers(conn).topology.unwrap().primary, Some(BackendId(0)));
        conn
    }

    /// The server takes a connection, and tells there that it is the primary.
    fn answers(&mut self, conn: ConnId) -> Asked {
        self.lets_in(conn);
        let values = ["f", "0/10", "1", "", "", "f", "7", "", "", "", "", "", ""];
        let mut row = u16::try_from(values.len()).unwrap().to_be_bytes().to_vec();
        for value in values {
            row.extend(u32::try_from(value.len()).unwrap().to_be_bytes());
            row.extend(value.as_bytes());
        }
        self.read(conn, &[(b'D', &row), (b'C', b"SELECT 1\0"), (b'Z', b"I")])
    }

    fn lets_in(&mut self, conn: ConnId) {
        self.control.handle_connect(self.now, conn, Ok(()));
        self.read(conn, &[(b'R', &[0; 4]), (b'Z', b"I")]);
    }
}

#[test]
fn a_lost_connection_makes_it_look_unless_it_is_told_not_to() {
    for (settings, looks) in [("", 1), ("failover_on_backend_error = false", 0)] {
        let mut bench = Bench::new(settings);
        bench.is_seen();
        assert_eq!(bench.suspect(Sign::Silence).sends, looks, "{settings}");
    }
}

#[test]
fn a_goodbye_counts_if_a_fresh_look_fails() {
    const PATIENT: &str = "health_check_max_retries = 5";
    const BELIEVES: &str = "health_check_max_retries = 5\nfailover_on_backend_shutdown = true";
    for (settings, sign, is_lost) in [
        (PATIENT, Sign::Goodbye, false),
        (BELIEVES, Sign::Silence, false),
        (BELIEVES, Sign::Goodbye, true),
    ] {
        let mut bench = Bench::new(settings);
        let conn = bench.is_seen();
        let mut connects = bench.suspect(sign).connects;
        if sign == Sign::Silence {
            bench.control.handle_close(bench.now, conn, Closed::ByPeer);
            connects = bench.asked().connects;
        }
        let fresh = connects[0];
        bench.control.handle_connect(bench.now, fresh, Err(Closed::Refused));
        let topology = bench.asked().topology;
        let found = topology.is_some_and(|topology| topology.nodes[0].status == Status::Down);
        assert_eq!(found, is_lost, "{settings}, {sign:?}");
    }
}

#[test]
fn a_goodbye_is_forgotten_when_the_server_answers() {
    let mut bench = Bench::new("failover_on_backend_shutdown = true");
    bench.is_seen();
    let conn = bench.suspect(Sign::Goodbye).connects[0];
    bench.lets_in(conn);
    let refused = b"SERROR\0VERROR\0C53300\0Mno room\0\0";
    bench.read(conn, &[(b'E', refused), (b'Z', b"I")]);
    let node = &bench.control.nodes[0];
    assert_eq!((node.openness, node.fact.status), (Openness::Open, Status::Waiting));
    assert_eq!(node.fact.sight, Sight::Blind);
}

#[test]
fn a_fresh_look_tells_whom_a_server_meant() {
    let mut bench = Bench::new("health_check_max_retries = 5");
    bench.is_seen();
    for _ in 0..2 {
        let fresh = bench.suspect(Sign::Goodbye).connects[0];
        assert_eq!(bench.suspect(Sign::Goodbye).connects, [], "one look is enough");
        assert_eq!(bench.answers(fresh).meant, Some(Whom::One));
    }
    let fresh = bench.suspect(Sign::Goodbye).connects[0];
    bench.control.handle_connect(bench.now, fresh, Err(Closed::Refused));
    let asked = bench.asked();
    assert_eq!((asked.meant, asked.topology), (Some(Whom::All), None), "before it is lost");
}

#[test]
fn whoever_is_sent_away_between_two_looks_does_not_wait_for_the_second_one() {
    let mut bench = Bench::new("health_check_max_retries = 5");
    bench.is_seen();
    let fresh = bench.suspect(Sign::Goodbye).connects[0];
    bench.control.handle_connect(bench.now, fresh, Err(Closed::Refused));
    assert_eq!(bench.asked().meant, Some(Whom::All));
    let asked = bench.suspect(Sign::Goodbye);
    assert_eq!((asked.meant, asked.connects), (Some(Whom::All), vec![]));
    let fresh = bench.wait(Duration::from_secs(1)).connects[0];
    assert_eq!(bench.suspect(Sign::Goodbye).meant, None, "a look tells");
    assert_eq!(bench.answers(fresh).meant, Some(Whom::One));
}

#[test]
fn a_look_without_an_answer_tells_that_a_server_meant_all() {
    for (retries, is_lost) in
        [("health_check_max_retries = 0", true), ("health_check_max_retries = 1", false)]
    {
        let mut bench = Bench::new(retries);
        bench.is_seen();
        let fresh = bench.suspect(Sign::Goodbye).connects[0];
        bench.lets_in(fresh);
        assert_eq!(bench.wait(Duration::from_secs(19)).meant, None, "{retries}: it may come yet");
        let asked = bench.wait(Duration::from_secs(1));
        assert_eq!((asked.meant, asked.closes), (Some(Whom::All), vec![fresh]), "{retries}");
        assert_eq!(asked.topology.is_some(), is_lost, "{retries}");
    }
}

#[test]
fn a_look_under_way_does_not_tell_whom_a_server_meant() {
    let mut bench = Bench::new("");
    let kept = bench.is_seen();
    bench.wait(Duration::from_secs(60));
    let asked = bench.suspect(Sign::Goodbye);
    assert_eq!((asked.closes, asked.connects.len()), (vec![kept], 1));
}

#[test]
fn a_connection_that_gives_way_to_a_fresh_one_leaves_it_time() {
    for is_closed in [false, true] {
        let mut bench = Bench::new("");
        let kept = bench.is_seen();
        bench.wait(Duration::from_secs(60));
        bench.wait(Duration::from_secs(19));
        let asked = if is_closed {
            bench.control.handle_close(bench.now, kept, Closed::ByPeer);
            bench.asked()
        } else {
            bench.suspect(Sign::Goodbye)
        };
        let fresh = asked.connects[0];
        let asked = bench.wait(Duration::from_secs(1));
        assert_eq!((asked.closes, asked.topology), (vec![], None), "its time has just begun");
        bench.lets_in(fresh);
        bench.wait(Duration::from_secs(18));
        assert_eq!(bench.suspect(Sign::Goodbye).connects, [], "it is fresh");
        let asked = bench.wait(Duration::from_secs(1));
        assert_eq!(asked.closes, [fresh], "it is no more than its time");
        assert_eq!(asked.topology.unwrap().nodes[0].status, Status::Down);
    }
}

#[test]
fn where_nobody_looks_a_server_means_whom_it_names() {
    let mut bench = Bench::new("failover_on_backend_error = false");
    bench.is_seen();
    let asked = bench.suspect(Sign::Goodbye);
    assert_eq!((asked.meant, asked.connects), (Some(Whom::One), vec![]));
}

#[test]
fn a_connection_that_does_not_come_about_in_time_has_failed() {
    let mut bench = Bench::new("health_check_timeout = \"30s\"");
    let conn = bench.wait(Duration::ZERO).connects[0];
    assert_eq!(bench.wait(Duration::from_secs(1)).closes, []);
    let asked = bench.wait(Duration::from_secs(1));
    assert_eq!(asked.closes, [conn]);
    assert_eq!(bench.control.nodes[0].fact.seen, Seen::Down);
}
