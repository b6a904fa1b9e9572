//! Servers that die, hang and come back.

use crate::client::{Client, Login, compose};
use crate::play::{LIMIT, PRIMARY, Play, secs};
use crate::world::{End, Fate, Setup, World};

const STANDBY: usize = 1;
const STANDBYS: usize = 2;

/// Reads go to both standbys.
#[must_use]
pub fn standbys_only() -> Setup {
    Setup::weights(&[0.0, 1.0, 1.0])
}

/// Reads go to the primary, as long as it is there.
#[must_use]
pub fn primary_preferred() -> Setup {
    Setup::weights(&[1.0, 0.0, 0.0])
}

/// The same, and a statement that takes its time is a read.
#[must_use]
pub fn primary_dozes() -> Setup {
    primary_preferred().set("read_only_function_list = \"pg_sleep\"")
}

/// Reads go to one standby, as long as it is there.
#[must_use]
pub fn standby_preferred() -> Setup {
    Setup::weights(&[0.0, 1.0, 0.0])
}

/// The same, and a statement that takes its time is a read.
#[must_use]
pub fn standby_dozes() -> Setup {
    standby_preferred().set("read_only_function_list = \"pg_sleep\"")
}

/// Reads go to one standby, and servers are looked at often.
#[must_use]
pub fn impatient() -> Setup {
    standby_preferred()
        .set("sr_check_period = \"1s\"")
        .set("health_check_timeout = \"2s\"")
        .set("health_check_max_retries = 1")
        .set("health_check_retry_delay = \"1s\"")
}

/// Writes wait for a primary, but not for long.
#[must_use]
pub fn short_failover_wait() -> Setup {
    Setup::default().set("failover_wait_timeout = \"3s\"")
}

/// Many clients read all the time; a standby dies. Only what it was answering at that moment may
/// fail, and every client goes on.
pub fn a_standby_dies_under_read_load(w: &mut impl World) {
    let admin = w.connect("admin");
    w.table(&admin, "under_load", STANDBYS);
    let mut readers: Vec<Reader> =
        (0..READERS).map(|n| Reader::new(w.connect(&format!("reader {n}")))).collect();
    for round in 0..ROUNDS {
        for reader in &mut readers {
            reader.ask(w);
        }
        if round == ROUNDS / 2 {
            for reader in &mut readers {
                reader.crash_meets();
            }
            w.crash(STANDBY);
        }
        for reader in &mut readers {
            reader.listen(w);
        }
    }
    w.wait_down(&admin, STANDBY);
    w.run(&admin, "insert into under_load values (1)");
    let failed = readers.iter().filter(|reader| reader.fate == Meeting::Failed).count();
    assert!(failed < READERS, "the other standby's readers notice nothing");
}

/// A client that reads.
struct Reader {
    client: Client,
    fate: Meeting,
}

/// How a client met the crash.
#[derive(Debug, PartialEq)]
enum Meeting {
    /// Not yet, or no more: nothing may fail.
    None,
    /// Its read is in flight.
    InFlight,
    /// Its read failed.
    Failed,
}

impl Reader {
    fn new(client: Client) -> Self {
        Self { client, fate: Meeting::None }
    }

    fn ask(&mut self, w: &mut impl World) {
        if w.is_gone(&self.client) {
            assert_eq!(self.fate, Meeting::Failed, "a session without a failed read was closed");
            self.client = w.connect("reader again");
        }
        w.query_start(&self.client, "select count(*) from under_load");
    }

    fn crash_meets(&mut self) {
        self.fate = Meeting::InFlight;
    }

    fn listen(&mut self, w: &mut impl World) {
        let answer = w.finish(&self.client);
        match (answer.failed(), &self.fate) {
            (true, Meeting::InFlight) => self.fate = Meeting::Failed,
            (true, Meeting::None | Meeting::Failed) => {
                panic!("a read failed that was not in flight: {}", answer.trouble())
            }
            (false, Meeting::InFlight) => self.fate = Meeting::None,
            (false, Meeting::None | Meeting::Failed) => assert_eq!(answer.value(), "0"),
        }
    }
}

