//! A PostgreSQL client without sockets, as strict as a client can be.
//!
//! It is told what came from pgherd and says what to send. It believes nothing: a message that is
//! malformed, that nobody asked for, or that comes in a place where PostgreSQL never sends it,
//! fails the scenario. [`Play`](crate::play::Play) connects it to a world.

pub mod answer;
pub mod compose;
pub mod login;
pub mod message;
pub mod reader;

use std::cell::{Ref, RefCell, RefMut};
use std::collections::{BTreeMap, VecDeque};

pub use answer::Answer;
pub use login::Login;
pub use message::{Fields, Message};

use crate::world::Conn;
use login::Proof;
use reader::Reader;

/// A client of pgherd. All of its methods take `&self`, so that a scenario can hold several.
#[derive(Debug)]
pub struct Client {
    /// Its connection.
    pub conn: Conn,
    state: RefCell<State>,
}

/// What a client knows.
#[derive(Debug)]
pub struct State {
    reader: Reader,
    stage: Stage,
    /// `ParameterStatus`, the latest value of each.
    pub parameters: BTreeMap<String, String>,
    /// `BackendKeyData`: process and secret.
    pub key: Option<(u32, Vec<u8>)>,
    /// `NegotiateProtocolVersion`: the version offered, and the options that are not known.
    pub negotiated: Option<(u32, Vec<String>)>,
    /// `NotificationResponse`: process, channel and payload.
    pub notifications: Vec<(u32, String, String)>,
    /// Notices that came while nothing was being answered.
    pub notices: Vec<Fields>,
    /// What came of the answer that is under way, apart from what was taken already.
    current: VecDeque<Message>,
    /// Complete answers that nobody has taken yet.
    answers: VecDeque<Answer>,
    /// `ReadyForQuery` messages that are still to come.
    owed: usize,
    /// What was sent after the last `Sync`, and may be answered without a `ReadyForQuery`.
    unsynced: bool,
    /// Bytes of rows and copied data that came.
    pub data_len: u64,
    /// Rows and pieces of copied data that came.
    pub data_count: u64,
    /// Whether the message before was an error that ends the connection.
    dismissed: Option<Fields>,
}

/// How far a client has come.
#[derive(Debug)]
enum Stage {
    LoggingIn(Proof),
    LoggedIn,
}

impl Client {
    /// Makes a client that has yet to send [`Login::packet`].
    #[must_use]
    pub fn new(conn: Conn, login: &Login) -> Self {
        let state = State {
            reader: Reader::default(),
            stage: Stage::LoggingIn(Proof::new(login, conn)),
            parameters: BTreeMap::new(),
            key: None,
            negotiated: None,
            notifications: Vec::new(),
            notices: Vec::new(),
            current: VecDeque::new(),
            answers: VecDeque::new(),
            owed: 1,
            unsynced: false,
            data_len: 0,
            data_count: 0,
            dismissed: None,
        };
        Self { conn, state: RefCell::new(state) }
    }

