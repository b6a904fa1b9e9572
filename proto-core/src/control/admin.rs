//! The sessions of PCP: who is connected, how far they are, and until when.
//!
//! A session's next request is read when the answer to the one before has left, so that it holds
//! one answer at most, whoever asks and does not listen. What is asked is the business of
//! `requests`.

mod requests;

use core::net::SocketAddr;

use bytes::Bytes;

use super::Control;
use crate::admin::conversation::{Conversation, Step};
use crate::admin::packet::{Report, Severity};
use crate::id::{ConnId, Table};
use crate::limits;
use crate::output::{Close, Output};
use crate::time::Instant;
use requests::Question;

/// The sessions of PCP.
#[derive(Debug, Default)]
pub(super) struct Admins(Table<Session>);

/// One session.
#[derive(Debug)]
struct Session {
    conversation: Conversation,
    /// Where it comes from; none for a Unix socket.
    from: Option<SocketAddr>,
    stage: Stage,
    /// When its patience or ours ends.
    due: Instant,
}

/// What a session is at.
#[derive(Debug)]
enum Stage {
    /// Its next request is read.
    Reading,
    /// The shards are asked on its behalf, by the question of this number.
    Asking(u64, Question),
    /// What it has asked for is under way and has an end of its own. So many bytes of what was told
    /// of that have not left yet.
    Working { unsent: usize },
    /// So many bytes of its answer have not left yet. `0 < unsent`
    Answering { unsent: usize },
    /// It is closed as soon as its last bytes have left.
    Leaving,
}

impl Admins {
    /// Tells whether a connection is a session of PCP.
    pub(super) fn is_one(&self, conn: ConnId) -> bool {
        self.0.get(conn).is_some()
    }

    /// Tells whether a connection may be read, as far as PCP is concerned.
    pub(super) fn wants_read(&self, conn: ConnId) -> bool {
        self.0.get(conn).is_none_or(|session| matches!(session.stage, Stage::Reading))
    }

    /// Forgets a session whose connection has ended.
    pub(super) fn remove(&mut self, conn: ConnId) {
        self.0.remove(conn);
    }

    /// When the first session's patience ends.
    pub(super) fn poll_timeout(&self) -> Option<Instant> {
        self.0.iter().map(|(_, session)| session.due).min()
    }

    /// Lists those whose patience has ended.
    fn due(&self, now: Instant) -> Vec<ConnId> {
        self.0.iter().filter(|(_, session)| session.due <= now).map(|(conn, _)| conn).collect()
    }

    /// Counts those who are not about to leave, which takes `FLUSH_TIMEOUT` at most.
    fn staying(&self) -> usize {
        let staying = self.0.iter().filter(|(_, s)| !matches!(s.stage, Stage::Leaving));
        staying.count()
    }

    /// Finds the stranger who has been here for longest: somebody who has not logged in, and above
    /// all somebody who has not even begun.
    fn oldest_stranger(&self) -> Option<ConnId> {
        let strangers = self.0.iter().filter(|(_, session)| {
            !session.conversation.is_in() && !matches!(session.stage, Stage::Leaving)
        });
        let rank = |session: &Session| (session.conversation.has_begun(), session.due);
        strangers.min_by_key(|(_, session)| rank(session)).map(|(conn, _)| conn)
    }
}

impl Session {
    /// Says who it is, for the log.
    fn name(&self) -> String {
        let from = self.from.map_or_else(|| "[local]".to_owned(), |from| from.to_string());
        match self.conversation.user() {
            Some(user) => format!("\"{user}\" at {from}"),
            None => from,
        }
    }
}

