//! What scenarios say: clients that connect, ask and wait, on top of a world's few primitives.

use std::time::Duration;

use crate::client::{Answer, Client, Fields, Login, Message, compose};
use crate::world::{Conn, End, Fate, World};

/// The node that is the primary in every world.
pub const PRIMARY: usize = 0;

/// How long anything may take that has no reason to take long. A machine that is busy with other
/// things makes everything slow, and a scenario that fails for it says nothing.
pub const LIMIT: Duration = secs(60);

/// Bytes of bulk that a client lets pile up on its side before it waits.
const UNSENT_MAX: usize = 1 << 20;

/// So many seconds.
#[must_use]
pub const fn secs(count: u64) -> Duration {
    Duration::from_secs(count)
}

/// A world with words for scenarios.
pub trait Play: World + Sized {
    /// Waits until a condition holds.
    ///
    /// # Panics
    /// It does not hold within the limit.
    fn wait(&mut self, what: &str, limit: Duration, mut condition: impl FnMut(&mut Self) -> bool) {
        let end = self.now() + limit;
        while !condition(self) {
            assert!(self.now() < end, "not within {limit:?}: {what}");
            self.step();
        }
    }

    /// Lets time pass in which something must not happen.
    ///
    /// # Panics
    /// It happens.
    fn never(&mut self, what: &str, span: Duration, mut condition: impl FnMut(&mut Self) -> bool) {
        let end = self.now() + span;
        while self.now() < end {
            assert!(!condition(self), "it must not happen: {what}");
            self.step();
        }
    }

    /// Logs in as the superuser, as an application of this name.
    ///
    /// # Panics
    /// The login is refused.
    fn connect(&mut self, app: &str) -> Client {
        self.connect_as(&Login::app(app))
    }

    /// Logs in.
    ///
    /// # Panics
    /// The login is refused.
    fn connect_as(&mut self, login: &Login) -> Client {
        self.try_connect(login).unwrap_or_else(|fields| panic!("login refused: {fields}"))
    }

    /// Logs in, or tells why it was refused.
    ///
    /// # Errors
    /// The error that the server sent.
    fn try_connect(&mut self, login: &Login) -> Result<Client, Fields> {
        let client = self.begin_login(login);
        self.finish_login(&client).map(|()| client)
    }

    /// Logs in to a server, past pgherd.
    ///
    /// # Panics
    /// The login is refused.
    fn connect_direct(&mut self, node: usize, login: &Login) -> Client {
        let client = Client::new(self.open_direct(node), login);
        self.send(client.conn, &login.packet());
        self.finish_login(&client).unwrap_or_else(|fields| panic!("node {node}: {fields}"));
        client
    }

    /// Sends a startup packet and waits for nothing.
    fn begin_login(&mut self, login: &Login) -> Client {
        let client = Client::new(self.open(), login);
        self.send(client.conn, &login.packet());
        client
    }

    /// Waits for the end of a login.
    ///
    /// # Errors
    /// The error that the server sent.
    fn finish_login(&mut self, client: &Client) -> Result<(), Fields> {
        let answer = self.finish(client);
        match (answer.status, answer.error()) {
            (Some(b'I'), None) => Ok(()),
            (None, Some(fields)) => Err(fields.clone()),
            (None, None) => Err(silence()),
            (Some(_), _) => panic!("a strange login: {answer:?}"),
        }
    }

    /// Passes what came on to the client, and its response back.
    fn pump(&mut self, client: &Client) {
        let bytes = self.take(client.conn);
        let reply = client.digest(&bytes);
        if !reply.is_empty() {
            self.send(client.conn, &reply);
        }
    }

    /// Tells whether the client's connection was closed by the other side.
    fn is_gone(&mut self, client: &Client) -> bool {
        self.pump(client);
        self.is_closed(client.conn)
    }

    /// Sends whole messages.
    fn post(&mut self, client: &Client, messages: &[u8]) {
        client.note_sent(messages);
        self.send(client.conn, messages);
    }

    /// Waits for the answer to the oldest unanswered request; an answer without a status if the
    /// connection was closed.
    fn finish(&mut self, client: &Client) -> Answer {
        let mut answer = None;
        self.wait("an answer", LIMIT, |w| {
            w.pump(client);
            answer = client.take_answer();
            if answer.is_none() && w.is_closed(client.conn) {
                answer = Some(client.take_rest());
            }
            answer.is_some()
        });
        answer.expect("waited for")
    }

    /// Tells whether an answer has come, or will never come, without waiting.
    fn has_answer(&mut self, client: &Client) -> bool {
        self.pump(client);
        client.has_answer() || self.is_closed(client.conn)
    }

