//! What a driver makes of what a machine asks for. Clients come in by a real door, because only
//! glommio makes what glommio accepts.

use std::future::Future;
use std::io::{Read as _, Write as _};
use std::net::{Ipv4Addr, TcpListener};
use std::os::unix::net::UnixStream;
use std::thread;

use glommio::Task;
use glommio::timer::timeout;
use pgherd_core::id::{BackendId, ShardId};
use pgherd_core::limits;
use pgherd_host::mailbox::Mailbox;
use pgherd_host::puppet::{self, Heard, LONG, Manner, Place, Puppet, is_closed};

use super::*;
use crate::listener::Listener;
use crate::ring;

/// A driver that runs, and a puppet to pull at.
struct Scene {
    driver: Rc<RefCell<Driver<Puppet>>>,
    shard: Mailbox<Fresh>,
    running: Task<()>,
    place: Place,
}

/// Plays on an executor of the test's own.
fn play<F: Future<Output = ()>>(test: impl FnOnce() -> F) {
    ring::executor().unwrap().run(test());
}

/// Waits, but not for ever.
async fn is_in_time(event: impl Future<Output = ()>) -> bool {
    let waited = timeout(LONG, async {
        event.await;
        Ok(())
    });
    waited.await.is_ok()
}

impl Scene {
    /// Opens a door in a place of this name.
    fn new(name: &str) -> Self {
        Self::with(name, &puppet::in_front_of(&[("db", 5432)]))
    }

    fn with(name: &str, config: &Arc<Config>) -> Self {
        let place = Place::new(name);
        let (post, mailbox, mut shards) = Post::new(1).unwrap();
        let setting = Setting {
            me: Peer::Control,
            start: std::time::Instant::now(),
            config: config.clone(),
            post,
        };
        let driver = Driver::new(Puppet::default(), setting);
        let door = Listener::open(&pgherd_host::door::Spot::Unix(place.door())).unwrap();
        let line = Socket::from(mailbox.ear.line().unwrap());
        let running = rounds::run(driver.clone(), vec![door], mailbox, line);
        let running = glommio::spawn_local(running);
        Self { driver, shard: shards.pop().unwrap(), running, place }
    }

    /// Waits until the puppet says so; it says something whenever it is told something.
    async fn until(&self, what: &str, is_so: impl Fn(&Puppet) -> bool) {
        let waiting = std::future::poll_fn(|cx| {
            let puppet = &mut self.driver.borrow_mut().machine;
            if is_so(puppet) {
                return std::task::Poll::Ready(());
            }
            puppet.waker = Some(cx.waker().clone());
            std::task::Poll::Pending
        });
        assert!(is_in_time(waiting).await, "{what}: {:?}", self.heard());
    }

    async fn until_heard(&self, what: &str, is_heard: impl Fn(&[Heard]) -> bool) {
        self.until(what, |puppet| is_heard(&puppet.heard)).await;
    }

    async fn client(&self) -> (ConnId, UnixStream) {
        let names = self.driver.borrow().machine.names.len();
        let far = self.place.client();
        self.until("the client", |puppet| puppet.names.len() > names).await;
        let names = self.driver.borrow().conns.names();
        (names.into_iter().max_by_key(|id| id.index()).unwrap(), far)
    }

    /// Sends a letter and waits for it: what was there before has been looked at then.
    async fn glance(&self) {
        self.driver.borrow().post.send(Peer::Control, letter());
        self.until_heard("the letter", |heard| heard.last() == Some(&Heard::Message)).await;
        self.driver.borrow_mut().machine.heard.pop();
    }

    fn behave(&self, manner: Manner) {
        self.driver.borrow_mut().machine.manner = manner;
    }

    fn tell(&self, outputs: impl IntoIterator<Item = Output>) {
        let mut driver = self.driver.borrow_mut();
        outputs.into_iter().for_each(|output| driver.machine.outputs.push(output));
        driver.pump();
    }

    fn heard(&self) -> Vec<Heard> {
        self.driver.borrow_mut().machine.heard()
    }

    /// Ends the driver, which leaves nothing behind.
    async fn end(self) {
        self.driver.borrow_mut().machine.is_finished = true;
        self.driver.borrow_mut().pump();
        self.running.await;
        assert!(self.place.is_empty(), "the listener has left its path behind");
        assert!(self.driver.borrow().conns.names().is_empty());
    }
}

fn letter() -> Mail<Fresh> {
    Mail::Message { from: Peer::Control, message: Box::new(Message::Drained) }
}

fn send(to: ConnId, bytes: &'static [u8]) -> Output {
    Output::Send { to, bytes: Bytes::from_static(bytes) }
}

