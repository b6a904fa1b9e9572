//! What the requests of PCP come to: answers from what the control plane knows, questions to the
//! shards, and the operator's business.

use std::sync::Arc;

use bytes::Bytes;

use super::{Control, Stage};
use crate::admin::nodes::{self, Account, accounts};
use crate::admin::packet::Report;
use crate::admin::request::Request;
use crate::admin::{reply, settings};
use crate::config::{Dialect, FailoverFlag};
use crate::control::hold::Declined;
use crate::control::inquiries::Whom;
use crate::control::view;
use crate::failover::switchover::Obstacle;
use crate::id::{BackendId, ConnId};
use crate::inquiry::{Sheet, View};
use crate::limits;
use crate::message::{Message, Peer, Shutdown, Wish};
use crate::topology::{Intake, Status, Topology};

/// What a session of PCP has the shards asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Question {
    /// Which sessions of clients there are.
    Processes,
    /// The connections of one session, or all of them.
    Connections(Option<u64>),
    /// Whether this session is there, which has no connection.
    Presence(u64),
}

/// What an answer about connections that failed begins with.
const NO_PROCESS_INFO: &str = "informing process info failed";

impl Question {
    const fn view(self) -> View {
        match self {
            Self::Processes | Self::Presence(_) => View::Sessions,
            Self::Connections(_) => View::Links,
        }
    }

    /// What is said where the shards say nothing.
    pub(super) fn unanswered(self) -> Report {
        let message = match self {
            Self::Processes => "informing process count failed",
            Self::Connections(_) | Self::Presence(_) => NO_PROCESS_INFO,
        };
        let seconds = limits::SHOW_TIMEOUT.as_secs();
        Report::error(message).because(format!("no answer came within {seconds} seconds"))
    }
}

impl Control {
    /// Answers a request, or sees to it that it is answered.
    pub(super) fn on_request(&mut self, conn: ConnId, request: Request) {
        let bytes = match request {
            Request::NodeCount => reply::node_count(nodes::count(&self.config)),
            Request::NodeInfo(id) => self.node_info(id),
            Request::HealthStats(id) => self.health_stats(id),
            Request::ProcessCount => return self.ask_for_admin(conn, Question::Processes),
            Request::ProcessInfo(id) => {
                return self.ask_for_admin(conn, Question::Connections(id));
            }
            Request::PoolStatus => {
                reply::pool_status(&settings::rows(&self.config, &self.told(), |shown| shown))
            }
            Request::Watchdog(_) => reply::no_watchdog(),
            Request::Detach { node, gracefully } => {
                return self.on_detach_request(conn, node, gracefully);
            }
            Request::Attach(node) => self.on_attach_request(conn, node),
            Request::Promote { node, switchover, .. } => {
                return self.on_promote_request(conn, node, switchover);
            }
            Request::Recover { node, is_dry_run } => {
                return self.on_recovery_request(conn, node, is_dry_run);
            }
            Request::StopRecovery => return self.read_on(conn),
            Request::Stop(how, _) => return self.on_stop_request(conn, how),
            Request::Reload(_) => self.wish(conn, Wish::Reload, b'z'),
            Request::RotateLog(_) if self.config.log.is_collected => {
                self.wish(conn, Wish::RotateLog, b'v')
            }
            Request::RotateLog(_) => reply::no_collector(),
            Request::InvalidateCache => reply::no_cache(),
            Request::Notices => reply::done(b'a'),
            // The conversation ends there.
            Request::Goodbye => return,
        };
        self.answer_admin(conn, bytes);
    }

    /// Passes on what only the operator can do. The answer says that it was, and not how it went.
    fn wish(&mut self, conn: ConnId, wish: Wish, tag: u8) -> Bytes {
        self.note_request(conn, &format!("{wish:?}"));
        self.outputs.post(Peer::Operator, Message::Wish(wish));
        reply::done(tag)
    }

    /// Logs who asked for something that has an effect.
    pub(in crate::control) fn note_request(&self, conn: ConnId, what: &str) {
        if let Some(session) = self.admins.0.get(conn) {
            log::info!("PCP: {} asks for: {what}", session.name());
        }
    }