/// A read that a standby had not begun to answer when it died is answered by another server; the
/// client notices nothing.
pub fn a_read_in_flight_is_sent_to_another_server(w: &mut impl World) {
    let admin = w.connect("admin");
    w.table(&admin, "in_flight", STANDBYS);
    let readers = [w.connect("simple"), w.connect("extended")];
    for reader in &readers {
        w.run(reader, "select count(*) from in_flight");
    }
    w.befall(STANDBY, Fate::Freeze);
    w.query_start(&readers[0], "select count(*) from in_flight");
    let batch = [compose::statement("select count(*) from in_flight", &[]), compose::sync()];
    w.post(&readers[1], &batch.concat());
    w.never("a frozen server answers", secs(1), |w| readers.iter().any(|r| w.has_answer(r)));
    w.crash(STANDBY);
    for reader in &readers {
        assert_eq!(w.finish(reader).good().value(), "0");
        assert_eq!(w.run(reader, "select count(*) from in_flight").value(), "0");
    }
}

/// So is one that the primary had not begun to answer, if a standby could have answered it as well.
pub fn a_read_in_flight_at_the_primary_is_sent_to_a_standby(w: &mut impl World) {
    let admin = w.connect("admin");
    w.table(&admin, "in_flight", STANDBYS);
    let readers = [w.connect("simple"), w.connect("extended")];
    for reader in &readers {
        w.run(reader, "select count(*) from in_flight");
    }
    lose_in_flight(w, &readers, "select count(*) from in_flight");
    for reader in &readers {
        assert_eq!(w.finish(reader).good().value(), "0");
        assert_eq!(w.run(reader, "select count(*) from in_flight").value(), "0");
    }
}

/// A read that writes although its text does not show it may have written before the primary was
/// lost: the client hears of the loss, and nobody writes it again.
pub fn a_write_in_disguise_is_lost_with_the_primary(w: &mut impl World) {
    let admin = w.connect("admin");
    super::retry::prepare(w, &admin);
    w.terminate(&admin);
    let readers = [w.connect("simple"), w.connect("extended")];
    for reader in &readers {
        w.run(reader, "select count(*) from seen");
    }
    lose_in_flight(w, &readers, "select n from looks_harmless");
    for reader in &readers {
        let answer = w.finish(reader);
        assert_eq!((answer.code(), answer.status), ("08006", Some(b'I')), "{}", answer.trouble());
        assert_eq!(w.run(reader, "select count(*) from seen").value(), "0");
    }
    w.start(PRIMARY);
    w.wait("writes go on", LIMIT, |w| can_write(w, "delete from made_after"));
    assert_eq!(w.truth(PRIMARY, "select count(*) from seen"), "0");
}

/// A read is sent to another server once: if that is lost as well, the client hears of it. It may be
/// what they died of.
pub fn a_read_is_sent_to_another_server_once(w: &mut impl World) {
    let admin = w.connect("admin");
    w.table(&admin, "in_flight", STANDBYS);
    w.table(&admin, "beside", STANDBYS);
    let readers = [w.connect("simple"), w.connect("extended")];
    for reader in &readers {
        // Each has a connection to both.
        w.run(reader, "insert into beside values (1)");
        w.run(reader, "select count(*) from in_flight");
    }
    for node in [PRIMARY, STANDBY] {
        w.befall(node, Fate::Freeze);
    }
    w.query_start(&readers[0], "select count(*) from in_flight");
    let batch = [compose::statement("select count(*) from in_flight", &[]), compose::sync()];
    w.post(&readers[1], &batch.concat());
    for node in [STANDBY, PRIMARY] {
        w.never("a frozen server answers", secs(1), |w| readers.iter().any(|r| w.has_answer(r)));
        w.crash(node);
    }
    for reader in &readers {
        let answer = w.finish(reader);
        assert_eq!((answer.code(), answer.status), ("08006", Some(b'I')), "{}", answer.trouble());
        assert_eq!(w.run(reader, "select count(*) from in_flight").value(), "0");
    }
}

/// Sends a read by the simple and by the extended protocol, and has the primary die before it has
/// begun to answer.
fn lose_in_flight(w: &mut impl World, [simple, extended]: &[Client; 2], sql: &str) {
    w.befall(PRIMARY, Fate::Freeze);
    w.query_start(simple, sql);
    w.post(extended, &[compose::statement(sql, &[]), compose::sync()].concat());
    w.never("a frozen server answers", secs(1), |w| w.has_answer(simple) || w.has_answer(extended));
    w.crash(PRIMARY);
}