    /// Waits for the next message of the answer that is under way.
    ///
    /// # Panics
    /// The connection was closed, or the answer ended instead.
    fn message(&mut self, client: &Client) -> Message {
        let mut message = None;
        self.wait("a message", LIMIT, |w| {
            w.pump(client);
            message = client.take_message();
            assert!(message.is_some() || !w.is_closed(client.conn), "closed instead of a message");
            assert!(message.is_some() || !client.has_answer(), "the answer ended before");
            message.is_some()
        });
        message.expect("waited for")
    }

    /// Sends a simple query and waits for nothing.
    fn query_start(&mut self, client: &Client, sql: &str) {
        self.post(client, &compose::query(sql));
    }

    /// Sends a simple query and waits for the answer.
    fn query(&mut self, client: &Client, sql: &str) -> Answer {
        self.query_start(client, sql);
        self.finish(client)
    }

    /// As [`Play::query`], where nothing may go wrong.
    ///
    /// # Panics
    /// Something did.
    fn run(&mut self, client: &Client, sql: &str) -> Answer {
        let answer = self.query(client, sql);
        assert!(!answer.failed(), "{sql}: {}", answer.trouble());
        answer
    }

    /// Sends a statement by the extended query protocol, as drivers do, and waits for the answer.
    fn extended(&mut self, client: &Client, sql: &str, params: &[&str]) -> Answer {
        self.post(client, &[compose::statement(sql, params), compose::sync()].concat());
        self.finish(client)
    }

    /// Runs `copy … from stdin` with this data, until it ends or the server has had enough.
    fn copy_in(&mut self, client: &Client, sql: &str, piece: &[u8], times: usize) -> Answer {
        self.query_start(client, sql);
        let invitation = self.message(client);
        assert_eq!(invitation, Message::CopyIn, "{sql}");
        let piece = compose::copy_data(piece);
        for _ in 0..times {
            self.send(client.conn, &piece);
            self.drain(client);
        }
        self.post(client, &compose::copy_done());
        self.finish(client)
    }

    /// Waits until little of what the client sent is still on its side.
    fn drain(&mut self, client: &Client) {
        let conn = client.conn;
        if self.unsent(conn) <= UNSENT_MAX {
            return;
        }
        self.wait("the server takes what is sent", LIMIT, |w| {
            w.pump(client);
            w.unsent(conn) <= UNSENT_MAX / 2 || w.is_closed(conn)
        });
    }

    /// Asks for what the client is running to be cancelled, and waits until that was taken note
    /// of.
    ///
    /// # Panics
    /// The client is not logged in.
    fn cancel(&mut self, client: &Client) {
        let (process, secret) = client.state().key.clone().expect("the client is logged in");
        self.cancel_key(process, &secret);
    }

    /// Sends a cancel request with any key, and waits until the connection is closed.
    fn cancel_key(&mut self, process: u32, secret: &[u8]) {
        let conn = self.open();
        self.send(conn, &compose::cancel(process, secret));
        self.wait("a cancel request is read", LIMIT, |w| {
            assert!(w.take(conn).is_empty(), "a cancel request has no answer");
            w.is_closed(conn)
        });
    }

    /// Leaves in order.
    fn terminate(&mut self, client: &Client) {
        self.send(client.conn, &compose::terminate());
        self.close(client.conn, End::Orderly);
    }

    /// Leaves without a word.
    fn vanish(&mut self, client: &Client) {
        self.close(client.conn, End::Reset);
    }

    /// Waits until the other side has closed a connection, and returns what came before.
    fn rest(&mut self, conn: Conn, limit: Duration) -> Vec<u8> {
        let mut bytes = Vec::new();
        self.wait("the connection is closed", limit, |w| {
            bytes.extend(w.take(conn));
            w.is_closed(conn)
        });
        bytes
    }

    /// A server dies.
    fn crash(&mut self, node: usize) {
        self.befall(node, Fate::Crash);
    }

    /// A server is started.
    fn start(&mut self, node: usize) {
        self.befall(node, Fate::Start);
    }

    /// A server is made a standby of another one, and started.
    fn rejoin(&mut self, node: usize, leader: usize) {
        self.befall(node, Fate::Rejoin(leader));
    }

    /// Asks a server something that has one value.
    ///
    /// # Panics
    /// It has another number of values, or is refused.
    fn truth(&mut self, node: usize, sql: &str) -> String {
        let rows = self.sql(node, sql).unwrap_or_else(|said| panic!("node {node}: {sql}: {said}"));
        match rows.as_slice() {
            [row] if row.len() == 1 => row.concat(),
            _ => panic!("node {node}: {sql}: {rows:?}"),
        }
    }

