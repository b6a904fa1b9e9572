//! A client that says no more than it must: it logs in, asks, and counts what comes.
//!
//! It blocks, and is one of thousands all the same: first all of them are told to ask, then each is
//! waited for. What is measured is the proxy, not this.

use std::io::{self, BufRead as _, BufReader, Read as _, Write as _};
use std::net::TcpStream;
use std::time::Duration;

use bytes::Bytes;
use pgherd_core::auth::md5;
use pgherd_core::auth::passwd::Stored;
use pgherd_core::auth::secret::Secret;
use pgherd_core::wire::frontend;
use pgherd_core::wire::startup::Params;
use pgherd_herd::{HOST, PASSWORD, USER};

/// A client.
#[derive(Debug)]
pub struct Client {
    stream: BufReader<TcpStream>,
}

impl Client {
    /// Connects and says who it is.
    pub fn open(port: u16) -> io::Result<Self> {
        let stream = TcpStream::connect((HOST, port))?;
        stream.set_read_timeout(Some(PATIENCE))?;
        stream.set_nodelay(true)?;
        let params = [("user", USER), ("database", "postgres"), ("application_name", "crowd")];
        let params = params.map(|(name, value)| (Bytes::from(name), Bytes::from(value)));
        let mut client = Self { stream: BufReader::with_capacity(BUFFER_LEN, stream) };
        client.send(&frontend::startup(&Params(params.into())))?;
        Ok(client)
    }

    /// Proves who it is, once it has been asked to.
    pub fn prove(&mut self) -> io::Result<()> {
        let (tag, body) = self.message()?;
        let salt = match (tag, body.split_first_chunk()) {
            (b'R', Some(([0, 0, 0, 5], salt))) => <[u8; 4]>::try_from(salt).ok(),
            _ => None,
        };
        let salt = salt.ok_or_else(|| surprise(tag, &body))?;
        let stored = Stored::Plain(Secret::new(PASSWORD));
        let mut answer = md5::challenge_response(&stored, USER, salt).to_vec();
        answer.push(0);
        self.send(&frontend::compose_password(&answer))
    }

    /// Asks something.
    pub fn ask(&mut self, query: &str) -> io::Result<()> {
        self.send(&frontend::compose_query(query))
    }

    /// Reads up to a `ReadyForQuery`, and returns how many rows have come.
    pub fn finish(&mut self) -> io::Result<usize> {
        let mut rows = 0;
        loop {
            match self.message()? {
                (b'Z', _) => return Ok(rows),
                (b'D', _) => rows += 1,
                (b'E', body) => return Err(surprise(b'E', &body)),
                _ => {}
            }
        }
    }

    fn send(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.stream.get_mut().write_all(bytes)
    }

    fn message(&mut self) -> io::Result<(u8, Vec<u8>)> {
        if self.stream.fill_buf()?.is_empty() {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        let (mut tag, mut len) = ([0], [0; 4]);
        self.stream.read_exact(&mut tag)?;
        self.stream.read_exact(&mut len)?;
        let len = u32::from_be_bytes(len).saturating_sub(4);
        let mut body = vec![0; usize::try_from(len).unwrap_or(usize::MAX).min(MESSAGE_LEN_MAX)];
        self.stream.read_exact(&mut body)?;
        let [tag] = tag;
        Ok((tag, body))
    }
}

fn surprise(tag: u8, body: &[u8]) -> io::Error {
    let text = String::from_utf8_lossy(body).replace('\0', " ");
    io::Error::other(format!("the proxy said {:?}: {text}", char::from(tag)))
}

/// How long a client waits for an answer.
const PATIENCE: Duration = Duration::from_secs(60);

/// What a client reads at once, in bytes: thousands of them have a buffer each.
const BUFFER_LEN: usize = 512;

/// No message that these clients are sent is as long, in bytes.
const MESSAGE_LEN_MAX: usize = 65_536;