/// Inside a transaction it is not: what was read before may have come from another moment.
pub fn a_read_of_a_transaction_is_not_sent_to_another_server(w: &mut impl World) {
    let admin = w.connect("admin");
    w.table(&admin, "told", STANDBYS);
    let reader = w.connect("reader");
    w.run(&reader, "begin read only");
    w.run(&reader, "select count(*) from told");
    w.befall(STANDBY, Fate::Freeze);
    w.query_start(&reader, "select count(*) from told");
    w.never("a frozen server answers", secs(1), |w| w.has_answer(&reader));
    w.crash(STANDBY);
    let answer = w.finish(&reader);
    assert_eq!((answer.code(), answer.status), ("08006", Some(b'E')), "{}", answer.trouble());
}

/// A read that a standby was answering when it was stopped in order is answered by another server. So
/// are those that were sent ahead behind it.
pub fn a_read_in_flight_outlives_a_stop_of_its_standby(w: &mut impl World) {
    let readers = readers_in_flight(w, STANDBY);
    w.befall(STANDBY, Fate::Stop);
    answered_once(w, &readers);
}

/// The same at a primary, if a standby could have answered as well.
pub fn a_read_in_flight_outlives_a_stop_of_its_primary(w: &mut impl World) {
    let readers = readers_in_flight(w, PRIMARY);
    w.befall(PRIMARY, Fate::Stop);
    answered_once(w, &readers);
}

/// A read whose session alone is ended by an administrator was meant to end: its client is told, and
/// nobody reads it again.
pub fn a_read_ended_by_an_administrator_is_not_repeated(w: &mut impl World) {
    let readers = readers_in_flight(w, STANDBY);
    let watcher = w.connect("watcher");
    let before = read_counts(w, &watcher);
    w.befall(STANDBY, Fate::TerminateSessions);
    for (reader, ahead) in &readers {
        for _ in 0..*ahead {
            let answer = w.finish(reader);
            assert_eq!(
                (answer.code(), answer.status),
                ("57P01", Some(b'I')),
                "{}",
                answer.trouble()
            );
        }
    }
    assert_eq!(read_counts(w, &watcher), before, "nobody is asked again");
    for (reader, _) in &readers {
        assert_eq!(w.run(reader, "select 7").value(), "7");
    }
}

/// A client that cancels a read of which it is not known yet whether it is to be repeated has an end
/// of it; so has one that leaves.
pub fn a_read_in_doubt_can_be_given_up(w: &mut impl World) {
    let (canceller, leaver) = (w.connect("canceller"), w.connect("leaver"));
    for reader in [&canceller, &leaver] {
        w.query_start(reader, LONG_READ);
    }
    w.never("a long read is answered", secs(1), |w| w.has_answer(&canceller));
    w.befall(STANDBY, Fate::TerminateSessions);
    w.wait("sessions end", secs(1), |w| w.server_connections(STANDBY) == 0);
    // Whoever looks whether the server is well gets no answer, if it has none yet.
    w.befall(STANDBY, Fate::Freeze);
    w.cancel(&canceller);
    w.close(leaver.conn, End::Reset);
    w.wait("it is told of its end", secs(1), |w| w.has_answer(&canceller));
    assert_eq!(w.finish(&canceller).code(), "57P01");
    w.befall(STANDBY, Fate::Thaw);
    assert_eq!(w.run(&canceller, "select 7").value(), "7");
}

/// What takes long enough to be in flight when something happens.
const LONG_READ: &str = "select 7, pg_sleep(3)";

/// Clients each with a long read in flight at a node, and how many reads each has sent that are not yet
/// answered.
pub(crate) fn readers_in_flight(w: &mut impl World, node: usize) -> Vec<(Client, usize)> {
    let [simple, extended, ahead] = ["simple", "extended", "ahead"].map(|name| w.connect(name));
    let watcher = w.connect("watcher");
    for reader in [&simple, &extended, &ahead] {
        w.run(reader, "select 7");
    }
    let before = read_counts(w, &watcher)[node];
    w.query_start(&simple, LONG_READ);
    w.post(&extended, &[compose::statement(LONG_READ, &[]), compose::sync()].concat());
    let texts = ["select 7", LONG_READ, "select 7"];
    w.post(&ahead, &texts.map(compose::query).concat());
    assert_eq!(w.finish(&ahead).good().value(), "7");
    let readers = vec![(simple, 1), (extended, 1), (ahead, 2)];
    w.never("a long read is answered", secs(1), |w| {
        readers.iter().any(|(reader, _)| w.has_answer(reader))
    });
    assert_eq!(read_counts(w, &watcher)[node], before + 5, "they are read there");
    w.terminate(&watcher);
    readers
}