    /// The cluster as PCP tells of it: there is a view of it before the first was published, too.
    fn told(&self) -> Arc<Topology> {
        if self.topology.nodes.len() == self.config.backends.len() {
            return self.topology.clone();
        }
        let facts = self.nodes.iter();
        let facts: Vec<_> =
            facts.filter_map(|node| Some((self.config.backend(node.id)?, &node.fact))).collect();
        Arc::new(view::derive(&self.topology, &facts, None, view::Looks::Begun, Intake::Open))
    }

    fn node_info(&self, id: Option<usize>) -> Bytes {
        let told = self.told();
        let dialect = self.config.pcp.dialect;
        let Some(id) = id else {
            let accounts: Vec<_> = accounts(&self.config, &told, self.clock).collect();
            let nodes: Vec<_> = accounts.iter().map(|account| account.info(dialect)).collect();
            return reply::node_info(dialect, &nodes);
        };
        match self.account(&told, id) {
            Some(account) => reply::node_info(dialect, &[account.info(dialect)]),
            None => reply::no_node("informing node info failed", id),
        }
    }

    fn health_stats(&self, id: usize) -> Bytes {
        match self.account(&self.told(), id) {
            Some(account) => reply::health_stats(account.checks(&self.checks(), self.clock)),
            None => Report::error("informing health check stats info failed")
                .because(format!("invalid node ID {id}"))
                .compose(),
        }
    }

    fn account<'a>(&'a self, told: &'a Topology, node: usize) -> Option<Account<'a>> {
        let mut accounts = accounts(&self.config, told, self.clock);
        accounts.find(|account| account.node.id.index() == node)
    }

    /// Takes a node out of service. The answer tells that this is decided, as Pgpool-II's does, and
    /// not that every session has heard of it; gracefully, it comes when what ran there has ended.
    fn on_detach_request(&mut self, conn: ConnId, node: usize, gracefully: bool) {
        let Some(id) = self.backend_of(node) else {
            return self.answer_admin(conn, not_detached(node, 0));
        };
        let flag = self.config.backend(id).map(|backend| backend.failover);
        if flag == Some(FailoverFlag::Disallow) {
            let message = format!(
                "degenerate backend request for node_id: {id} is canceled because failover is \
                 disallowed on the node"
            );
            return self.answer_admin(conn, Report::error(message).compose());
        }
        self.note_request(conn, &format!("detach node {id}"));
        self.have_it_wait(conn);
        let begun = if gracefully { self.begin_leave(id, conn) } else { self.detach(id) };
        let answer = match begun {
            Ok(()) if gracefully => return,
            Ok(()) => reply::done(b'd'),
            Err(Declined::Unknown) => not_detached(node, 0),
            Err(Declined::Busy | Declined::Astray | Declined::Foreign) => self.busy(id),
            Err(Declined::Already) => not_detached(node, Status::Down.number()),
        };
        self.answer_waiting(conn, answer);
    }

    /// Lets a node in again. One that nothing keeps out is in already, which is as well.
    fn on_attach_request(&mut self, conn: ConnId, node: usize) -> Bytes {
        const FAILED: &str = "PCP: attach node failed";
        let Some(id) = self.backend_of(node) else { return reply::no_node(FAILED, node) };
        self.note_request(conn, &format!("attach node {id}"));
        match self.attach(id) {
            Ok(()) | Err(Declined::Already) => reply::done(b'c'),
            Err(Declined::Unknown) => reply::no_node(FAILED, node),
            Err(Declined::Astray) => Report::error(format!(
                "node {id} takes writes beside the primary, or may; make it a standby and it is \
                 attached by itself"
            ))
            .compose(),
            Err(Declined::Foreign) => Report::error(format!(
                "node {id} is a server of another cluster; make it a standby of the primary and it \
                 is attached by itself"
            ))
            .compose(),
            Err(Declined::Busy) => self.busy(id),
        }
    }

    /// Makes a node the primary, in place of one that is well or of one that is lost. The answer
    /// tells how it went, unlike Pgpool-II's.
    fn on_promote_request(&mut self, conn: ConnId, node: usize, switchover: bool) {
        const FAILED: &str = "PCP: promote node failed";
        let Some(id) = self.backend_of(node) else {
            let report = Report::error("could not process promote request");
            let report = report.because(format!("node id {node} is not valid"));
            return self.answer_admin(conn, report.compose());
        };
        self.note_request(conn, &format!("promote node {id}"));
        self.have_it_wait(conn);
        let begun = if switchover {
            self.begin_switchover(id, Some(conn))
        } else {
            self.begin_promotion(id, Some(conn))
        };
        let report = match begun {
            Ok(()) => return,
            Err(Obstacle::IsPrimary) => {
                let report = Report::fatal("invalid promote request").because(format!(
                    "specified node is already primary node, can't promote node id {id}"
                ));
                return self.end_admin(conn, Some(&report));
            }
            Err(obstacle) => {
                Report::error(FAILED).because(format!("node {id} is not promoted: {obstacle}"))
            }
        };
        self.answer_waiting(conn, report.compose());
    }