impl Control {
    /// A program has connected. Where all places are taken, a stranger makes room: whoever knocks
    /// and says nothing must not keep administrators out.
    pub(super) fn admit_admin(&mut self, conn: ConnId, from: Option<SocketAddr>) {
        let is_full = self.admins.staying() >= limits::ADMIN_SESSIONS_MAX;
        let stranger = if is_full { self.admins.oldest_stranger() } else { None };
        let session = Session {
            conversation: Conversation::default(),
            from,
            stage: Stage::Reading,
            due: self.now + limits::ADMIN_LOGIN_TIMEOUT,
        };
        self.admins.0.insert(conn, session);
        if is_full {
            let why = format!("there are {} sessions already", limits::ADMIN_SESSIONS_MAX);
            let report = Report::fatal("too many PCP connections").because(why);
            self.end_admin(stranger.unwrap_or(conn), Some(&report));
        }
    }

    /// Takes a session's next request, if it is there.
    pub(super) fn on_admin_read(&mut self, conn: ConnId, unread: &[u8]) {
        let Some(session) = self.admins.0.get_mut(conn) else { return };
        if !matches!(session.stage, Stage::Reading) {
            return;
        }
        let was_in = session.conversation.is_in();
        let step = session.conversation.take(unread, &self.config.pcp.users, &mut self.entropy);
        if session.conversation.is_in() {
            session.due = self.now + limits::ADMIN_IDLE_TIMEOUT;
            if !was_in {
                log::debug!("PCP: {} has logged in", session.name());
            }
        }
        match step {
            Step::Wait => {}
            Step::Answer(taken, bytes) => {
                self.outputs.skip(conn, taken);
                self.answer_admin(conn, bytes);
            }
            Step::Ask(taken, request) => {
                self.outputs.skip(conn, taken);
                self.on_request(conn, request);
            }
            Step::End(report) => {
                self.outputs.skip(conn, unread.len());
                self.end_admin(conn, report.as_ref());
            }
        }
    }

    /// Sends an answer; what is asked next is read when it has left.
    pub(super) fn answer_admin(&mut self, conn: ConnId, bytes: Bytes) {
        let Some(session) = self.admins.0.get_mut(conn) else { return };
        let before = match session.stage {
            Stage::Working { unsent } => unsent,
            Stage::Reading | Stage::Asking(..) | Stage::Answering { .. } | Stage::Leaving => 0,
        };
        session.stage = Stage::Answering { unsent: before + bytes.len() };
        self.outputs.push(Output::Send { to: conn, bytes });
    }

    /// Has a session wait for the end of what it has asked for, which has a deadline of its own.
    pub(super) fn have_it_wait(&mut self, conn: ConnId) {
        if let Some(session) = self.admins.0.get_mut(conn) {
            session.stage = Stage::Working { unsent: 0 };
        }
    }

    /// Tells a session how far what it has asked for is, if it still waits and takes what is told.
    pub(super) fn tell_progress(&mut self, conn: ConnId, text: &str) {
        let Some(session) = self.admins.0.get_mut(conn) else { return };
        let Stage::Working { unsent } = &mut session.stage else { return };
        let bytes = Report::notice(text).compose();
        if *unsent + bytes.len() <= limits::ADMIN_PROGRESS_MAX {
            *unsent += bytes.len();
            self.outputs.push(Output::Send { to: conn, bytes });
        }
    }

    /// Answers a session that waits for the end of what it has asked for.
    pub(super) fn answer_waiting(&mut self, conn: ConnId, bytes: Bytes) {
        let session = self.admins.0.get(conn);
        if session.is_some_and(|session| matches!(session.stage, Stage::Working { .. })) {
            self.put_off(conn);
            self.answer_admin(conn, bytes);
        }
    }

    /// Answers with an error, and ends the session if it is one that does.
    pub(super) fn refuse_admin(&mut self, conn: ConnId, report: &Report) {
        match report.severity {
            Severity::Fatal => self.end_admin(conn, Some(report)),
            Severity::Notice | Severity::Error => self.answer_admin(conn, report.compose()),
        }
    }

