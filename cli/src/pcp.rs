//! A session of PCP that blocks, as `pgherd`'s own commands and the programs called `pcp_…` have
//! one.

use std::fmt;
use std::io::{self, Read as _, Write as _};

use pgherd_core::admin::client::{Client, Fault, Remark, Row, Step};
use pgherd_core::admin::request::Request;
use pgherd_core::auth::secret::Secret;
use pgherd_core::limits;
use pgherd_core::wire::word;

use crate::stream::{Stream, Unreachable, cause};

pub(crate) mod passwords;

/// Whom to ask.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Peer {
    /// A host, or the directory of a socket, with a `/` in front.
    pub(crate) host: String,
    pub(crate) port: u16,
}

/// What happens in a session besides its answers.
pub(crate) enum Event<'a> {
    /// A request has left, whose length word has this value.
    Asked(Request, u32),
    /// A packet has come, of this type, with this length word.
    Received(u8, u32),
    /// The server tells something along the way.
    Told(&'a Remark),
}

/// Why there is no answer.
#[derive(Debug)]
pub(crate) enum Trouble {
    /// Nobody is connected.
    Unreachable(Unreachable),
    /// The connection takes no bytes.
    Unsent(io::Error),
    /// The connection brings none.
    Unread(io::Error),
    /// The server refuses the login, or what was asked.
    Refused(Remark),
    /// What has come is no answer.
    Fault(Fault),
}

/// A session of somebody who is logged in.
pub(crate) struct Session<'a> {
    stream: Stream,
    client: Client,
    unread: Vec<u8>,
    watch: &'a mut dyn FnMut(Event<'_>),
}

impl<'a> Session<'a> {
    /// Connects and logs in. Whatever happens is told to `watch`.
    pub(crate) fn open(
        peer: &Peer,
        user: &str,
        password: Secret,
        watch: &'a mut dyn FnMut(Event<'_>),
    ) -> Result<Self, Trouble> {
        let stream = Stream::connect(&peer.host, peer.port, limits::ADMIN_CONNECT_TIMEOUT)
            .map_err(Trouble::Unreachable)?;
        stream.keep_alive().map_err(Trouble::Unread)?;
        let (client, greeting) = Client::new(user, password);
        let mut session = Self { stream, client, unread: Vec::new(), watch };
        session.be_patient(false)?;
        session.send(&greeting)?;
        session.answer()?;
        Ok(session)
    }

    /// Asks for something, and waits for the answer.
    pub(crate) fn ask(&mut self, request: Request) -> Result<Vec<Row>, Trouble> {
        self.be_patient(request.is_slow())?;
        let bytes = self.client.ask(request);
        self.send(&bytes)?;
        (self.watch)(Event::Asked(request, word(&bytes, 1).unwrap_or_default()));
        self.answer()
    }

    /// Takes leave. Whether anybody hears that does not matter.
    pub(crate) fn close(mut self) {
        let bytes = Request::Goodbye.compose();
        self.stream.write_all(&bytes).unwrap_or_default();
        (self.watch)(Event::Asked(Request::Goodbye, word(&bytes, 1).unwrap_or_default()));
    }

    fn be_patient(&self, is_slow: bool) -> Result<(), Trouble> {
        let patience = (!is_slow).then_some(limits::ADMIN_ANSWER_TIMEOUT);
        self.stream.set_patience(patience).map_err(Trouble::Unread)
    }

    fn send(&mut self, bytes: &[u8]) -> Result<(), Trouble> {
        self.stream.write_all(bytes).map_err(Trouble::Unsent)
    }

    /// Reads until there is an answer, or the login is done, which has no rows.
    fn answer(&mut self) -> Result<Vec<Row>, Trouble> {
        loop {
            let step = self.client.take(&self.unread);
            let taken = match &step {
                Step::Wait => {
                    self.read()?;
                    continue;
                }
                Step::Fail(_) => self.unread.len(),
                Step::Take(taken)
                | Step::Send(taken, _)
                | Step::Welcome(taken)
                | Step::Notice(taken, _)
                | Step::Answer(taken, _)
                | Step::Refuse(taken, _) => *taken,
            };
            if let (Some(tag), Some(length)) = (self.unread.first(), word(&self.unread, 1)) {
                (self.watch)(Event::Received(*tag, length));
            }
            self.unread.drain(..taken.min(self.unread.len()));
            match step {
                Step::Wait | Step::Take(_) => {}
                Step::Send(_, bytes) => self.send(&bytes)?,
                Step::Notice(_, remark) => (self.watch)(Event::Told(&remark)),
                Step::Welcome(_) => return Ok(Vec::new()),
                Step::Answer(_, rows) => return Ok(rows),
                Step::Refuse(_, remark) => return Err(Trouble::Refused(remark)),
                Step::Fail(fault) => return Err(Trouble::Fault(fault)),
            }
        }
    }

    fn read(&mut self) -> Result<(), Trouble> {
        let mut room = [0; 8192];
        match self.stream.read(&mut room) {
            Ok(0) => Err(Trouble::Unread(io::ErrorKind::UnexpectedEof.into())),
            Ok(len) => {
                self.unread.extend_from_slice(room.get(..len).unwrap_or_default());
                Ok(())
            }
            Err(error) => Err(Trouble::Unread(error)),
        }
    }
}

impl fmt::Display for Peer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.host.starts_with('/') {
            f.write_str(&crate::stream::socket(&self.host, self.port))
        } else if self.host.contains(':') {
            write!(f, "[{}]:{}", self.host, self.port)
        } else {
            write!(f, "{}:{}", self.host, self.port)
        }
    }
}

impl fmt::Display for Trouble {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unreachable(why) => why.fmt(f),
            Self::Unsent(error) => write!(f, "it takes no bytes: {}", cause(error)),
            Self::Unread(error) if is_silence(error) => {
                write!(
                    f,
                    "no answer came within {} seconds",
                    limits::ADMIN_ANSWER_TIMEOUT.as_secs()
                )
            }
            Self::Unread(error) if error.kind() == io::ErrorKind::UnexpectedEof => {
                f.write_str("the connection was closed before the answer was complete")
            }
            Self::Unread(error) => write!(f, "the answer cannot be read: {}", cause(error)),
            Self::Refused(remark) => {
                f.write_str(&remark.message)?;
                let more = [remark.detail.as_ref(), remark.hint.as_ref()];
                more.into_iter().flatten().try_for_each(|more| write!(f, ": {more}"))
            }
            Self::Fault(Fault::Packet(violation)) => write!(f, "the answer is no PCP: {violation}"),
            Self::Fault(Fault::Welcome(text) | Fault::Answer(text)) => {
                write!(f, "the answer is no PCP: \"{}\"", text.escape_default())
            }
            Self::Fault(Fault::TooLong) => {
                write!(f, "the answer is longer than {} bytes", limits::ADMIN_ANSWER_LEN_MAX)
            }
        }
    }
}

/// Tells whether a read has taken longer than it may.
pub(crate) fn is_silence(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut)
}
