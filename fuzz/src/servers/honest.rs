//! Servers that answer as PostgreSQL would, though they know only a few words.
//!
//! What they answer depends on the text of a statement and on the transaction, never on which of
//! them is asked, so that a client cannot tell where its statement went.

use std::collections::{BTreeMap, VecDeque};

use pgherd_core::id::{BackendId, ConnId};
use pgherd_core::wire::backend::{Composer, Report, TxStatus, tag};
use pgherd_core::wire::frame::{Frame, Framer};
use pgherd_core::wire::frontend::{self, LOOKS, tag as client};
use pgherd_core::wire::startup::Packet;

use super::{Ears, Servers, Word, first_packet, welcome};

/// Honest servers.
#[derive(Debug, Default)]
pub struct Honest {
    ears: Ears,
    lives: BTreeMap<ConnId, Life>,
    said: VecDeque<(ConnId, Word)>,
}

/// One connection, as its server sees it.
#[derive(Debug, Default)]
struct Life {
    stage: Stage,
    tx: TxStatus,
    statements: BTreeMap<Vec<u8>, Vec<u8>>,
    portals: BTreeMap<Vec<u8>, Vec<u8>>,
    /// The last `SET` of each parameter, all of which are seen in every row; and those that a
    /// rollback goes back to.
    settings: BTreeMap<String, String>,
    settings_before: BTreeMap<String, String>,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Stage {
    #[default]
    Startup,
    Ready,
    /// An error skips everything up to the `Sync`.
    Skipping,
    /// The server waits for `CopyData`, and then for a `Sync` or not.
    Copying {
        by_query: bool,
    },
}

impl Honest {
    fn understand(&mut self, conn: ConnId) {
        let Some(ear) = self.ears.get_mut(&conn) else { return };
        let Some(life) = self.lives.get_mut(&conn) else { return };
        let mut at = 0;
        let mut answer = Composer::new();
        let mut is_over = false;
        while !is_over {
            let unread = ear.get(at..).unwrap_or_default();
            if life.stage == Stage::Startup {
                let Some((packet, len)) = first_packet(unread) else { break };
                at += len;
                match packet {
                    Packet::Startup(_) => {
                        life.stage = Stage::Ready;
                        self.said.push_back((conn, Word::Bytes(welcome())));
                    }
                    Packet::Cancel { .. } => is_over = true,
                    other @ (Packet::Ssl | Packet::Gss | Packet::Unsupported { .. }) => {
                        panic!("a server was sent {other:?}")
                    }
                }
                continue;
            }
            let frame = Framer::default().peek(unread, &LOOKS);
            let frame = frame.unwrap_or_else(|v| panic!("a server was sent nonsense: {v}"));
            let Frame::Start { tag, len, .. } = frame else { break };
            let Some(body) = unread.get(5..len) else { break };
            is_over = tag == client::TERMINATE;
            life.on_message(tag, body, &mut answer);
            at += len;
        }
        ear.drain(..at);
        let bytes = answer.finish().to_vec();
        if !bytes.is_empty() {
            self.said.push_back((conn, Word::Bytes(bytes)));
        }
        if is_over {
            self.said.push_back((conn, Word::Close));
        }
    }
}

impl Life {
    fn on_message(&mut self, tag: u8, body: &[u8], answer: &mut Composer) {
        if let Stage::Copying { by_query } = self.stage {
            return self.on_copy(tag, by_query, answer);
        }
        if tag == client::SYNC {
            self.stage = Stage::Ready;
            if self.tx == TxStatus::Idle {
                self.portals.clear();
            }
            answer.ready(self.tx);
            return;
        }
        if self.stage == Stage::Skipping {
            return;
        }
        match tag {
            client::QUERY => self.on_query(body, answer),
            client::PARSE => match frontend::parse(body) {
                Some((_, text)) if contains(text, b"broken") => self.fail(answer),
                Some((name, _)) if !name.is_empty() && self.statements.contains_key(name) => {
                    self.fail(answer);
                }
                Some((name, text)) => {
                    self.statements.insert(name.to_vec(), text.to_vec());
                    answer.bare(tag::PARSE_COMPLETE);
                }
                None => self.fail(answer),
            },
            client::BIND => {
                let names = frontend::bind(body);
                match names.and_then(|(p, s)| Some((p, self.statements.get(s)?.clone()))) {
                    Some((portal, text)) => {
                        self.portals.insert(portal.to_vec(), text);
                        answer.bare(tag::BIND_COMPLETE);
                    }
                    None => self.fail(answer),
                }
            }
            client::DESCRIBE => drop(answer.bare(tag::NO_DATA)),
            client::CLOSE => {
                if let Some(frontend::Subject::Statement(name)) = frontend::subject(body) {
                    self.statements.remove(name);
                }
                answer.bare(tag::CLOSE_COMPLETE);
            }
            client::EXECUTE => {
                let portal = frontend::execute(body).unwrap_or_default();
                match self.portals.get(portal).cloned() {
                    Some(text) => {
                        if self.run(&text, false, answer).is_err() {
                            self.fail(answer);
                        }
                    }
                    None => self.fail(answer),
                }
            }
            client::FUNCTION_CALL => {
                answer.message(tag::FUNCTION_CALL, |b| b.extend_from_slice(&[255; 4]));
                answer.ready(self.tx);
            }
            client::PASSWORD => panic!("a server that trusts was sent a password"),
            // Flush, and the remains of a COPY that failed.
            _ => {}
        }
    }