    /// Reads a session's next request.
    fn read_on(&mut self, conn: ConnId) {
        let Some(session) = self.admins.0.get_mut(conn) else { return };
        session.stage = Stage::Reading;
        self.outputs.push(Output::Reread { conn });
    }

    /// The kernel took some of an answer.
    pub(super) fn on_admin_sent(&mut self, conn: ConnId, len: usize) {
        let Some(session) = self.admins.0.get_mut(conn) else { return };
        let is_done = match &mut session.stage {
            Stage::Working { unsent } => {
                *unsent = unsent.saturating_sub(len);
                return;
            }
            Stage::Answering { unsent } => {
                *unsent = unsent.saturating_sub(len);
                *unsent == 0
            }
            Stage::Reading | Stage::Asking(..) | Stage::Leaving => return,
        };
        if session.conversation.is_in() {
            session.due = self.now + limits::ADMIN_IDLE_TIMEOUT;
        }
        if is_done {
            self.read_on(conn);
        }
    }

    /// Ends a session, with a reason unless it is the client's wish.
    fn end_admin(&mut self, conn: ConnId, report: Option<&Report>) {
        let Some(session) = self.admins.0.get_mut(conn) else { return };
        if let Some(report) = report {
            let detail = report.detail.as_deref().unwrap_or_default();
            log::warn!("PCP: {}: {}: {detail}", session.name(), report.message);
            self.outputs.push(Output::Send { to: conn, bytes: report.compose() });
        }
        // A stranger who takes no bytes is not waited for.
        let is_in = session.conversation.is_in();
        let is_stuck = !is_in && matches!(session.stage, Stage::Answering { .. });
        let when = if is_stuck { Close::Now } else { Close::AfterFlush };
        session.stage = Stage::Leaving;
        session.due = self.now + limits::FLUSH_TIMEOUT;
        self.outputs.push(Output::Close { conn, when });
    }

    /// Ends all sessions that are not about to leave.
    pub(super) fn dismiss_admins(&mut self, when: Close) {
        for conn in self.admins.0.names() {
            let Some(session) = self.admins.0.get_mut(conn) else { continue };
            if !matches!(session.stage, Stage::Leaving) {
                session.stage = Stage::Leaving;
                session.due = self.now + limits::FLUSH_TIMEOUT;
                self.outputs.push(Output::Close { conn, when });
            }
        }
    }

    /// Ends what has taken too long.
    pub(super) fn look_after_admins(&mut self) {
        for conn in self.admins.due(self.now) {
            let Some(session) = self.admins.0.get_mut(conn) else { continue };
            let limit = if session.conversation.is_in() {
                limits::ADMIN_IDLE_TIMEOUT
            } else {
                limits::ADMIN_LOGIN_TIMEOUT
            };
            match &session.stage {
                Stage::Reading => {
                    let what = if session.conversation.is_in() { "request" } else { "login" };
                    let report = Report::fatal("terminating the PCP connection")
                        .because(format!("no {what} came within {} seconds", limit.as_secs()));
                    self.end_admin(conn, Some(&report));
                }
                Stage::Asking(_, question) => {
                    let report = question.unanswered();
                    self.answer_admin(conn, report.compose());
                    self.put_off(conn);
                }
                Stage::Working { .. } => self.put_off(conn),
                Stage::Answering { .. } | Stage::Leaving => {
                    log::debug!("PCP: {} takes no bytes", session.name());
                    session.stage = Stage::Leaving;
                    session.due = self.now + limits::FLUSH_TIMEOUT;
                    self.outputs.push(Output::Close { conn, when: Close::Now });
                }
            }
        }
    }

    /// Gives a session that is logged in the time that it has for anything.
    fn put_off(&mut self, conn: ConnId) {
        if let Some(session) = self.admins.0.get_mut(conn) {
            session.due = self.now + limits::ADMIN_IDLE_TIMEOUT;
        }
    }
}

#[cfg(test)]
mod tests;