#[test]
fn bytes_and_an_end_that_come_together_are_both_told() {
    play(|| async {
        let scene = Scene::new("glommio-together");
        let (id, mut far) = scene.client().await;
        far.write_all(b"terminate").unwrap();
        drop(far);
        scene.until_heard("the end", is_closed).await;
        let read = Heard::Read(id, b"terminate".to_vec());
        assert_eq!(scene.heard(), [read, Heard::Closed(id, Closed::ByPeer)]);
        scene.end().await;
    });
}

#[test]
fn an_end_behind_bytes_that_were_read_is_told() {
    play(|| async {
        let scene = Scene::new("glommio-behind");
        let (id, mut far) = scene.client().await;
        far.write_all(b"terminate").unwrap();
        scene.until_heard("the bytes", |heard| !heard.is_empty()).await;
        drop(far);
        scene.until_heard("the end", is_closed).await;
        let read = Heard::Read(id, b"terminate".to_vec());
        assert_eq!(scene.heard(), [read, Heard::Closed(id, Closed::ByPeer)]);
        scene.end().await;
    });
}

#[test]
fn what_came_while_it_was_not_wanted_is_read_later() {
    play(|| async {
        let scene = Scene::new("glommio-unwanted");
        let (id, mut far) = scene.client().await;
        scene.behave(Manner::Refuse);
        far.write_all(b"one").unwrap();
        scene.glance().await;
        far.write_all(b"two").unwrap();
        drop(far);
        scene.glance().await;
        assert_eq!(scene.heard(), []);
        scene.behave(Manner::Take);
        scene.tell([Output::Reread { conn: id }]);
        scene.until_heard("the end", is_closed).await;
        let [empty, all] = [&b""[..], b"onetwo"].map(|read| Heard::Read(id, read.to_vec()));
        assert_eq!(scene.heard(), [empty, all, Heard::Closed(id, Closed::ByPeer)]);
        scene.end().await;
    });
}

#[test]
fn bytes_that_are_left_are_shown_again_behind_a_reread() {
    play(|| async {
        let scene = Scene::new("glommio-left");
        let (id, mut far) = scene.client().await;
        scene.behave(Manner::Leave);
        far.write_all(b"one").unwrap();
        scene.until_heard("the first", |heard| heard.len() == 1).await;
        let held = scene.driver.borrow().conns.get(id).unwrap().recv.capacity();
        assert!(held <= 16, "three bytes wait in a buffer of {held}");
        far.write_all(b"two").unwrap();
        scene.until_heard("the second", |heard| heard.len() == 2).await;
        scene.behave(Manner::Take);
        scene.tell([Output::Reread { conn: id }]);
        let reads = [&b"one"[..], b"onetwo", b"onetwo"].map(|read| Heard::Read(id, read.to_vec()));
        assert_eq!(scene.heard(), reads);
        assert_eq!(scene.driver.borrow().conns.get(id).unwrap().recv.capacity(), 0, "it is idle");
        scene.end().await;
    });
}

#[test]
fn a_talker_leaves_the_others_their_turn() {
    const TURN: usize = limits::READ_LEN * limits::READS_PER_TURN;
    const TALK: usize = TURN * 8;
    play(|| async {
        let scene = Scene::new("glommio-talker");
        let (talker, mut far) = scene.client().await;
        // Its own task has had its first turn then.
        scene.glance().await;
        let talk = thread::spawn(move || {
            far.write_all(&vec![7; TALK]).unwrap();
            far
        });
        let mut most = 0;
        let all = std::future::poll_fn(|cx| {
            let mut driver = scene.driver.borrow_mut();
            let before = driver.machine.read_len(talker);
            // From now on this is the connection's task.
            assert!(driver.turn(talker, cx).is_pending());
            let after = driver.machine.read_len(talker);
            most = most.max(after - before);
            if after == TALK { std::task::Poll::Ready(()) } else { std::task::Poll::Pending }
        });
        assert!(is_in_time(all).await, "not all of it has been read");
        assert!(most <= TURN, "{most} bytes in a turn");
        drop(talk.join().unwrap());
        scene.end().await;
    });
}

