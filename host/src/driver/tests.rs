use std::io::{Read as _, Write as _};
use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::os::unix::net::UnixStream;
use std::thread;
use std::time::Duration;

use crate::puppet::{self, Heard, LONG, Manner, Place, Puppet, is_closed};
use pgherd_core::id::{BackendId, ShardId};
use pgherd_core::job::{Environment, Job, JobId};
use pgherd_core::limits;
use pgherd_core::message::{Door, Hop};

use super::*;

struct Scene {
    driver: Driver<Puppet>,
    shard: Mailbox,
}

impl Scene {
    fn new() -> Self {
        Self::with(&puppet::in_front_of(&[("db", 5432)]), Vec::new())
    }

    fn with(config: &Arc<Config>, listeners: Vec<Listener>) -> Self {
        let (post, mailbox, mut shards) = Post::new(1).unwrap();
        let setting = Setting {
            me: Peer::Control,
            start: std::time::Instant::now(),
            config: config.clone(),
            poller: Poller::new().unwrap(),
            listeners,
            mailbox,
            post,
        };
        let mut driver = Driver::new(Puppet::default(), setting.watch().unwrap());
        driver.begin();
        Self { driver, shard: shards.pop().unwrap() }
    }

    fn client(&mut self) -> (ConnId, UnixStream) {
        let (near, far) = UnixStream::pair().unwrap();
        near.set_nonblocking(true).unwrap();
        let names = self.driver.machine.names.len();
        self.driver.accept(
            Socket::Unix(near),
            &[],
            Arrival { address: None, hop: Hop::None, door: Door::Sql },
        );
        assert_eq!(self.driver.machine.names.len(), names + 1);
        let id = self.driver.conns.names().into_iter().max_by_key(|id| id.index()).unwrap();
        (id, far)
    }

    fn tell(&mut self, output: Output) {
        self.driver.machine.outputs.push(output);
        self.driver.pump();
    }

    /// Waits once as a thread does, but not for ever.
    fn round(&mut self) {
        let patience = self.driver.patience().map_or(LONG, |patience| patience.min(LONG));
        self.driver.round(Some(patience)).unwrap();
    }

    /// One more round, for what is there already and for nothing else.
    fn glance(&mut self) {
        self.driver.round(Some(Duration::ZERO)).unwrap();
    }

    /// Goes on until something has been heard.
    fn until(&mut self, what: &str, is_heard: impl Fn(&[Heard]) -> bool) {
        let end = std::time::Instant::now() + LONG;
        while !is_heard(&self.driver.machine.heard) {
            assert!(std::time::Instant::now() < end, "{what}: {:?}", self.heard());
            self.round();
        }
    }

    fn heard(&mut self) -> Vec<Heard> {
        self.driver.machine.heard()
    }

    fn read_len(&self, conn: ConnId) -> usize {
        self.driver.machine.read_len(conn)
    }
}

#[test]
fn bytes_and_an_end_that_come_together_are_both_told() {
    let mut scene = Scene::new();
    let (id, mut far) = scene.client();
    far.write_all(b"terminate").unwrap();
    drop(far);
    scene.until("the end", is_closed);
    let read = Heard::Read(id, b"terminate".to_vec());
    assert_eq!(scene.heard(), [read, Heard::Closed(id, Closed::ByPeer)]);
}

#[test]
fn an_end_behind_bytes_that_were_read_is_told() {
    let mut scene = Scene::new();
    let (id, mut far) = scene.client();
    far.write_all(b"terminate").unwrap();
    scene.until("the bytes", |heard| !heard.is_empty());
    drop(far);
    scene.until("the end", is_closed);
    let read = Heard::Read(id, b"terminate".to_vec());
    assert_eq!(scene.heard(), [read, Heard::Closed(id, Closed::ByPeer)]);
}

