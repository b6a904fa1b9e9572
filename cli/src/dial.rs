//! A blocking frontend of one question at a time: `pgherd check` tries servers with it, and
//! `pgherd demo` asks pgherd how the herd is.

use std::fmt;
use std::io::{self, Read as _, Write as _};
use std::time::Duration;

use pgherd_core::auth::answer::Answer;
use pgherd_core::auth::passwd::Stored;
use pgherd_core::backend::login::{Failure, Login, Step};
use pgherd_core::entropy::Entropy;
use pgherd_core::wire::backend::{LOOKS, tag};
use pgherd_core::wire::error::{Fields, Violation};
use pgherd_core::wire::frame::{Frame, Framer};
use pgherd_core::wire::frontend;
use pgherd_core::wire::startup::Params;

use crate::stream::{Stream, Unreachable};

/// The longest message that is read, in bytes: the rows asked for are far shorter.
const MESSAGE_LEN_MAX: usize = 1 << 20;

/// Why a question was not answered.
#[derive(Debug)]
pub(crate) enum Unanswered {
    Unreachable(Unreachable),
    Network(io::Error),
    Login(Failure),
    Query(String),
    Violation(Violation),
}

impl fmt::Display for Unanswered {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unreachable(why) => why.fmt(f),
            Self::Network(error) => error.fmt(f),
            Self::Login(failure) => write!(f, "login {failure}"),
            Self::Query(message) => f.write_str(message),
            Self::Violation(violation) => violation.fmt(f),
        }
    }
}

impl From<Unreachable> for Unanswered {
    fn from(why: Unreachable) -> Self {
        Self::Unreachable(why)
    }
}

impl From<io::Error> for Unanswered {
    fn from(error: io::Error) -> Self {
        Self::Network(error)
    }
}

/// Whom to ask, and as whom.
pub(crate) struct Line<'a> {
    pub(crate) host: &'a str,
    pub(crate) port: u16,
    pub(crate) user: &'a str,
    pub(crate) database: &'a str,
    pub(crate) stored: Option<&'a Stored>,
    pub(crate) timeout: Duration,
}

/// A logged-in connection.
pub(crate) struct Dial {
    stream: Stream,
    unread: Vec<u8>,
    framer: Framer,
}

impl fmt::Debug for Dial {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Dial").finish_non_exhaustive()
    }
}

impl Dial {
    /// Connects and logs in.
    pub(crate) fn up(line: &Line<'_>) -> Result<Self, Unanswered> {
        let stream = Stream::connect(line.host, line.port, line.timeout)?;
        stream.set_patience(Some(line.timeout))?;
        let mut dial = Self { stream, unread: Vec::new(), framer: Framer::default() };
        let pair = |name: &'static str, value: &str| {
            (name.as_bytes().into(), value.as_bytes().to_vec().into())
        };
        let params = Params(vec![
            pair("user", line.user),
            pair("database", line.database),
            pair("application_name", "pgherd"),
        ]);
        dial.stream.write_all(&frontend::startup(&params))?;
        let mut seed = [0; 32];
        getrandom::fill(&mut seed).map_err(io::Error::from)?;
        let answer = Answer::new(line.user, line.stored, &mut Entropy::from_seed(seed));
        let mut login = Login::new(answer);
        loop {
            let (tag, body) = dial.message()?;
            match login.handle_message(tag, &body) {
                Step::Wait => {}
                Step::Send(bytes) => dial.stream.write_all(&bytes)?,
                Step::Done(_) => return Ok(dial),
                Step::Failed(failure) => return Err(Unanswered::Login(failure)),
            }
        }
    }

    /// Asks and returns the rows, NULL as the empty text.
    pub(crate) fn ask(&mut self, query: &str) -> Result<Vec<Vec<String>>, Unanswered> {
        self.stream.write_all(&frontend::compose_query(query))?;
        let (mut rows, mut error) = (Vec::new(), None);
        loop {
            let (tag, body) = self.message()?;
            match tag {
                tag::DATA_ROW => rows.extend(row(&body)),
                tag::ERROR => {
                    let message = Fields::read(&body).message;
                    error = Some(String::from_utf8_lossy(message).into_owned());
                }
                tag::READY => {
                    return match error {
                        Some(message) => Err(Unanswered::Query(message)),
                        None => Ok(rows),
                    };
                }
                _ => {}
            }
        }
    }

    fn message(&mut self) -> Result<(u8, Vec<u8>), Unanswered> {
        loop {
            match self.framer.peek(&self.unread, &LOOKS).map_err(Unanswered::Violation)? {
                Frame::Start { tag, len, body } if self.unread.len() >= len => {
                    let body = body.to_vec();
                    self.unread.drain(..len);
                    return Ok((tag, body));
                }
                Frame::Start { tag, len, .. } if len > MESSAGE_LEN_MAX => {
                    return Err(Unanswered::Violation(Violation::Malformed { tag }));
                }
                Frame::Start { .. } | Frame::Middle { .. } | Frame::Need(_) => {}
            }
            let mut room = [0; 8192];
            match self.stream.read(&mut room)? {
                0 => return Err(io::Error::from(io::ErrorKind::UnexpectedEof).into()),
                len => self.unread.extend_from_slice(room.get(..len).unwrap_or_default()),
            }
        }
    }
}

fn row(body: &[u8]) -> Option<Vec<String>> {
    let (_, mut rest) = body.split_first_chunk::<2>()?;
    let mut values = Vec::new();
    while let Some((len, after)) = rest.split_first_chunk::<4>() {
        let len = usize::try_from(i32::from_be_bytes(*len)).unwrap_or(0);
        let (value, after) = after.split_at_checked(len)?;
        values.push(String::from_utf8_lossy(value).into_owned());
        rest = after;
    }
    Some(values)
}