/// How many reads each node has been sent.
fn read_counts(w: &mut impl World, watcher: &Client) -> Vec<u64> {
    w.pool_nodes(watcher).iter().map(|node| node.select_count).collect()
}

/// Every read is answered once, and the sessions go on.
pub(crate) fn answered_once(w: &mut impl World, readers: &[(Client, usize)]) {
    for (reader, ahead) in readers {
        for _ in 0..*ahead {
            let answer = w.finish(reader).good();
            assert_eq!(answer.rows()[0][0], "7");
        }
        assert_eq!(w.run(reader, "select 8").value(), "8");
    }
}

/// While it is away reads go elsewhere; when it is back it serves reads again, by itself.
pub fn a_standby_comes_back(w: &mut impl World) {
    let app = w.connect("app");
    w.table(&app, "comes_back", STANDBYS);
    for _ in 0..2 {
        w.crash(STANDBY);
        w.wait_down(&app, STANDBY);
        read_and_leave(w, "comes_back");
        let before = w.pool_nodes(&app)[STANDBY].select_count;
        w.start(STANDBY);
        w.wait_up(&app, STANDBY);
        read_and_leave(w, "comes_back");
        let after = w.pool_nodes(&app)[STANDBY].select_count;
        assert_eq!(after, before + 1, "it serves reads again");
    }
}

/// A standby with open connections that answers nothing is taken out, and taken in again.
pub fn a_standby_that_hangs_is_left_alone(w: &mut impl World) {
    let app = w.connect("app");
    w.table(&app, "hangs", STANDBYS);
    w.befall(STANDBY, Fate::Freeze);
    w.wait_down(&app, STANDBY);
    read_and_leave(w, "hangs");
    w.run(&app, "insert into hangs values (1)");
    w.befall(STANDBY, Fate::Thaw);
    w.wait_up(&app, STANDBY);
    w.wait("the standby has caught up", LIMIT, |w| {
        let reader = w.connect("reader");
        let count = w.run(&reader, "select count(*) from hangs").value();
        w.terminate(&reader);
        count == "1"
    });
}

/// The primary restarts. A write that comes meanwhile waits, and succeeds; reads do not wait.
pub fn a_write_waits_for_the_primary_to_come_back(w: &mut impl World) {
    let writer = w.connect("writer");
    w.table(&writer, "waits", STANDBYS);
    w.crash(PRIMARY);
    let admin = w.connect("admin");
    w.wait_down(&admin, PRIMARY);
    let writer = if w.is_gone(&writer) { w.connect("writer") } else { writer };
    w.query_start(&writer, "insert into waits values (1)");
    for _ in 0..5 {
        read_and_leave(w, "waits");
        assert!(!w.has_answer(&writer), "there is no primary to write to");
    }
    w.start(PRIMARY);
    assert_eq!(w.finish(&writer).good().tags(), ["INSERT 0 1"]);
    assert_eq!(w.truth(PRIMARY, "select count(*) from waits"), "1", "written once");
    w.wait_up(&admin, PRIMARY);
}

/// The primary stays away: a write ends with an error that says why; reads go on.
pub fn a_write_gives_up_when_the_primary_stays_away(w: &mut impl World) {
    let admin = w.connect("admin");
    w.table(&admin, "gives_up", STANDBYS);
    w.crash(PRIMARY);
    let writer = w.connect("writer");
    let answer = w.query(&writer, "insert into gives_up values (1)");
    assert_eq!(answer.code(), "57P03", "{}", answer.trouble());
    assert!(answer.trouble().contains("primary"), "{}", answer.trouble());
    read_and_leave(w, "gives_up");
    w.start(PRIMARY);
    w.wait("writes go on", LIMIT, |w| can_write(w, "insert into gives_up values (2)"));
    assert_eq!(w.truth(PRIMARY, "select count(*) from gives_up where n = 1"), "0");
}