#[test]
fn what_came_while_it_was_not_wanted_is_read_later() {
    let mut scene = Scene::new();
    let (id, mut far) = scene.client();
    scene.driver.machine.manner = Manner::Refuse;
    far.write_all(b"one").unwrap();
    scene.round();
    far.write_all(b"two").unwrap();
    drop(far);
    scene.glance();
    assert_eq!(scene.driver.patience(), None, "there is nothing to do meanwhile");
    assert_eq!(scene.heard(), []);
    scene.driver.machine.manner = Manner::Take;
    scene.tell(Output::Reread { conn: id });
    scene.until("the end", is_closed);
    let reads = [Heard::Read(id, vec![]), Heard::Read(id, b"onetwo".to_vec())];
    let [empty, all] = reads;
    assert_eq!(scene.heard(), [empty, all, Heard::Closed(id, Closed::ByPeer)]);
}

#[test]
fn bytes_that_are_left_are_shown_again_behind_a_reread() {
    let mut scene = Scene::new();
    let (id, mut far) = scene.client();
    scene.driver.machine.manner = Manner::Leave;
    far.write_all(b"one").unwrap();
    scene.until("the first", |heard| heard.len() == 1);
    let held = scene.driver.conns.get(id).unwrap().recv.capacity();
    assert!(held <= 16, "three bytes wait in a buffer of {held}");
    far.write_all(b"two").unwrap();
    scene.until("the second", |heard| heard.len() == 2);
    scene.driver.machine.manner = Manner::Take;
    scene.tell(Output::Reread { conn: id });
    let reads = [&b"one"[..], b"onetwo", b"onetwo"].map(|read| Heard::Read(id, read.to_vec()));
    assert_eq!(scene.heard(), reads);
    assert_eq!(scene.driver.conns.get(id).unwrap().recv.capacity(), 0, "it is idle");
}

#[test]
fn a_talker_leaves_the_others_their_turn() {
    const TALK: usize = limits::READ_LEN * limits::READS_PER_TURN * 4;
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    let mut far = std::net::TcpStream::connect(listener.local_addr().unwrap()).unwrap();
    let (near, _) = listener.accept().unwrap();
    near.set_nonblocking(true).unwrap();
    let mut scene = Scene::new();
    let arrival = Arrival { address: None, hop: Hop::None, door: Door::Sql };
    scene.driver.accept(Socket::Tcp(near), &[], arrival);
    let talker = scene.driver.conns.names()[0];
    let (quiet, mut other) = scene.client();
    let talk = thread::spawn(move || {
        far.write_all(&vec![7; TALK]).unwrap();
        far
    });
    other.write_all(b"x").unwrap();
    let mut most = 0;
    while scene.read_len(talker) < TALK {
        let before = scene.read_len(talker);
        scene.round();
        most = most.max(scene.read_len(talker) - before);
    }
    assert!(most <= limits::READ_LEN * limits::READS_PER_TURN, "{most} bytes in a round");
    assert_eq!(scene.read_len(quiet), 1);
    drop(talk.join().unwrap());
    scene.until("the end", is_closed);
}

#[test]
fn a_slow_reader_receives_everything_in_order() {
    const LEN: usize = 3_000_000;
    let mut scene = Scene::new();
    let (from, mut writer) = scene.client();
    let (to, mut reader) = scene.client();
    scene.driver.machine.manner = Manner::Forward(to);
    let text: Vec<u8> = (0..LEN).map(|at| (at % 251) as u8).collect();
    let sent = text.clone();
    let writing = thread::spawn(move || writer.write_all(&sent).map(|()| writer).unwrap());
    // Nobody reads, so the kernel refuses before all has come.
    while scene.read_len(from) < LEN {
        scene.round();
    }
    assert_eq!(scene.driver.conns.get(to).unwrap().sink, Sink::Full);
    scene.tell(Output::Send { to, bytes: Bytes::from_static(b"tail") });
    scene.tell(Output::Close { conn: to, when: Close::AfterFlush });
    let reading = thread::spawn(move || {
        let mut all = Vec::new();
        reader.read_to_end(&mut all).unwrap();
        all
    });
    scene.until("the end of the reader", is_closed);
    let all = reading.join().unwrap();
    assert_eq!(all.len(), LEN + 4);
    assert!(all.starts_with(&text) && all.ends_with(b"tail"));
    assert_eq!(scene.driver.machine.sent_len(to), LEN + 4, "each byte is reported once");
    assert!(scene.heard().contains(&Heard::Closed(to, Closed::ByUs)));
    drop(writing.join().unwrap());
}