#[test]
fn a_slow_reader_receives_everything_in_order() {
    const LEN: usize = 3_000_000;
    play(|| async {
        let scene = Scene::new("glommio-slow");
        let (from, mut writer) = scene.client().await;
        let (to, mut reader) = scene.client().await;
        scene.behave(Manner::Forward(to));
        let text: Vec<u8> = (0..LEN).map(|at| (at % 251) as u8).collect();
        let sent = text.clone();
        let writing = thread::spawn(move || writer.write_all(&sent).map(|()| writer).unwrap());
        // Nobody reads, so the kernel refuses before all has come.
        scene.until("all that is written", |puppet| puppet.read_len(from) == LEN).await;
        assert_eq!(scene.driver.borrow().conns.get(to).unwrap().sink, Sink::Full);
        scene.tell([send(to, b"tail"), Output::Close { conn: to, when: Close::AfterFlush }]);
        let reading = thread::spawn(move || {
            let mut all = Vec::new();
            reader.read_to_end(&mut all).unwrap();
            all
        });
        scene.until_heard("the end of the reader", is_closed).await;
        let all = reading.join().unwrap();
        assert_eq!(all.len(), LEN + 4);
        assert!(all.starts_with(&text) && all.ends_with(b"tail"));
        let reported = scene.driver.borrow().machine.sent_len(to);
        assert_eq!(reported, LEN + 4, "each byte is reported once");
        assert!(scene.heard().contains(&Heard::Closed(to, Closed::ByUs)));
        drop(writing.join().unwrap());
        scene.end().await;
    });
}

#[test]
fn composed_and_forwarded_bytes_keep_their_order() {
    play(|| async {
        let scene = Scene::new("glommio-order");
        let (from, mut writer) = scene.client().await;
        let (to, mut reader) = scene.client().await;
        scene.behave(Manner::Leave);
        writer.write_all(b"olddef").unwrap();
        scene.until_heard("the bytes", |heard| !heard.is_empty()).await;
        scene.tell([
            send(to, b"a"),
            send(to, b"b"),
            send(to, b"c"),
            Output::Skip { from, len: 3 },
            Output::Forward { from, to, len: 3 },
            send(to, b"g"),
        ]);
        let mut all = [0; 7];
        reader.read_exact(&mut all).unwrap();
        assert_eq!(&all, b"abcdefg");
        let heard = scene.heard();
        assert_eq!(heard[1..], [Heard::Sent(to, 6), Heard::Sent(to, 1)], "one write for six bytes");
        scene.end().await;
    });
}

#[test]
fn whoever_cannot_be_written_to_ends_once_it_has_been_heard() {
    play(|| async {
        let scene = Scene::new("glommio-broken");
        let (id, mut far) = scene.client().await;
        far.write_all(b"last words").unwrap();
        drop(far);
        scene.tell([send(id, b"too late")]);
        scene.until_heard("the end", is_closed).await;
        let read = Heard::Read(id, b"last words".to_vec());
        assert_eq!(scene.heard(), [Heard::Sent(id, 8), read, Heard::Closed(id, Closed::ByPeer)]);

        // A machine that does not listen hears of the end all the same.
        let (id, far) = scene.client().await;
        scene.behave(Manner::Refuse);
        drop(far);
        scene.tell([send(id, b"too late")]);
        scene.until_heard("the end", is_closed).await;
        assert_eq!(scene.heard(), [Heard::Sent(id, 8), Heard::Closed(id, Closed::ByPeer)]);
        scene.end().await;
    });
}

#[test]
fn a_client_moves_before_it_is_read() {
    play(|| async {
        let scene = Scene::new("glommio-move");
        scene.behave(Manner::Move(ShardId(0)));
        let mut far = scene.place.client();
        far.write_all(b"startup").unwrap();
        scene.glance().await;
        assert_eq!(scene.heard(), [], "it is not read here");
        let mail = scene.shard.take();
        let Some(Mail::Moved { socket, unread, arrival }) = mail else {
            panic!("nothing has arrived");
        };
        assert_eq!((&unread[..], arrival.address), (&b""[..], None));
        // There, what came with it is shown first.
        scene.behave(Manner::Take);
        scene.driver.borrow_mut().receive(Mail::Moved { socket, unread: b"early".into(), arrival });
        scene.until_heard("both", |heard| heard.len() == 2).await;
        let id = scene.driver.borrow().conns.names()[0];
        let reads = [&b"early"[..], b"startup"].map(|read| Heard::Read(id, read.to_vec()));
        assert_eq!(scene.heard(), reads);
        scene.end().await;
    });
}

#[test]
fn a_client_who_moves_to_nobody_sees_the_end() {
    play(|| async {
        let mut scene = Scene::new("glommio-nobody");
        scene.behave(Manner::Move(ShardId(0)));

        // One who is still in the mail when the driver ends.
        let mut early = scene.place.client();
        scene.glance().await;
        let mail = scene.shard.take().unwrap();

        // One who comes for a shard that has ended.
        let (_, nobody, _) = Post::new(0).unwrap();
        scene.shard = nobody;
        let mut late = scene.place.client();
        scene.glance().await;
        assert_eq!(late.read(&mut [0]).unwrap(), 0);

        scene.driver.borrow_mut().machine.is_finished = true;
        scene.driver.borrow().post.send(Peer::Control, mail);
        scene.end().await;
        assert_eq!(early.read(&mut [0]).unwrap(), 0);
    });
}

