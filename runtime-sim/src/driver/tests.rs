use pgherd_core::entropy::Entropy;
use pgherd_core::id::{ConnId, ShardId, Slab};
use pgherd_core::inquiry::{Sheet, View};
use pgherd_core::message::Shutdown;
use pgherd_core::output::{Close, Output, Outputs};

use super::*;
use crate::end::Address;
use crate::process::Process;
use crate::{Plan, Simulation};

/// A shard takes a client, looks at its first byte and gives it to another one, which answers with
/// what it saw; or does something that it must not.
struct Desk {
    name: Peer,
    conns: Slab<()>,
    outputs: Outputs,
    /// How many messages each sender has sent.
    mailed: BTreeMap<Peer, u64>,
}

impl Machine for Desk {
    fn handle_accept(&mut self, _: Instant, arrival: Arrival) -> ConnId {
        assert_eq!(arrival.hop == Hop::Taken, self.name == Peer::Shard(ShardId(1)));
        self.conns.insert(())
    }
    fn handle_connect(&mut self, _: Instant, _: ConnId, _: Result<(), Closed>) {}
    fn handle_read(&mut self, _: Instant, conn: ConnId, unread: &[u8]) {
        match (self.name, unread.len()) {
            (Peer::Shard(ShardId(0)), 4..) => {
                self.outputs.skip(conn, 1);
                self.outputs.push(Output::Move {
                    conn,
                    to: ShardId(1),
                    arrival: arrival(Hop::Taken, Door::Sql),
                });
                self.conns.remove(conn);
                let message = Message::Collect { number: 0, view: View::Traffic };
                self.outputs.post(Peer::Shard(ShardId(1)), message);
            }
            (Peer::Shard(ShardId(1)), len @ 3..) => {
                self.outputs.skip(conn, len);
                self.outputs.push(Output::Send { to: conn, bytes: "Z\0\0\0\x05I".into() });
                self.outputs.push(Output::Close { conn, when: Close::AfterFlush });
            }
            _ => {}
        }
    }
    fn handle_sent(&mut self, _: Instant, _: ConnId, _: usize) {}
    fn handle_close(&mut self, _: Instant, conn: ConnId, _: Closed) {
        assert!(self.conns.remove(conn).is_some(), "{conn} ends twice");
    }
    #[expect(clippy::wildcard_enum_match_arm, reason = "a desk takes two messages")]
    fn handle_message(&mut self, _: Instant, from: Peer, message: Message) {
        match message {
            Message::Shutdown(Shutdown::Fast) => {
                for n in 0..50 {
                    let sheet = Sheet::default();
                    let collected = Message::Collected { number: n, sheet };
                    self.outputs.post(Peer::Control, collected);
                }
            }
            Message::Collected { number, .. } => {
                let next = self.mailed.entry(from).or_default();
                assert_eq!(number, *next, "{from:?} was overtaken by itself");
                *next += 1;
                if self.mailed.values().sum::<u64>() == 150 {
                    self.outputs.post(Peer::Operator, Message::Drained);
                }
            }
            _ => {}
        }
    }
    fn handle_timeout(&mut self, _: Instant) {}
    fn poll_output(&mut self) -> Option<Output> {
        self.outputs.pop()
    }
    fn poll_timeout(&self) -> Option<Instant> {
        None
    }
    fn wants_read(&self, _: ConnId) -> bool {
        true
    }
    fn read_hint(&self, _: ConnId) -> usize {
        1
    }
    fn is_accepting(&self) -> bool {
        self.name == Peer::Shard(ShardId(0))
    }
    fn is_finished(&self) -> bool {
        false
    }
}

fn desk(name: Peer, _: Entropy, _: Instant) -> Option<Box<dyn Machine>> {
    let (conns, outputs) = (Slab::new(), Outputs::default());
    Some(Box::new(Desk { name, conns, outputs, mailed: BTreeMap::new() }))
}

#[test]
fn a_connection_changes_machines_with_its_unread_bytes() {
    for seed in 0..20 {
        let plan = Plan { seed, ..Plan::default() };
        let mut world = Simulation::new(plan, &desk);
        let conn = world.open();
        world.send(conn, b"\0\0\0\x08");
        world.run(Duration::from_secs(1));
        assert_eq!(world.take(conn), b"Z\0\0\0\x05I", "seed {seed}");
        assert!(world.is_closed(conn));
        assert_eq!(world.failure(), None);
    }
}

#[test]
fn messages_of_one_sender_keep_their_order_and_the_operator_gets_none() {
    let plan = Plan { seed: 9, ..Plan::default() };
    let mut world = Simulation::new(plan, &desk);
    world.shutdown(Shutdown::Fast);
    world.run(Duration::from_secs(1));
    let what = &world.failure().expect("somebody wrote to the operator").what;
    assert!(what.contains("posted to the operator"), "{what}");
}

#[test]
fn nobody_accepting_means_nobody_listening() {
    let mut stage = Stage::new(1);
    let nobody = |_: Peer, _: Entropy, _: Instant| None;
    let process = Process::start(&Plan::default(), &nobody, &mut stage);
    assert_eq!(process.exit_code(), None);
    let end = stage.connect(Address::Proxy, Owner::Client(0));
    let mut answers = Vec::new();
    while let Some((now, Event::Net(due))) = stage.agenda.next() {
        answers.extend(stage.net.handle(now, due, &mut stage.chance, &mut stage.agenda));
    }
    assert_eq!(answers, [crate::end::Notice::Answered(end, Answer::Refused)]);
}