#[test]
fn composed_and_forwarded_bytes_keep_their_order() {
    let mut scene = Scene::new();
    let (from, mut writer) = scene.client();
    let (to, mut reader) = scene.client();
    scene.driver.machine.manner = Manner::Leave;
    writer.write_all(b"olddef").unwrap();
    scene.until("the bytes", |heard| !heard.is_empty());
    let outputs = &mut scene.driver.machine.outputs;
    for piece in [&b"a"[..], b"b", b"c"] {
        outputs.push(Output::Send { to, bytes: Bytes::from_static(piece) });
    }
    outputs.skip(from, 3);
    outputs.forward(from, to, 3);
    outputs.push(Output::Send { to, bytes: Bytes::from_static(b"g") });
    scene.driver.pump();
    let mut all = [0; 7];
    reader.read_exact(&mut all).unwrap();
    assert_eq!(&all, b"abcdefg");
    let heard = scene.heard();
    assert_eq!(heard[1..], [Heard::Sent(to, 6), Heard::Sent(to, 1)], "one write for six bytes");
}

#[test]
fn whoever_cannot_be_written_to_ends_once_it_has_been_heard() {
    let mut scene = Scene::new();
    let (id, mut far) = scene.client();
    far.write_all(b"last words").unwrap();
    drop(far);
    scene.tell(Output::Send { to: id, bytes: Bytes::from_static(b"too late") });
    scene.until("the end", is_closed);
    let read = Heard::Read(id, b"last words".to_vec());
    let sent = Heard::Sent(id, 8);
    assert_eq!(scene.heard(), [sent, read, Heard::Closed(id, Closed::ByPeer)]);

    // A machine that does not listen hears of the end all the same.
    let (id, far) = scene.client();
    scene.driver.machine.manner = Manner::Refuse;
    drop(far);
    scene.tell(Output::Send { to: id, bytes: Bytes::from_static(b"too late") });
    scene.until("the end", is_closed);
    assert_eq!(scene.heard(), [Heard::Sent(id, 8), Heard::Closed(id, Closed::ByPeer)]);
}

#[test]
fn a_connection_moves_with_its_unread_bytes() {
    let mut scene = Scene::new();
    let (id, mut far) = scene.client();
    scene.driver.machine.manner = Manner::Leave;
    far.write_all(b"startup").unwrap();
    scene.until("the bytes", |heard| !heard.is_empty());
    let arrival = Arrival {
        address: Some(SocketAddr::from((Ipv4Addr::LOCALHOST, 4711))),
        hop: Hop::Taken,
        door: Door::Sql,
    };
    scene.tell(Output::Move { conn: id, to: ShardId(0), arrival });
    scene.driver.machine.names.remove(id);
    let Some(Mail::Moved { socket, unread, arrival: as_what }) = scene.shard.take() else {
        panic!("nothing has arrived");
    };
    assert_eq!((&unread[..], as_what), (&b"startup"[..], arrival));
    far.write_all(b"more").unwrap();
    scene.glance();
    assert_eq!(scene.heard().len(), 1, "it is not watched any more");
    scene.driver.machine.manner = Manner::Take;
    scene.driver.accept(socket, &unread, arrival);
    scene.until("both", |heard| heard.len() == 2);
    let id = scene.driver.conns.names()[0];
    let reads = [&b"startup"[..], b"more"].map(|read| Heard::Read(id, read.to_vec()));
    assert_eq!(scene.heard(), reads);
}