    /// Looks at what the client knows.
    pub fn state(&self) -> Ref<'_, State> {
        self.state.borrow()
    }

    fn state_mut(&self) -> RefMut<'_, State> {
        self.state.borrow_mut()
    }

    /// From now on rows and copied data are counted, and not kept.
    pub fn keep_no_data(&self) {
        self.state_mut().reader.keep_no_data();
    }

    /// Takes note of what is about to be sent.
    ///
    /// # Panics
    /// The bytes are not whole messages: those are for a connection without a client.
    pub fn note_sent(&self, mut bytes: &[u8]) {
        let mut state = self.state_mut();
        while let Some((tag, _, rest)) = reader::split(bytes) {
            match tag {
                b'Q' | b'F' => state.owed += 1,
                b'S' => {
                    state.owed += 1;
                    state.unsynced = false;
                }
                b'P' | b'B' | b'D' | b'E' | b'C' | b'H' => state.unsynced = true,
                _ => {}
            }
            bytes = rest;
        }
        assert!(bytes.is_empty(), "a client sends whole messages");
    }

    /// Takes note of what came, and returns what has to be sent in response.
    ///
    /// # Panics
    /// What came is not what a server would send.
    pub fn digest(&self, bytes: &[u8]) -> Vec<u8> {
        let mut reply = Vec::new();
        let mut state = self.state_mut();
        state.reader.feed(bytes);
        while let Some(message) = state.next_message() {
            let message = message.unwrap_or_else(|wrong| panic!("{:?}: {wrong}", self.conn));
            if let Err(wrong) = state.on_message(message, &mut reply) {
                panic!("{:?}: {wrong}", self.conn);
            }
        }
        reply
    }

    /// Takes the oldest complete answer.
    pub fn take_answer(&self) -> Option<Answer> {
        self.state_mut().answers.pop_front()
    }

    /// Takes the oldest message of the answer that is under way.
    pub fn take_message(&self) -> Option<Message> {
        self.state_mut().current.pop_front()
    }

    /// Takes what came of an answer that will never be complete, since the connection is closed.
    ///
    /// # Panics
    /// The connection was closed inside a message.
    pub fn take_rest(&self) -> Answer {
        let mut state = self.state_mut();
        assert!(state.reader.is_between_messages(), "{:?}: closed inside a message", self.conn);
        Answer::new(std::mem::take(&mut state.current).into(), None)
    }

    /// Tells whether the client has logged in.
    pub fn is_logged_in(&self) -> bool {
        matches!(self.state().stage, Stage::LoggedIn)
    }

    /// Tells whether the server said goodbye: the error that it sent with severity FATAL.
    pub fn dismissal(&self) -> Option<Fields> {
        self.state().dismissed.clone()
    }

    /// Tells how many answers are still to come.
    pub fn owed(&self) -> usize {
        self.state().owed
    }

    /// Tells whether something of the current answer has come that was not taken yet.
    pub fn has_message(&self) -> bool {
        !self.state().current.is_empty()
    }

    /// Tells whether a complete answer waits to be taken.
    pub fn has_answer(&self) -> bool {
        !self.state().answers.is_empty()
    }
}

impl State {
    fn next_message(&mut self) -> Option<Result<Message, String>> {
        let message = self.reader.next();
        let (len, count) = self.reader.take_counts();
        self.data_len += len;
        self.data_count += count;
        message
    }

    fn on_message(&mut self, message: Message, reply: &mut Vec<u8>) -> Result<(), String> {
        if let Some(fields) = &self.dismissed {
            return Err(format!("{message:?} after the fatal error {fields:?}"));
        }
        #[allow(clippy::wildcard_enum_match_arm, reason = "all others are part of an answer")]
        match message {
            Message::ParameterStatus(name, value) => {
                self.parameters.insert(name, value);
            }
            Message::Notification(process, channel, payload) => {
                self.notifications.push((process, channel, payload));
            }
            Message::Authentication(request) => match &mut self.stage {
                Stage::LoggingIn(proof) => reply.extend(proof.answer(&request)?),
                Stage::LoggedIn => return Err("asked to authenticate again".into()),
            },
            Message::BackendKeyData(process, secret) => self.on_key(process, secret)?,
            Message::Negotiate(version, options) => self.negotiated = Some((version, options)),
            Message::ReadyForQuery(status) => self.on_ready(status)?,
            Message::Error(fields) => self.on_error(fields),
            Message::Notice(fields) if self.owed == 0 && !self.unsynced => {
                self.notices.push(fields);
            }
            other => {
                if self.owed == 0 && !self.unsynced {
                    return Err(format!("nobody asked for {other:?}"));
                }
                self.current.push_back(other);
            }
        }
        Ok(())
    }

    fn on_key(&mut self, process: u32, secret: Vec<u8>) -> Result<(), String> {
        if self.key.is_some() || !matches!(self.stage, Stage::LoggingIn(_)) {
            return Err("a second BackendKeyData".into());
        }
        if secret.is_empty() || secret.len() > 256 {
            return Err(format!("a cancel key of {} bytes", secret.len()));
        }
        self.key = Some((process, secret));
        Ok(())
    }

    fn on_ready(&mut self, status: u8) -> Result<(), String> {
        if let Stage::LoggingIn(proof) = &self.stage {
            proof.check_finished()?;
            if self.key.is_none() {
                return Err("ready without a BackendKeyData".into());
            }
            self.stage = Stage::LoggedIn;
        }
        self.owed = self.owed.checked_sub(1).ok_or("one ReadyForQuery too many")?;
        let messages = std::mem::take(&mut self.current);
        self.answers.push_back(Answer::new(messages.into(), Some(status)));
        Ok(())
    }

    fn on_error(&mut self, fields: Fields) {
        if fields.is_fatal() {
            self.dismissed = Some(fields.clone());
        }
        // Only a fatal error may come unasked, and then it explains the end of the connection.
        self.current.push_back(Message::Error(fields));
    }
}
