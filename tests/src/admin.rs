//! A program that administers pgherd over PCP, packet by packet.

use pgherd_core::auth::pcp::challenge_response;

use crate::play::{LIMIT, Play};
use crate::world::{ADMIN, Conn, PCP_CONF, World};

/// A packet that pgherd sent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Reply {
    /// Its type byte.
    pub tag: u8,
    /// Its texts. Where a payload is not text, whatever it looks like.
    pub texts: Vec<String>,
}

impl Reply {
    /// Tells whether it is an error.
    #[must_use]
    pub fn is_error(&self) -> bool {
        self.tag == b'E'
    }

    /// Returns a field of an error, by its letter.
    #[must_use]
    pub fn field(&self, letter: char) -> &str {
        let field = self.texts.iter().find_map(|text| text.strip_prefix(letter));
        field.unwrap_or_default()
    }
}

/// Composes a packet.
#[must_use]
pub fn packet(tag: u8, payload: &[u8]) -> Vec<u8> {
    let len = u32::try_from(payload.len()).expect("short") + 4;
    [&[tag], &len.to_be_bytes()[..], payload].concat()
}

/// Composes the answer to a challenge.
#[must_use]
pub fn proof(user: &str, digest: &str, salt: [u8; 4]) -> Vec<u8> {
    let answer = challenge_response(digest.as_bytes(), user.as_bytes(), salt);
    packet(b'R', &[user.as_bytes(), b"\0", &answer, b"\0"].concat())
}

/// The digest of the administrator's password.
#[must_use]
pub fn digest() -> &'static str {
    PCP_CONF.trim_end().split_once(':').expect("a user and a digest").1
}

/// Bytes that have come and are not yet a packet.
#[derive(Debug)]
pub struct Admin {
    /// Its connection.
    pub conn: Conn,
    unread: Vec<u8>,
}

impl Admin {
    /// Connects and says nothing.
    pub fn open(w: &mut impl World) -> Self {
        Self { conn: w.open_admin(), unread: Vec::new() }
    }

    /// Connects and logs in.
    ///
    /// # Panics
    /// It is refused.
    pub fn enter(w: &mut impl World) -> Self {
        let mut admin = Self::open(w);
        let welcome = admin.prove(w, ADMIN, digest()).expect("an answer");
        assert_eq!((welcome.tag, &welcome.texts[0][..]), (b'r', "AuthenticationOK"));
        admin
    }

    /// Asks for a salt and proves to be somebody; what came of it.
    ///
    /// # Panics
    /// There is no salt.
    pub fn prove(&mut self, w: &mut impl World, user: &str, digest: &str) -> Option<Reply> {
        let salt = self.salt(w);
        w.send(self.conn, &proof(user, digest, salt));
        self.next(w)
    }

    /// Asks for a salt.
    ///
    /// # Panics
    /// There is none.
    pub fn salt(&mut self, w: &mut impl World) -> [u8; 4] {
        w.send(self.conn, &packet(b'M', b""));
        let bytes = self.whole(w).expect("a salt");
        assert_eq!(&bytes[..5], b"m\0\0\0\x08");
        bytes[5..].try_into().expect("four bytes")
    }

    /// Asks for something, and waits for the first packet of the answer.
    ///
    /// # Panics
    /// The connection was closed.
    pub fn ask(&mut self, w: &mut impl World, tag: u8, payload: &[u8]) -> Reply {
        w.send(self.conn, &packet(tag, payload));
        self.next(w).expect("an answer")
    }

    /// Asks for something that is told in several packets, and waits for the last.
    ///
    /// # Panics
    /// The connection was closed.
    pub fn list(&mut self, w: &mut impl World, tag: u8, payload: &[u8]) -> Vec<Reply> {
        let mut replies = vec![self.ask(w, tag, payload)];
        while !replies.last().is_some_and(|last| last.is_error() || is_last(last)) {
            replies.push(self.next(w).expect("an answer that ends"));
        }
        replies
    }

    /// Waits for the next packet; none if the connection was closed.
    pub fn next(&mut self, w: &mut impl World) -> Option<Reply> {
        self.whole(w).map(|packet| read(&packet))
    }

    /// Takes packets that are here up to one of this kind; none if it has not come yet.
    pub fn poll(&mut self, w: &mut impl World, is_it: impl Fn(&Reply) -> bool) -> Option<Reply> {
        self.unread.extend(w.take(self.conn));
        while let Some(packet) = self.cut() {
            let reply = read(&packet);
            if is_it(&reply) {
                return Some(reply);
            }
        }
        None
    }

    /// Waits until it is told how far something is, in words with these in them; returns all words.
    pub fn await_notice(&mut self, w: &mut impl World, words: &str) -> String {
        let says = |reply: &Reply| reply.tag == b'N' && reply.field('M').contains(words);
        let mut said = String::new();
        w.wait(words, LIMIT, |w| {
            let told = self.poll(w, |reply| says(reply) || reply.tag != b'N');
            told.is_some_and(|reply| {
                assert!(says(&reply), "before {words:?}: {reply:?}");
                said = reply.field('M').to_owned();
                true
            })
        });
        said
    }

    /// Waits for the answer to what takes its time, behind all that is told of how far it is.
    pub fn end(&mut self, w: &mut impl World) -> Reply {
        let mut end = None;
        w.wait("an answer", LIMIT, |w| {
            end = self.poll(w, |reply| reply.tag != b'N');
            end.is_some()
        });
        end.expect("waited for")
    }

    fn whole(&mut self, w: &mut impl World) -> Option<Vec<u8>> {
        let mut packet = None;
        w.wait("a packet", LIMIT, |w| {
            self.unread.extend(w.take(self.conn));
            packet = self.cut();
            packet.is_some() || w.is_closed(self.conn)
        });
        packet
    }

    fn cut(&mut self) -> Option<Vec<u8>> {
        let len = self.unread.get(1..5)?.try_into().ok().map(u32::from_be_bytes)?;
        let len = 1 + usize::try_from(len).ok()?;
        (self.unread.len() >= len).then(|| self.unread.drain(..len).collect())
    }
}

fn read(packet: &[u8]) -> Reply {
    let texts = packet[5..].split(|byte| *byte == 0);
    let mut texts: Vec<String> =
        texts.map(|text| String::from_utf8_lossy(text).into_owned()).collect();
    texts.pop();
    Reply { tag: packet[0], texts }
}

fn is_last(reply: &Reply) -> bool {
    reply.texts.first().is_some_and(|text| text == "CommandComplete")
}
