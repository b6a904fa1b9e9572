//! Statements that pgherd answers itself, in both protocols: `SHOW pool_nodes`, `SHOW
//! pool_version`, and the end of a transaction that was lost with its server.

use std::collections::BTreeMap;

use bytes::Bytes;

use super::desk::Desk;
use super::refusal::Refusal;
use super::serve::Incoming;
use super::{Limbo, Session, Taken, Turn, Wait};
use crate::limits;
use crate::message::{Message, Peer};
use crate::route::class::{Ask, Kind, PoolShow};
use crate::topology::Role;
use crate::wire::backend::{Composer, TxStatus, tag as reply};
use crate::wire::error::Violation;
use crate::wire::frontend::{self, Subject, tag};

/// What pgherd carries out itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Local {
    Show(PoolShow),
    Rollback,
}

/// A batch of the extended protocol that pgherd answers.
#[derive(Debug, Default)]
pub(super) struct Batch {
    statements: BTreeMap<Bytes, Local>,
    portals: BTreeMap<Bytes, Local>,
}

/// The columns of `SHOW pool_nodes`, in Pgpool-II's order.
const NODE_COLUMNS: [&str; 14] = [
    "node_id",
    "hostname",
    "port",
    "status",
    "pg_status",
    "lb_weight",
    "role",
    "pg_role",
    "select_cnt",
    "load_balance_node",
    "replication_delay",
    "replication_state",
    "replication_sync_state",
    "last_status_change",
];

const VERSION_COLUMNS: [&str; 1] = ["pool_version"];

/// What `SHOW pool_version` says. Monitoring reads the number in front, so it is a version of
/// Pgpool-II whose interface pgherd keeps.
const VERSION: &str = concat!("4.5.0 (pgherd ", env!("CARGO_PKG_VERSION"), ")");

impl Local {
    const fn columns(self) -> Option<&'static [&'static str]> {
        match self {
            Self::Show(PoolShow::Nodes) => Some(&NODE_COLUMNS),
            Self::Show(PoolShow::Version) => Some(&VERSION_COLUMNS),
            Self::Show(
                PoolShow::Processes
                | PoolShow::Pools
                | PoolShow::Status
                | PoolShow::Cache
                | PoolShow::HealthCheckStats
                | PoolShow::BackendStats
                | PoolShow::Pins
                | PoolShow::RouteStats,
            )
            | Self::Rollback => None,
        }
    }
}

impl Session {
    /// Answers a `Query` that asks pgherd.
    pub(super) fn query_pgherd(
        &mut self,
        desk: &mut Desk,
        message: Incoming<'_>,
        show: PoolShow,
    ) -> Taken {
        if self.must_settle(desk) {
            return Taken::Nothing;
        }
        let local = Local::Show(show);
        let status = self.status(desk);
        match self.answer_to(desk, local) {
            Some(Ok(rows)) => {
                let mut composer = Composer::new();
                if let Some(columns) = local.columns() {
                    composer.row_description(columns);
                }
                put_rows(&mut composer, local, &rows);
                composer.ready(status);
                self.say(desk, composer);
            }
            Some(Err(refusal)) => {
                let status = if status == TxStatus::Open { TxStatus::Failed } else { status };
                if status == TxStatus::Failed {
                    self.reject_transaction(desk);
                }
                self.say_error(desk, &refusal, Some(status));
            }
            None => return Taken::Nothing,
        }
        self.turn = Turn::None;
        self.take_nowhere(desk, message)
    }

    /// Answers a message of a batch that asks pgherd.
    pub(super) fn on_local(
        &mut self,
        desk: &mut Desk,
        message: Incoming<'_>,
    ) -> Result<Taken, Violation> {
        if self.must_settle(desk) && matches!(self.limbo, Limbo::None) {
            return Ok(Taken::Nothing);
        }
        if matches!(self.wait, Wait::Turn) {
            self.wait = Wait::Nothing;
        }
        let Turn::Local(mut batch) = std::mem::take(&mut self.turn) else {
            return Ok(self.take_nowhere(desk, message));
        };
        let answer = self.local_answer(desk, &mut batch, message)?;
        self.turn = Turn::Local(batch);
        match answer {
            Some(Ok(composer)) => {
                self.say(desk, composer);
                Ok(self.take_nowhere(desk, message))
            }
            Some(Err(refusal)) => Ok(self.fail_batch(desk, message, &refusal)),
            None => Ok(Taken::Nothing),
        }
    }

