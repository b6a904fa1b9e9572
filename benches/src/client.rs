//! A client that says no more than it must: it logs in, asks, and counts what comes.
//!
//! It blocks, and is one of thousands all the same: first all of them are told to ask, then each is
//! waited for. What is measured is the proxy, not this.

use std::io::{self, BufRead as _, BufReader, Read as _, Write as _};
use std::net::TcpStream;
use std::time::Duration;

use bytes::Bytes;
use pgherd_core::auth::answer::Answer;
use pgherd_core::auth::passwd::Stored;
use pgherd_core::auth::secret::Secret;
use pgherd_core::backend::login::{Login, Step};
use pgherd_core::entropy::Entropy;
use pgherd_core::wire::frontend;
use pgherd_core::wire::startup::Params;
use pgherd_herd::{PASSWORD, USER};

/// A client.
#[derive(Debug)]
pub struct Client {
    stream: BufReader<TcpStream>,
    login: Option<Box<Login>>,
}

impl Client {
    /// Connects and says who it is. `buffer_len` bytes are read at once.
    pub fn open(host: &str, port: u16, buffer_len: usize) -> io::Result<Self> {
        let stream = TcpStream::connect((host, port))?;
        stream.set_read_timeout(Some(PATIENCE))?;
        stream.set_nodelay(true)?;
        let params = [("user", USER), ("database", "postgres"), ("application_name", "crowd")];
        let params = params.map(|(name, value)| (Bytes::from(name), Bytes::from(value)));
        let stored = Stored::Plain(Secret::new(PASSWORD));
        // A nonce that an attacker could guess does no harm here.
        let answer = Answer::new(USER, Some(&stored), &mut Entropy::from_seed([7; 32]));
        let login = Some(Box::new(Login::new(answer)));
        let mut client = Self { stream: BufReader::with_capacity(buffer_len, stream), login };
        client.send(&frontend::startup(&Params(params.into())))?;
        Ok(client)
    }

    /// Answers the first question about who it is.
    pub fn prove(&mut self) -> io::Result<()> {
        while self.login.is_some() && !self.step()? {}
        Ok(())
    }

    /// Reads and answers until it is logged in.
    pub fn enter(&mut self) -> io::Result<()> {
        while self.login.is_some() {
            self.step()?;
        }
        Ok(())
    }

    /// Acts on one message of the login, and returns whether it has answered.
    fn step(&mut self) -> io::Result<bool> {
        let (tag, body) = self.message()?;
        let Some(login) = &mut self.login else { return Ok(false) };
        match login.handle_message(tag, &body) {
            Step::Wait => Ok(false),
            Step::Send(bytes) => self.send(&bytes).map(|()| true),
            Step::Done(_) => {
                self.login = None;
                Ok(false)
            }
            Step::Failed(failure) => Err(io::Error::other(failure.to_string())),
        }
    }

    /// Asks something.
    pub fn ask(&mut self, query: &str) -> io::Result<()> {
        self.send(&frontend::compose_query(query))
    }

    /// Reads up to a `ReadyForQuery`, and returns how many rows have come and how many bytes.
    pub fn finish(&mut self) -> io::Result<(usize, u64)> {
        let (mut rows, mut bytes) = (0, 0);
        loop {
            let (tag, len) = self.header()?;
            bytes += len + 5;
            match tag {
                b'E' => return Err(surprise(tag, &self.body(len)?)),
                b'D' | b'd' => rows += 1,
                _ => {}
            }
            io::copy(&mut (&mut self.stream).take(len), &mut io::sink())?;
            if tag == b'Z' {
                return Ok((rows, bytes));
            }
        }
    }

    /// Gives the socket away; whatever has come and was not read is lost.
    #[must_use]
    pub fn into_stream(self) -> TcpStream {
        self.stream.into_inner()
    }

    fn send(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.stream.get_mut().write_all(bytes)
    }

    fn message(&mut self) -> io::Result<(u8, Vec<u8>)> {
        let (tag, len) = self.header()?;
        Ok((tag, self.body(len)?))
    }

    /// Reads a type byte and the length of what follows.
    fn header(&mut self) -> io::Result<(u8, u64)> {
        if self.stream.fill_buf()?.is_empty() {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        let (mut tag, mut len) = ([0], [0; 4]);
        self.stream.read_exact(&mut tag)?;
        self.stream.read_exact(&mut len)?;
        let [tag] = tag;
        Ok((tag, u64::from(u32::from_be_bytes(len).saturating_sub(4))))
    }

    fn body(&mut self, len: u64) -> io::Result<Vec<u8>> {
        let mut body = Vec::new();
        (&mut self.stream).take(len).read_to_end(&mut body)?;
        Ok(body)
    }
}

fn surprise(tag: u8, body: &[u8]) -> io::Error {
    let text = String::from_utf8_lossy(body).replace('\0', " ");
    io::Error::other(format!("the proxy said {:?}: {text}", char::from(tag)))
}

/// How long a client waits for an answer.
const PATIENCE: Duration = Duration::from_secs(60);

/// What one of thousands of clients reads at once, in bytes.
pub const BUFFER_LEN_SMALL: usize = 512;

/// What a client reads at once that asks for much, in bytes.
pub const BUFFER_LEN_LARGE: usize = 65_536;