    /// Waits until a question that has one value is answered like this by a server.
    fn wait_truth(&mut self, node: usize, sql: &str, expected: &str) {
        let what = format!("node {node} says {expected:?} to {sql:?}");
        self.wait(&what, LIMIT, |w| {
            w.sql(node, sql).is_ok_and(|rows| rows == [[expected.to_owned()]])
        });
    }

    /// Makes a table of this name with a column `n`, and waits until every standby has it.
    fn table(&mut self, client: &Client, name: &str, standbys: usize) {
        self.run(client, &format!("create table {name} (n int)"));
        for node in 1..=standbys {
            self.wait_truth(node, &format!("select count(*) from {name}"), "0");
        }
    }

    /// What `SHOW pool_nodes` says.
    fn pool_nodes(&mut self, client: &Client) -> Vec<PoolNode> {
        let answer = self.run(client, "show pool_nodes");
        let columns = answer.columns();
        answer.rows().iter().map(|row| PoolNode::new(&columns, row)).collect()
    }

    /// Waits until pgherd knows all of its servers, as a scenario begins with: a session that
    /// comes earlier reads from whatever is known then.
    fn settle(&mut self) {
        let admin = self.connect("settling");
        self.wait("all servers are known", LIMIT, |w| {
            let nodes = w.pool_nodes(&admin);
            nodes.iter().all(PoolNode::is_up) && nodes.iter().any(|node| node.role == "primary")
        });
        // Whoever counts clients or connections does not count this one.
        self.send(admin.conn, &compose::terminate());
        self.wait("the settling session has left", LIMIT, |w| w.is_closed(admin.conn));
        self.close(admin.conn, End::Orderly);
    }

    /// Waits until `SHOW pool_nodes` says that a node is up.
    fn wait_up(&mut self, client: &Client, node: usize) {
        let what = format!("node {node} is up");
        self.wait(&what, LIMIT, |w| w.pool_nodes(client)[node].is_up());
    }

    /// Waits until `SHOW pool_nodes` says that a node is the primary.
    fn wait_primary(&mut self, client: &Client, node: usize) {
        let what = format!("node {node} is the primary");
        self.wait(&what, LIMIT, |w| {
            let node = &w.pool_nodes(client)[node];
            node.is_up() && node.role == "primary"
        });
    }

    /// Waits until `SHOW pool_nodes` says that a node is down.
    fn wait_down(&mut self, client: &Client, node: usize) {
        let what = format!("node {node} is down");
        self.wait(&what, LIMIT, |w| w.pool_nodes(client)[node].status == "down");
    }
}

impl<W: World> Play for W {}

/// A row of `SHOW pool_nodes`.
#[derive(Clone, Debug, PartialEq)]
pub struct PoolNode {
    /// `status`.
    pub status: String,
    /// `pg_status`: whether the server answers.
    pub seen: String,
    /// `role`.
    pub role: String,
    /// `lb_weight`: the share of reads, of all nodes together 1.
    pub weight: f64,
    /// `replication_delay`: bytes, or seconds where time counts.
    pub delay: String,
    /// `replication_sync_state`: whether it confirms commits.
    pub sync_state: String,
    /// `select_cnt`.
    pub select_count: u64,
}

impl PoolNode {
    /// Tells whether the node is in use: `waiting` is up without a connection yet.
    #[must_use]
    pub fn is_up(&self) -> bool {
        matches!(self.status.as_str(), "up" | "waiting")
    }

    fn new(columns: &[&str], row: &[String]) -> Self {
        let value = |name: &str| -> &str {
            let at = columns.iter().position(|column| *column == name);
            at.map_or_else(|| panic!("no {name} in {columns:?}"), |at| &row[at])
        };
        let number = |name: &str| -> f64 {
            value(name).parse().unwrap_or_else(|_| panic!("{name} is {:?}", value(name)))
        };
        Self {
            status: value("status").to_owned(),
            seen: value("pg_status").to_owned(),
            role: value("role").to_owned(),
            weight: number("lb_weight"),
            delay: value("replication_delay").into(),
            sync_state: value("replication_sync_state").to_owned(),
            select_count: value("select_cnt").parse().expect("select_cnt is a count"),
        }
    }
}

/// What a client makes of a connection that is closed without a word.
fn silence() -> Fields {
    let field = |name, value: &str| (name, value.to_owned());
    Fields(vec![
        field(b'S', "FATAL"),
        field(b'V', "FATAL"),
        field(b'C', "08006"),
        field(b'M', "closed without a word"),
    ])
}
