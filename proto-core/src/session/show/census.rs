//! What one shard has to say to a question that all shards answer.

use super::nodes::{MEMO, REFUSED, ROUTED};
use super::pins::PINNED;
use crate::backend::link::{Link, State as LinkState};
use crate::id::{ConnId, Table};
use crate::inquiry::{Sheet, View};
use crate::pool::PoolKey;
use crate::session::desk::Desk;
use crate::session::tally::Stay;
use crate::session::{Session, State, Wait};
use crate::time::Instant;
use crate::wire::backend::TxStatus;

/// Fills the sheet of a shard.
pub(crate) fn collect(view: View, desk: &Desk, sessions: &Table<Box<Session>>) -> Sheet {
    let mut sheet = Sheet::default();
    match view {
        View::Traffic => desk.counts.tell_traffic(&mut sheet),
        View::Routes => {
            for (node, stay, word, count) in desk.counts.routes() {
                let figure = match stay {
                    Stay::Routed => ROUTED,
                    Stay::Refused => REFUSED,
                };
                sheet.add_of(Some(node), figure, word, count);
            }
            sheet.add_of(None, MEMO, "hits", desk.memo.hits());
            sheet.add_of(None, MEMO, "misses", desk.memo.misses());
        }
        View::Sessions => {
            for (_, session) in sessions.iter() {
                sheet.push(session.process_row(desk));
            }
        }
        View::Links => {
            for (id, link) in desk.links.iter() {
                sheet.push(link_row(desk, sessions, id, link));
            }
            for key in desk.pools.deserted() {
                sheet.push(deserted_row(desk, &key));
            }
        }
        View::Pins => {
            for (cause, count) in desk.counts.pins() {
                sheet.add_of(None, PINNED, cause, count);
            }
            for (_, session) in sessions.iter() {
                session.tell_pins(desk, &mut sheet);
            }
        }
        // That is the control plane's to know.
        View::Checks => {}
    }
    sheet
}

impl Session {
    /// Where the client comes from.
    fn host(&self) -> String {
        self.arrival.address.map_or_else(|| "[local]".to_owned(), |from| from.ip().to_string())
    }

    /// From which port; nothing for a Unix socket.
    fn port(&self) -> String {
        self.arrival.address.map(|from| from.port().to_string()).unwrap_or_default()
    }

    /// The session's row of `SHOW pool_processes`.
    fn process_row(&self, desk: &Desk) -> Vec<String> {
        let links = || self.held.iter().filter_map(|id| desk.links.get(id));
        let opened = links().filter_map(|link| link.history.opened).min();
        let lends = links().map(|link| link.history.lends).max().unwrap_or(0);
        vec![
            self.process(desk).to_string(),
            print(desk, Some(self.arrived)),
            "1".to_owned(),
            lossy(&self.who.database),
            lossy(&self.who.user),
            print(desk, opened),
            lends.to_string(),
            self.doing(desk).to_owned(),
        ]
    }

    /// What the session is doing, in Pgpool-II's words where it has one.
    fn doing(&self, desk: &Desk) -> &'static str {
        match self.state {
            State::Serving => {}
            State::Starting { .. }
            | State::Cancelling
            | State::Asking
            | State::Proving(_)
            | State::Welcoming
            | State::Closing => return "Connecting",
        }
        match (&self.wait, self.engaged(desk)) {
            (Wait::Link(_) | Wait::Node, _) => "Wait for server connection",
            (Wait::Answer | Wait::Word(_), _) => "Execute command",
            (Wait::Nothing | Wait::Turn | Wait::Settings(_), Some((_, link))) if link.owes() => {
                "Execute command"
            }
            (Wait::Nothing | Wait::Turn | Wait::Settings(_), Some((_, link)))
                if link.tx != TxStatus::Idle =>
            {
                "Idle in transaction"
            }
            (Wait::Nothing | Wait::Turn | Wait::Settings(_), Some(_) | None) => "Idle",
        }
    }

    /// The connection that it is pinned to, if it is pinned.
    fn pinned_to(&self) -> Option<ConnId> {
        self.unnamed.only_at().or(self.held.primary)
    }

    /// The session's rows of `SHOW pool_pins`, without the counts behind the cause.
    fn tell_pins(&self, desk: &Desk, sheet: &mut Sheet) {
        let link = self.pinned_to().and_then(|id| desk.links.get(id));
        for (cause, since) in self.pinned(desk.now) {
            let server = link.and_then(|link| link.key.as_ref()).map_or(0, |(pid, _)| *pid);
            sheet.push(vec![
                cause.to_owned(),
                self.process(desk).to_string(),
                self.host(),
                lossy(&self.who.database),
                lossy(&self.who.user),
                link.map(|link| link.pool.backend.to_string()).unwrap_or_default(),
                server.to_string(),
                print(desk, Some(since)),
            ]);
        }
    }
}