#[test]
fn a_connection_that_nobody_takes_comes_back() {
    let mut scene = Scene::new();
    let (id, mut far) = scene.client();
    scene.driver.machine.manner = Manner::Leave;
    far.write_all(b"startup").unwrap();
    scene.until("the bytes", |heard| !heard.is_empty());
    let (_, another, _) = Post::new(0).unwrap();
    drop(std::mem::replace(&mut scene.shard, another));
    let arrival = Arrival { address: None, hop: Hop::Taken, door: Door::Sql };
    scene.tell(Output::Move { conn: id, to: ShardId(0), arrival });
    scene.driver.machine.names.remove(id);
    scene.until("it again", |heard| heard.len() == 2);
    let id = scene.driver.conns.names()[0];
    assert_eq!(scene.heard().pop(), Some(Heard::Read(id, b"startup".to_vec())));
}

#[test]
fn whoever_is_moved_to_a_machine_that_ends_is_let_in_to_be_told() {
    let mut scene = Scene::new();
    let (near, _far) = UnixStream::pair().unwrap();
    let arrival = Arrival { address: None, hop: Hop::Taken, door: Door::Sql };
    let mail = Mail::Moved { socket: Socket::Unix(near), unread: Vec::new(), arrival };
    scene.driver.machine.is_finished = true;
    scene.driver.post.send(Peer::Control, mail);
    assert!(scene.driver.is_finished());
    assert_eq!(scene.driver.machine.names.len(), 1);
}

#[test]
fn a_burst_of_clients_is_accepted() {
    const CLIENTS: usize = 300;
    let place = Place::new("burst");
    let config = place.config("");
    let listeners = crate::listener::open(&config, 1).unwrap().shards.remove(0);
    let mut scene = Scene::with(&config, listeners);
    // More than the system's own bound on a backlog may wait for us to accept.
    let far = place.door();
    let dialling =
        thread::spawn(move || (0..CLIENTS).map(|_| UnixStream::connect(&far)).collect::<Vec<_>>());
    let end = std::time::Instant::now() + LONG;
    while scene.driver.machine.names.len() < CLIENTS {
        assert!(std::time::Instant::now() < end, "somebody waits for ever");
        scene.round();
    }
    assert!(dialling.join().unwrap().iter().all(Result::is_ok));
    drop(scene);
    assert!(place.is_empty(), "the listener has left its path behind");
}

#[test]
fn whoever_waits_at_a_door_that_closes_is_let_in_to_be_told() {
    let place = Place::new("closing");
    let config = place.config("");
    let mut open = crate::listener::open(&config, 2).unwrap().shards;
    let mut scene = Scene::with(&config, open.remove(0));
    let waiting: Vec<_> = (0..3).map(|_| place.client()).collect();
    scene.driver.machine.is_finished = true;
    scene.driver.pump();
    assert_eq!(scene.driver.machine.names.len(), waiting.len());
    // The other shard has not heard of it yet, and is told of the next one.
    let mut other = Scene::with(&config, open.remove(0));
    let _next = place.client();
    let end = std::time::Instant::now() + LONG;
    while other.driver.machine.names.is_empty() {
        assert!(std::time::Instant::now() < end, "nobody hears of the client");
        other.round();
    }
    drop(other);
    assert!(UnixStream::connect(place.door()).is_err());
    assert!(place.is_empty());
}

#[test]
fn no_mail_is_lost_between_looking_and_waiting() {
    const EACH: usize = 20_000;
    let mut scene = Scene::new();
    let senders: Vec<_> = (0..3)
        .map(|_| {
            let post = scene.driver.post.clone();
            thread::spawn(move || {
                for _ in 0..EACH {
                    let message = Box::new(Message::Drained);
                    post.send(Peer::Control, Mail::Message { from: Peer::Control, message });
                }
            })
        })
        .collect();
    scene.until("all of it", |heard| heard.len() == 3 * EACH);
    senders.into_iter().for_each(|sender| sender.join().unwrap());
}