#[test]
fn a_burst_of_clients_is_accepted() {
    const CLIENTS: usize = 300;
    play(|| async {
        let scene = Scene::new("glommio-burst");
        // More than the system's own bound on a backlog may wait for us to accept.
        let path = scene.place.door();
        let dialling = thread::spawn(move || {
            (0..CLIENTS).map(|_| UnixStream::connect(&path)).collect::<Vec<_>>()
        });
        scene.until("everybody", |puppet| puppet.names.len() == CLIENTS).await;
        assert!(dialling.join().unwrap().iter().all(Result::is_ok));
        scene.end().await;
    });
}

#[test]
fn no_mail_is_lost_between_looking_and_waiting() {
    const EACH: usize = 20_000;
    play(|| async {
        let scene = Scene::new("glommio-mail");
        let senders: Vec<_> = (0..3)
            .map(|_| {
                let post = scene.driver.borrow().post.clone();
                thread::spawn(move || (0..EACH).for_each(|_| post.send(Peer::Control, letter())))
            })
            .collect();
        scene.until_heard("all of it", |heard| heard.len() == 3 * EACH).await;
        senders.into_iter().for_each(|sender| sender.join().unwrap());
        scene.end().await;
    });
}

#[test]
fn a_deadline_ends_the_wait() {
    play(|| async {
        let scene = Scene::new("glommio-deadline");
        scene.glance().await;
        {
            let mut driver = scene.driver.borrow_mut();
            driver.machine.due =
                Some(driver.clock() + pgherd_core::time::Duration::from_millis(20));
            driver.pump();
        }
        let began = std::time::Instant::now();
        scene.until_heard("the timeout", |heard| heard == [Heard::Timeout]).await;
        assert!(began.elapsed() < LONG);
        scene.end().await;
    });
}

#[test]
fn servers_are_connected_to_by_name_and_by_address() {
    play(|| async {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        let port = listener.local_addr().unwrap().port();
        let vacant = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        let closed = vacant.local_addr().unwrap().port();
        drop(vacant);
        let hosts =
            [("127.0.0.1", port), ("localhost", port), ("127.0.0.1", closed), ("no.invalid", port)];
        let scene = Scene::with("glommio-servers", &puppet::in_front_of(&hosts));
        let cases = [Ok(()), Ok(()), Err(Closed::Refused), Err(Closed::Unresolved)];
        for (number, result) in (0u8..).zip(cases) {
            let id = scene.driver.borrow_mut().machine.names.insert(());
            scene.tell([Output::Connect { conn: id, to: BackendId(number) }]);
            scene.until_heard("the answer", |heard| !heard.is_empty()).await;
            assert_eq!(scene.heard(), [Heard::Connected(id, result)], "node {number}");
            if result.is_ok() {
                let (mut server, _) = listener.accept().unwrap();
                server.write_all(b"hello").unwrap();
                scene.until_heard("the greeting", |heard| !heard.is_empty()).await;
                assert_eq!(scene.heard(), [Heard::Read(id, b"hello".to_vec())]);
                drop(server);
                scene.until_heard("its end", is_closed).await;
                assert_eq!(scene.heard(), [Heard::Closed(id, Closed::ByPeer)]);
            }
        }
        scene.end().await;
    });
}

#[test]
fn an_attempt_that_is_given_up_ends_once() {
    play(|| async {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        let port = listener.local_addr().unwrap().port();
        let hosts = [("127.0.0.1", port), ("localhost", port)];
        let scene = Scene::with("glommio-given-up", &puppet::in_front_of(&hosts));
        for number in [0, 1] {
            let id = scene.driver.borrow_mut().machine.names.insert(());
            let connect = Output::Connect { conn: id, to: BackendId(number) };
            scene.tell([connect, Output::Close { conn: id, when: Close::Now }]);
            assert_eq!(scene.heard(), [Heard::Closed(id, Closed::ByUs)]);
        }
        scene.glance().await;
        assert_eq!(scene.heard(), [], "nothing more is told of them");
        scene.end().await;
    });
}

#[test]
fn a_connection_is_small() {
    let len = size_of::<Option<(u32, Connection)>>();
    assert!(len <= 256, "{len} bytes of every idle client");
}