/// A transaction whose server went away has failed, and its client is told so.
pub fn a_transaction_does_not_outlive_its_server(w: &mut impl World) {
    let app = w.connect("app");
    w.run(&app, "create table outlived (n int)");
    w.terminate(&app);
    for fate in [Fate::Stop, Fate::Crash] {
        let app = w.connect("app");
        w.run(&app, "begin");
        w.run(&app, "insert into outlived values (1)");
        w.befall(PRIMARY, fate);
        let answer = w.query(&app, "commit");
        assert!(answer.failed(), "after {fate:?} the commit cannot succeed: {answer:?}");
        super::failover::assert_lost(&answer);
        w.start(PRIMARY);
        w.wait("writes go on", LIMIT, |w| can_write(w, "delete from outlived where n = 2"));
        assert_eq!(w.truth(PRIMARY, "select count(*) from outlived"), "0", "after {fate:?}");
    }
}

/// A client that has been told that its transaction is over is in none, whatever becomes of the
/// connection on which pgherd rolls it back.
pub fn a_transaction_that_is_over_is_not_lost(w: &mut impl World) {
    const WRITE: &str = "insert into rolled_back values (1)";
    let app = w.connect("app");
    w.run(&app, "create table rolled_back (n int)");
    for steps in 0..24 {
        w.run(&app, "begin");
        // pgherd refuses it, and rolls the transaction back.
        let refused = w.query(&app, "show pool_nodes; select 1");
        assert_eq!((refused.code(), refused.status), ("0A000", Some(b'E')), "{steps}");
        let rollback = match steps % 2 {
            0 => compose::query("rollback"),
            _ => [compose::statement("rollback", &[]), compose::sync()].concat(),
        };
        w.post(&app, &rollback);
        for _ in 0..steps {
            w.step();
        }
        w.befall(PRIMARY, Fate::TerminateSessions);
        let end = w.finish(&app).good();
        assert_eq!((end.tags(), end.status), (vec!["ROLLBACK"], Some(b'I')), "{steps}");
        // It may meet the connection's end, and is then what is lost.
        let write = w.query(&app, WRITE);
        assert_eq!(write.status, Some(b'I'), "{steps}: {}", write.trouble());
        w.wait("writes go on", LIMIT, |w| !w.query(&app, WRITE).failed());
    }
}

/// 57P01 is about a session, not about a server.
pub fn sessions_ended_by_an_administrator_do_not_mean_a_server_is_down(w: &mut impl World) {
    let app = w.connect("app");
    w.table(&app, "administered", STANDBYS);
    w.befall(PRIMARY, Fate::TerminateSessions);
    // A connection whose end is still on its way looks as good as any other.
    w.never("pgherd ends", secs(1), |w| w.exit_code().is_some());
    let next = w.connect("next");
    w.run(&next, "insert into administered values (1)");
    w.never("the primary counts as down", secs(5), |w| !w.pool_nodes(&next)[PRIMARY].is_up());
    assert_eq!(w.truth(PRIMARY, "select count(*) from administered"), "1");
}

/// `pg_terminate_backend` ends the session that it names and disturbs no other.
pub fn one_session_ended_by_another(w: &mut impl World) {
    let (victim, bystander) = (w.connect("victim"), w.connect("bystander"));
    w.run(&victim, "begin");
    let pid = w.run(&victim, "select pg_backend_pid()").value();
    let bystanders = w.run(&bystander, "select pg_backend_pid()").value();
    assert_ne!(pid, bystanders, "two sessions, two connections");
    let admin = w.connect("admin");
    w.run(&admin, &format!("select pg_terminate_backend({pid})"));
    let answer = w.query(&victim, "select 1");
    assert!(answer.failed(), "its transaction is lost");
    assert_eq!(answer.code(), "57P01", "{}", answer.trouble());
    assert_eq!(w.run(&bystander, "select pg_backend_pid()").value(), bystanders);
    assert!(w.pool_nodes(&admin)[PRIMARY].is_up());
    let again = w.connect_as(&Login::app("victim"));
    w.run(&again, "begin; commit");
}

/// One read in a session of its own.
fn read_and_leave(w: &mut impl World, table: &str) {
    let reader = w.connect("reader");
    assert!(!w.query(&reader, &format!("select count(*) from {table}")).failed(), "a read failed");
    w.terminate(&reader);
}

/// Tells whether a write in a session of its own succeeds.
fn can_write(w: &mut impl World, sql: &str) -> bool {
    let Ok(writer) = w.try_connect(&Login::app("writer")) else { return false };
    let answer = w.query(&writer, sql);
    w.terminate(&writer);
    !answer.failed()
}

/// Clients that read at once.
const READERS: usize = 12;
/// Reads of each.
const ROUNDS: usize = 60;