#[test]
fn a_deadline_ends_the_wait() {
    let mut scene = Scene::new();
    scene.driver.machine.due = Some(scene.driver.now + Duration::from_millis(20));
    let began = std::time::Instant::now();
    scene.until("the timeout", |heard| heard == [Heard::Timeout]);
    assert!(began.elapsed() < LONG);
    assert_eq!(scene.driver.patience(), None);
}

#[test]
fn servers_are_connected_to_by_name_and_by_address() {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    let port = listener.local_addr().unwrap().port();
    let vacant = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    let closed = vacant.local_addr().unwrap().port();
    drop(vacant);
    let hosts =
        [("127.0.0.1", port), ("localhost", port), ("127.0.0.1", closed), ("no.invalid", port)];
    let mut scene = Scene::with(&puppet::in_front_of(&hosts), Vec::new());
    let cases = [Ok(()), Ok(()), Err(Closed::Refused), Err(Closed::Unresolved)];
    let mut servers = Vec::new();
    for (number, result) in (0u8..).zip(cases) {
        let id = scene.driver.machine.names.insert(());
        scene.tell(Output::Connect { conn: id, to: BackendId(number) });
        scene.until("the answer", |heard| !heard.is_empty());
        assert_eq!(scene.heard(), [Heard::Connected(id, result)], "node {number}");
        if result.is_ok() {
            let (mut server, _) = listener.accept().unwrap();
            server.write_all(b"hello").unwrap();
            scene.until("the greeting", |heard| !heard.is_empty());
            assert_eq!(scene.heard(), [Heard::Read(id, b"hello".to_vec())]);
            servers.push(server);
        }
    }
}

/// Even one that runs for long takes no turn of anybody's.
#[test]
fn a_command_runs_beside_everything_else() {
    let mut scene = Scene::new();
    let (id, mut far) = scene.client();
    let job = |line: &str, within| {
        let (name, line) = ("test".into(), line.into());
        Job { name, line, environment: Environment::default(), within }
    };
    let first = JobId::default().next();
    let long = Box::new(job("sleep 1000", Duration::from_millis(500)));
    scene.tell(Output::Run { id: first, job: long });
    let short = Box::new(job("exit 3", LONG));
    scene.tell(Output::Run { id: first.next(), job: short });
    far.write_all(b"query").unwrap();
    scene.until("the bytes", |heard| heard.contains(&Heard::Read(id, b"query".to_vec())));
    scene.until("both ends", |heard| {
        heard.iter().filter(|heard| **heard == Heard::Message).count() == 2
    });
}

#[test]
fn an_attempt_that_is_given_up_ends_once() {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    let port = listener.local_addr().unwrap().port();
    let hosts = [("127.0.0.1", port), ("localhost", port)];
    let mut scene = Scene::with(&puppet::in_front_of(&hosts), Vec::new());
    for number in [0, 1] {
        let id = scene.driver.machine.names.insert(());
        let outputs = &mut scene.driver.machine.outputs;
        outputs.push(Output::Connect { conn: id, to: BackendId(number) });
        outputs.push(Output::Close { conn: id, when: Close::Now });
        scene.driver.pump();
        assert_eq!(scene.heard(), [Heard::Closed(id, Closed::ByUs)]);
    }
    let post = scene.driver.post.clone();
    let message = Box::new(Message::Drained);
    post.send(Peer::Control, Mail::Message { from: Peer::Control, message });
    scene.until("a message", |heard| heard.contains(&Heard::Message));
    assert_eq!(scene.heard(), [Heard::Message], "nothing more is told of them");
}

#[test]
fn a_connection_is_small() {
    let len = size_of::<Option<(u32, Connection)>>();
    assert!(len <= 128, "{len} bytes of every idle client");
}