/// The row of a server connection in `SHOW pool_pools`.
fn link_row(desk: &Desk, sessions: &Table<Box<Session>>, id: ConnId, link: &Link) -> Vec<String> {
    let by = match &link.state {
        LinkState::Lent { by } => Some(*by),
        LinkState::Connecting { by } | LinkState::LoggingIn { by, .. } => *by,
        LinkState::Idle | LinkState::Resetting | LinkState::Closing => None,
    };
    let session = by.and_then(|by| sessions.get(by));
    let is_lent = matches!(link.state, LinkState::Lent { .. });
    let pinned = session.filter(|session| session.pinned_to() == Some(id));
    let pins: Vec<&str> = pinned
        .map(|session| session.pinned(desk.now).map(|(cause, _)| cause).collect())
        .unwrap_or_default();
    let doing = session.map_or("Wait for connection", |session| session.doing(desk));
    let idle = session.filter(|session| session.doing(desk).starts_with("Idle"));
    let reads_here = session.is_some_and(|session| session.reads_at == Some(link.pool.backend));
    let mut row = vec![
        session.map_or(0, |session| session.process(desk)).to_string(),
        print(desk, session.map(|session| session.arrived)),
        u8::from(session.is_some()).to_string(),
        id.index().to_string(),
        link.pool.backend.to_string(),
        lossy(&link.pool.database),
        lossy(&link.pool.user),
        print(desk, link.history.opened),
        print(desk, link.history.lent),
        print(desk, link.history.returned),
        idle.map_or(0, |session| desk.now.since(session.active).as_secs()).to_string(),
        "3".to_owned(),
        "0".to_owned(),
        link.history.lends.to_string(),
        link.key.as_ref().map_or(0, |(pid, _)| *pid).to_string(),
        u8::from(is_lent).to_string(),
        doing.to_owned(),
        u8::from(reads_here).to_string(),
        session.map(|session| session.host()).unwrap_or_default(),
        session.map(|session| session.port()).unwrap_or_default(),
        // What clients say is not kept.
        String::new(),
    ];
    let state = if pins.is_empty() { state_of(link) } else { "pinned" };
    row.extend(pool_cells(desk, &link.pool, state, pins.join(",")));
    row
}

/// The row of a pool that nobody has a connection of, although sessions wait for one.
fn deserted_row(desk: &Desk, key: &PoolKey) -> Vec<String> {
    let mut row = vec![String::new(); POOL_CELLS_AT];
    for (at, cell) in [
        (0, "0".to_owned()),
        (2, "0".to_owned()),
        (4, key.backend.to_string()),
        (5, lossy(&key.database)),
        (6, lossy(&key.user)),
        (10, "0".to_owned()),
        (11, "0".to_owned()),
        (12, "0".to_owned()),
        (13, "0".to_owned()),
        (14, "0".to_owned()),
        (15, "0".to_owned()),
        (16, "Wait for connection".to_owned()),
        (17, "0".to_owned()),
    ] {
        if let Some(place) = row.get_mut(at) {
            *place = cell;
        }
    }
    row.extend(pool_cells(desk, key, "none", String::new()));
    row
}

/// How many cells stand before those of the pool: Pgpool-II's.
const POOL_CELLS_AT: usize = 21;

/// The cells of a connection's pool, which is the part of one shard.
fn pool_cells(desk: &Desk, key: &PoolKey, state: &str, pins: String) -> [String; 10] {
    let figures = desk.pools.figures(key);
    let pooling = desk.config.pool.of(&key.database, &key.user);
    [
        pooling.mode.name().to_owned(),
        state.to_owned(),
        pins,
        desk.shard.to_string(),
        figures.pool.open.to_string(),
        figures.idle.to_string(),
        figures.waiting.to_string(),
        figures.pool.quota.to_string(),
        figures.node.open.to_string(),
        figures.node.quota.to_string(),
    ]
}

const fn state_of(link: &Link) -> &'static str {
    match link.state {
        LinkState::Connecting { .. } => "connecting",
        LinkState::LoggingIn { .. } => "logging in",
        LinkState::Idle => "idle",
        LinkState::Lent { .. } => "lent",
        LinkState::Resetting => "resetting",
        LinkState::Closing => "closing",
    }
}

fn print(desk: &Desk, at: Option<Instant>) -> String {
    at.map(|at| desk.clock.print(desk.clock.at(at))).unwrap_or_default()
}

fn lossy(name: &[u8]) -> String {
    String::from_utf8_lossy(name).into_owned()
}