    fn local_answer(
        &mut self,
        desk: &mut Desk,
        batch: &mut Batch,
        message: Incoming<'_>,
    ) -> Result<Option<Result<Composer, Refusal>>, Violation> {
        let malformed = Violation::Malformed { tag: message.tag };
        let mut composer = Composer::new();
        match message.tag {
            tag::PARSE => {
                let (name, text) = frontend::parse(message.body).ok_or(malformed)?;
                let nature = self.judge(desk, Some(text));
                let Some(local) = local_of(nature.kind) else {
                    return Ok(Some(Err(Refusal::MixedPipeline)));
                };
                if !has_room(&batch.statements, name) {
                    return Ok(Some(Err(Refusal::TooManyStatements)));
                }
                self.keep_local(batch, name, local);
                composer.bare(reply::PARSE_COMPLETE);
            }
            tag::BIND => {
                let (portal, name) = frontend::bind(message.body).ok_or(malformed)?;
                let Some(local) = self.local(batch, name) else {
                    return Ok(Some(Err(Refusal::MixedPipeline)));
                };
                if !has_room(&batch.portals, portal) {
                    return Ok(Some(Err(Refusal::TooManyStatements)));
                }
                batch.portals.insert(Bytes::copy_from_slice(portal), local);
                composer.bare(reply::BIND_COMPLETE);
            }
            tag::DESCRIBE => {
                let local = match frontend::subject(message.body).ok_or(malformed)? {
                    Subject::Statement(name) => {
                        composer.message(reply::PARAMETER_DESCRIPTION, |body| {
                            body.extend_from_slice(&[0; 2]);
                        });
                        self.local(batch, name)
                    }
                    Subject::Portal(name) => batch.portals.get(name).copied(),
                };
                match local.map(Local::columns) {
                    Some(Some(columns)) => composer.row_description(columns),
                    Some(None) => composer.bare(reply::NO_DATA),
                    None => return Ok(Some(Err(Refusal::MixedPipeline))),
                };
            }
            tag::EXECUTE => {
                let portal = frontend::execute(message.body).ok_or(malformed)?;
                let Some(local) = batch.portals.get(portal).copied() else {
                    return Ok(Some(Err(Refusal::MixedPipeline)));
                };
                match self.answer_to(desk, local) {
                    Some(Ok(rows)) => put_rows(&mut composer, local, &rows),
                    Some(Err(refusal)) => return Ok(Some(Err(refusal))),
                    None => return Ok(None),
                }
            }
            tag::CLOSE => {
                if let Subject::Statement(name) =
                    frontend::subject(message.body).ok_or(malformed)?
                {
                    self.forget_local(name);
                    batch.statements.remove(name);
                }
                composer.bare(reply::CLOSE_COMPLETE);
            }
            _ => {}
        }
        Ok(Some(Ok(composer)))
    }

    /// The rows of an answer; none until the control plane has told what it takes.
    fn answer_to(
        &mut self,
        desk: &mut Desk,
        local: Local,
    ) -> Option<Result<Vec<Vec<String>>, Refusal>> {
        if let Some(refusal) = self.verdict.take() {
            self.stop_waiting(desk);
            return Some(Err(refusal));
        }
        match local {
            Local::Show(PoolShow::Version) => Some(Ok(vec![vec![VERSION.to_owned()]])),
            Local::Show(PoolShow::Nodes) => match self.answer.take() {
                Some(selects) => {
                    self.stop_waiting(desk);
                    Some(Ok(self.node_rows(desk, &selects)))
                }
                None => {
                    if !matches!(self.wait, Wait::Answer) {
                        self.wait = Wait::Answer;
                        self.arm(desk, limits::SHOW_TIMEOUT);
                        let message = Message::AskNodes { asker: self.id };
                        desk.outputs.post(Peer::Control, message);
                    }
                    None
                }
            },
            Local::Show(
                show @ (PoolShow::Processes
                | PoolShow::Pools
                | PoolShow::Status
                | PoolShow::Cache
                | PoolShow::HealthCheckStats
                | PoolShow::BackendStats
                | PoolShow::Pins
                | PoolShow::RouteStats),
            ) => Some(Err(Refusal::ShowNotYet(show))),
            Local::Rollback => match std::mem::take(&mut self.limbo) {
                Limbo::Untold(refusal) => Some(Err(refusal)),
                Limbo::Told | Limbo::None => Some(Ok(Vec::new())),
            },
        }
    }