    /// Returns the node of this number, if there is one.
    pub(in crate::control) fn backend_of(&self, node: usize) -> Option<BackendId> {
        let id = BackendId(u8::try_from(node).ok()?);
        self.config.backend(id).map(|backend| backend.id)
    }

    /// Answers what cannot be done while something else is done with the nodes, and says what that is.
    fn busy(&self, id: BackendId) -> Bytes {
        let what = if self.is_recovering(id) {
            "online recovery"
        } else if self.is_switching_at_all() {
            "promote node operation"
        } else if self.leave.is_some() {
            "detach node operation"
        } else {
            "failover"
        };
        let report = Report::error("failed to process PCP request at the moment");
        report.because(format!("{what} is in progress")).compose()
    }

    /// Stops the process as a signal would, once that is answered.
    fn on_stop_request(&mut self, conn: ConnId, how: Shutdown) {
        self.note_request(conn, &format!("stop {how:?}"));
        self.answer_admin(conn, reply::done(b't'));
        self.end_admin(conn, None);
        self.on_shutdown(how);
        self.post_all(&Message::Shutdown(how));
    }

    /// Has all shards asked on a session's behalf.
    fn ask_for_admin(&mut self, conn: ConnId, question: Question) {
        let number = self.inquire(Whom::Admin(conn), question.view());
        if let Some(session) = self.admins.0.get_mut(conn) {
            session.stage = Stage::Asking(number, question);
            session.due = self.now + limits::SHOW_TIMEOUT;
        }
        self.tell_askers();
    }

    /// All shards have answered.
    pub(in crate::control) fn on_collected(&mut self, conn: ConnId, number: u64, sheet: Sheet) {
        let Some(session) = self.admins.0.get(conn) else { return };
        let question = match session.stage {
            Stage::Asking(asked, question) if asked == number => question,
            Stage::Asking(..)
            | Stage::Reading
            | Stage::Working { .. }
            | Stage::Answering { .. }
            | Stage::Leaving => return,
        };
        self.put_off(conn);
        let bytes = match question {
            Question::Processes => reply::process_count(&pids(&sheet)),
            Question::Connections(None) => self.process_info(sheet.rows),
            Question::Connections(Some(pid)) => {
                let mut rows = sheet.rows;
                rows.retain(|row| pid_of(row) == Some(pid));
                if rows.is_empty() {
                    return self.ask_for_admin(conn, Question::Presence(pid));
                }
                self.process_info(rows)
            }
            Question::Presence(pid) if pids(&sheet).contains(&pid) => self.process_info(Vec::new()),
            Question::Presence(pid) => Report::error(NO_PROCESS_INFO)
                .because(format!("invalid process ID : {pid}"))
                .compose(),
        };
        self.answer_admin(conn, bytes);
    }

    /// Tells of connections as `SHOW pool_pools` does, without the columns that are pgherd's own.
    fn process_info(&self, mut rows: Vec<Vec<String>>) -> Bytes {
        let columns = match self.config.pcp.dialect {
            Dialect::V43 => 17,
            Dialect::V44 => 21,
        };
        for row in &mut rows {
            row.truncate(columns);
        }
        reply::process_info(&rows)
    }
}

/// Answers that a node cannot be detached as it is, by the number of its status; 0 is that of none.
fn not_detached(node: usize, status: u8) -> Bytes {
    let message = format!(
        "invalid degenerate backend request, node id : {node} status: [{status}] is not valid for \
         failover"
    );
    Report::error(message).compose()
}

/// The number of a row's session, which stands in front.
fn pid_of(row: &[String]) -> Option<u64> {
    row.first()?.parse().ok()
}

fn pids(sheet: &Sheet) -> Vec<u64> {
    sheet.rows.iter().filter_map(|row| pid_of(row)).collect()
}