    fn on_query(&mut self, body: &[u8], answer: &mut Composer) {
        self.statements.remove(&[][..]);
        let text = frontend::query(body).unwrap_or(body).to_vec();
        if self.run(&text, true, answer).is_err() {
            self.fail(answer);
            self.stage = Stage::Ready;
        }
        if self.stage == Stage::Ready {
            answer.ready(self.tx);
        }
    }

    fn on_copy(&mut self, tag: u8, by_query: bool, answer: &mut Composer) {
        match tag {
            client::COPY_DATA | client::SYNC | client::FLUSH => return,
            client::COPY_DONE => {
                self.stage = Stage::Ready;
                complete(answer, "COPY 1");
            }
            _ => {
                self.fail(answer);
            }
        }
        if by_query {
            self.stage = Stage::Ready;
            answer.ready(self.tx);
        }
    }

    fn fail(&mut self, answer: &mut Composer) {
        let report =
            Report { severity: "ERROR", code: "42601", message: "no", ..Report::default() };
        answer.report(tag::ERROR, &report);
        self.stage = Stage::Skipping;
        if self.tx == TxStatus::Open {
            self.tx = TxStatus::Failed;
        }
    }

    /// Runs a text; an error if it has one.
    fn run(&mut self, text: &[u8], by_query: bool, answer: &mut Composer) -> Result<(), ()> {
        let lower = text.to_ascii_lowercase();
        let begins = |word: &[u8]| lower.trim_ascii_start().starts_with(word);
        let is_misplaced = begins(b"discard all") && self.tx == TxStatus::Open;
        if begins(b"rollback") || begins(b"commit") || begins(b"end") {
            let is_undone = begins(b"rollback") && self.tx == TxStatus::Open;
            if is_undone || self.tx == TxStatus::Failed {
                self.settings.clone_from(&self.settings_before);
            }
            self.tx = TxStatus::Idle;
            complete(answer, "COMMIT");
        } else if contains(&lower, b"broken") || self.tx == TxStatus::Failed || is_misplaced {
            return Err(());
        } else if begins(b"begin") || begins(b"start") {
            if self.tx == TxStatus::Idle {
                self.settings_before.clone_from(&self.settings);
            }
            self.tx = TxStatus::Open;
            complete(answer, "BEGIN");
        } else if begins(b"set ") {
            self.settings.insert(parameter(&lower), String::from_utf8_lossy(text).into_owned());
            complete(answer, "SET");
        } else if begins(b"reset ") {
            match parameter(&lower).as_str() {
                "all" => self.settings.clear(),
                name => drop(self.settings.remove(name)),
            }
            complete(answer, "RESET");
        } else if contains(&lower, b"from stdin") {
            self.stage = Stage::Copying { by_query };
            answer.message(tag::COPY_IN, |b| b.extend_from_slice(&[0, 0, 0]));
        } else if contains(&lower, b"to stdout") {
            answer.message(tag::COPY_OUT, |b| b.extend_from_slice(&[0, 0, 0]));
            answer.message(tag::COPY_DATA, |b| b.extend_from_slice(text));
            answer.bare(tag::COPY_DONE);
            complete(answer, "COPY 1");
        } else if begins(b"discard all") || begins(b"deallocate all") {
            if begins(b"discard") {
                self.settings.clear();
            }
            self.statements.clear();
            complete(answer, "DISCARD ALL");
        } else if lower.trim_ascii().is_empty() {
            answer.bare(tag::EMPTY_QUERY);
        } else {
            if by_query {
                answer.row_description(&["text", "setting"]);
            }
            let text = String::from_utf8_lossy(text);
            let settings: Vec<&str> = self.settings.values().map(String::as_str).collect();
            answer.data_row([text.as_ref(), &settings.join("; ")].into_iter());
            complete(answer, "SELECT 1");
        }
        Ok(())
    }
}

/// The parameter that a `SET` or `RESET` is about.
fn parameter(lower: &[u8]) -> String {
    let text = String::from_utf8_lossy(lower);
    let name = text.split_ascii_whitespace().nth(1).unwrap_or_default();
    name.replace('"', "")
}

fn complete(answer: &mut Composer, command: &str) {
    answer.message(tag::COMMAND_COMPLETE, |body| {
        body.extend_from_slice(command.as_bytes());
        body.extend_from_slice(&[0]);
    });
}

fn contains(text: &[u8], word: &[u8]) -> bool {
    text.windows(word.len()).any(|window| window == word)
}

impl Servers for Honest {
    fn opened(&mut self, conn: ConnId, _to: BackendId) {
        self.ears.insert(conn, Vec::new());
        self.lives.insert(conn, Life::default());
    }

    fn hear(&mut self, conn: ConnId, bytes: &[u8]) {
        if let Some(ear) = self.ears.get_mut(&conn) {
            ear.extend(bytes);
        }
        self.understand(conn);
    }

    fn speak(&mut self) -> Option<(ConnId, Word)> {
        self.said.pop_front()
    }

    fn closed(&mut self, conn: ConnId) {
        self.ears.remove(&conn);
        self.lives.remove(&conn);
        self.said.retain(|(id, _)| *id != conn);
    }
}