    fn node_rows(
        &mut self,
        desk: &mut Desk,
        selects: &[(crate::id::BackendId, u64)],
    ) -> Vec<Vec<String>> {
        let reads_at = self.read_node(desk);
        let total: f64 = desk.config.backends.iter().map(|backend| backend.weight).sum();
        let clock = desk.clock;
        let row = |node: &crate::topology::Node| {
            let backend = desk.config.backend(node.id)?;
            let count = selects.iter().find(|(id, _)| *id == node.id).map_or(0, |(_, n)| *n);
            let weight = if total > 0.0 { backend.weight / total } else { 0.0 };
            let lag = if node.role == Role::Primary { Some(0) } else { node.lag };
            Some(vec![
                node.id.to_string(),
                backend.hostname.clone(),
                backend.port.to_string(),
                node.status.word().to_owned(),
                node.seen.word().to_owned(),
                format!("{weight:.6}"),
                // Pgpool-II takes whatever is not the primary for a standby.
                if node.role == Role::Primary { "primary" } else { "standby" }.to_owned(),
                node.server_role.word().to_owned(),
                count.to_string(),
                (reads_at == Some(node.id)).to_string(),
                lag.unwrap_or(0).to_string(),
                node.replication_state.clone(),
                node.sync_state.clone(),
                clock.print(node.changed),
            ])
        };
        desk.topology.nodes.iter().filter_map(row).collect()
    }

    fn local(&self, batch: &Batch, name: &[u8]) -> Option<Local> {
        batch.statements.get(name).or_else(|| self.local_statements.get(name)).copied()
    }

    fn keep_local(&mut self, batch: &mut Batch, name: &[u8], local: Local) {
        let name = Bytes::copy_from_slice(name);
        if self.local_statements.len() < limits::STATEMENTS_MAX && local != Local::Rollback {
            self.local_statements.insert(name.clone(), local);
        }
        batch.statements.insert(name, local);
    }

    pub(super) fn forget_local(&mut self, name: &[u8]) {
        self.local_statements.remove(name);
    }

    pub(super) fn is_local(&self, name: &[u8]) -> bool {
        self.local_statements.contains_key(name)
    }

    /// Whether pgherd answers a text of this kind now.
    pub(super) fn answers(&self, kind: Kind) -> bool {
        match local_of(kind) {
            Some(Local::Show(_)) => true,
            Some(Local::Rollback) => !matches!(self.limbo, Limbo::None),
            None => false,
        }
    }
}

/// Tells whether one more name can be remembered.
fn has_room(names: &BTreeMap<Bytes, Local>, name: &[u8]) -> bool {
    name.len() <= limits::STATEMENT_NAME_LEN_MAX && names.len() < limits::STATEMENTS_MAX
}

const fn local_of(kind: Kind) -> Option<Local> {
    match kind {
        Kind::Pgherd(Ask::Show(show)) => Some(Local::Show(show)),
        Kind::End => Some(Local::Rollback),
        Kind::Read
        | Kind::Write
        | Kind::Begin { .. }
        | Kind::Transaction
        | Kind::Setting
        | Kind::Empty
        | Kind::Show
        | Kind::Pgherd(Ask::ExplainRoute | Ask::Pgpool)
        | Kind::DiscardAll => None,
    }
}

fn put_rows(composer: &mut Composer, local: Local, rows: &[Vec<String>]) {
    for row in rows {
        composer.data_row(row.iter().map(String::as_str));
    }
    match local {
        Local::Show(_) => composer.command_complete(&format!("SELECT {}", rows.len())),
        Local::Rollback => composer.command_complete("ROLLBACK"),
    };
}
