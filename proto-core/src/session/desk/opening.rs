//! Opening a link and logging in, and what its server says while it is lent to nobody.

use std::sync::Arc;

use bytes::Bytes;

use super::{Desk, Notice, TimerKey};
use crate::auth::answer::Answer;
use crate::backend::link::{Link, State};
use crate::backend::login::{Login, Step};
use crate::id::ConnId;
use crate::limits;
use crate::message::{Message, Peer};
use crate::output::{Close, Output};
use crate::pool::PoolKey;
use crate::time::Duration;
use crate::topology::Status;
use crate::wire::backend::{self, READY_LEN, TxStatus, tag};
use crate::wire::error::{Fields, Violation};
use crate::wire::frame::Frame;
use crate::wire::startup::Params;
use crate::wire::{frontend, text};

impl Desk {
    pub(super) fn open(&mut self, key: &Arc<PoolKey>, startup: &Arc<Params>, session: ConnId) {
        self.open_for(key, startup, Some(session));
    }

    pub(super) fn open_for(
        &mut self,
        key: &Arc<PoolKey>,
        startup: &Arc<Params>,
        by: Option<ConnId>,
    ) -> ConnId {
        let id = self.names.insert(());
        let timeout =
            self.config.backend(key.backend).map_or(Duration::ZERO, |node| node.connect_timeout);
        let mut link = Link::new(key.clone(), startup.clone(), by.unwrap_or(id));
        link.state = State::Connecting { by };
        link.opened = self.now;
        self.timers.set(&mut link.deadline, self.now + timeout, TimerKey::Link(id));
        self.links.insert(id, Box::new(link));
        self.outputs.push(Output::Connect { conn: id, to: key.backend });
        id
    }

    /// A link's connection has been made: introduces the session's user to the server.
    pub fn on_connected(&mut self, id: ConnId) {
        let Some(link) = self.links.get_mut(id) else { return };
        let State::Connecting { by } = link.state else { return };
        let user = String::from_utf8_lossy(&link.pool.user).into_owned();
        let stored = self.config.auth.users.get(&user);
        let login = Login::new(Answer::new(&user, stored, &mut self.entropy));
        link.state = State::LoggingIn { by, login: Box::new(login) };
        let packet = frontend::startup(&link.startup);
        let due = self.now + limits::SERVER_LOGIN_TIMEOUT;
        self.timers.set(&mut link.deadline, due, TimerKey::Link(id));
        self.send_link(id, packet);
    }

    /// A link that is lent to nobody has bytes from its server.
    ///
    /// # Errors
    /// The server broke the protocol.
    pub fn read_link(&mut self, id: ConnId, unread: &[u8]) -> Result<(), Violation> {
        let mut rest = unread;
        while let Some(link) = self.links.get_mut(id) {
            if matches!(link.state, State::Closing) {
                return Ok(());
            }
            if matches!(link.state, State::Lent { .. }) {
                // Only just: its session reads the rest.
                self.outputs.push(Output::Reread { conn: id });
                return Ok(());
            }
            let looks =
                if self.errands.is_asking(id) { &backend::READING_LOOKS } else { &backend::LOOKS };
            let (len, start) = match link.framer.peek(rest, looks)? {
                Frame::Need(hint) => {
                    link.hint = hint;
                    return Ok(());
                }
                Frame::Middle { len } => {
                    link.framer.take_middle(len);
                    (len, None)
                }
                Frame::Start { tag: tag::READY, len, .. } if len != READY_LEN => {
                    return Err(Violation::Malformed { tag: tag::READY });
                }
                Frame::Start { tag, len, body } => {
                    (link.framer.take(len, rest.len()), Some((tag, body)))
                }
            };
            self.outputs.skip(id, len);
            rest = rest.get(len..).unwrap_or_default();
            if let Some((tag, body)) = start {
                self.on_message(id, tag, body)?;
            }
        }
        Ok(())
    }

    fn on_message(&mut self, id: ConnId, tag: u8, body: &[u8]) -> Result<(), Violation> {
        let Some(link) = self.links.get_mut(id) else { return Ok(()) };
        if let State::LoggingIn { by, login } = &mut link.state {
            let by = *by;
            let step = login.handle_message(tag, body);
            self.on_login(id, by, step);
            return Ok(());
        }
        match tag {
            tag::ERROR => {
                let fields = Fields::read(body);
                let is_fatal = fields.is_fatal();
                if link.is_audited() && !is_fatal {
                    // Nobody wants to know any more.
                    link.on_failed();
                    return Ok(());
                }
                if !is_fatal && self.errands.is_asking(id) {
                    self.on_catalog_refused(id, fields.message);
                    return Ok(());
                }
                if matches!(link.state, State::Resetting) && !is_fatal {
                    log::warn!(
                        "shard {}: node {}: reset_query_list failed: {}; the connection is closed",
                        self.shard,
                        link.pool.backend,
                        String::from_utf8_lossy(fields.message)
                    );
                }
                link.last_words = is_fatal.then(|| Bytes::copy_from_slice(body));
                self.close_link(id, Close::Now);
            }
            tag::PARAMETER_STATUS => {
                let (name, rest) = text(body).ok_or(Violation::Malformed { tag })?;
                let (value, _) = text(rest).ok_or(Violation::Malformed { tag })?;
                link.note_parameter(name, value);
            }
            tag::READY => {
                let tx = body.first().copied().and_then(TxStatus::read);
                let tx = tx.ok_or(Violation::Malformed { tag })?;
                link.on_ready(tx).ok_or(Violation::Unexpected { tag })?;
                if self.on_catalog_answered(id) {
                    self.retire(id);
                } else {
                    self.settle(id);
                }
            }
            tag::DATA_ROW => self.on_catalog_row(id, body),
            _ => {}
        }
        Ok(())
    }

    fn on_login(&mut self, id: ConnId, by: Option<ConnId>, step: Step) {
        match step {
            Step::Wait => {}
            Step::Send(bytes) => self.send_link(id, bytes),
            Step::Done(welcome) => {
                let Some(link) = self.links.get_mut(id) else { return };
                link.parameters = welcome.parameters;
                link.method = welcome.method;
                link.key = welcome.key;
                link.deadline.hush();
                match by {
                    Some(session) => {
                        link.state = State::Lent { by: session };
                        link.history.on_lent(self.now);
                        link.epoch = self.topology.epoch;
                        let backend = link.pool.backend;
                        self.notices.push_back((session, Notice::Lent(id)));
                        let is_new = |n: &crate::topology::Node| n.status == Status::Waiting;
                        if self.topology.node(backend).is_some_and(is_new) {
                            self.outputs.post(Peer::Control, Message::InUse { backend });
                        }
                    }
                    None => {
                        link.state = State::Resetting;
                        self.on_errand_opened(id);
                        self.settle(id);
                    }
                }
            }
            Step::Failed(failure) => {
                let Some(link) = self.links.get(id) else { return };
                let backend = link.pool.backend;
                log::info!(
                    "shard {}: login of \"{}\" at node {backend} failed: {failure}",
                    self.shard,
                    String::from_utf8_lossy(&link.pool.user),
                );
                match by {
                    Some(session) => {
                        self.notices.push_back((session, Notice::Refused(backend, failure)));
                    }
                    None => {
                        let key = link.pool.clone();
                        self.on_errand_failed(id, &key, &failure.to_string());
                    }
                }
                self.close_link(id, Close::Now);
            }
        }
    }
}
