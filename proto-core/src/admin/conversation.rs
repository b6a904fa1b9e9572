//! A session of PCP: the login, then one request after the other.

use super::packet::{self, BadLength, Composer, Packet, Report, Severity};
use super::request::{self, Request};
use crate::auth::pcp::Users;
use crate::entropy::Entropy;
use crate::limits;
use crate::wire;
use bytes::Bytes;

/// One session, from its first byte on.
#[derive(Debug, Default)]
pub struct Conversation(Stage);

/// How far the session has come.
#[derive(Debug, Default)]
enum Stage {
    /// Nobody has asked for a salt.
    #[default]
    New,
    /// A salt was sent, which is good for one answer.
    Salted([u8; 4]),
    /// The proof was right: it is this user.
    In(String),
    /// Nothing more is read.
    Over,
}

/// What comes of the bytes at the front.
#[derive(Debug, PartialEq, Eq)]
pub enum Step {
    /// More must come first. Nothing was taken.
    Wait,
    /// So many bytes were taken and are answered; the session goes on.
    Answer(usize, Bytes),
    /// So many bytes were taken, and this is asked by somebody who may.
    Ask(usize, Request),
    /// The session ends, for this reason; none if the client wants no more. Whatever is unread is
    /// dropped.
    End(Option<Report>),
}

impl Conversation {
    /// Tells whether somebody is logged in.
    #[must_use]
    pub const fn is_in(&self) -> bool {
        matches!(self.0, Stage::In(_))
    }

    /// Tells whether anything was asked that makes sense.
    #[must_use]
    pub const fn has_begun(&self) -> bool {
        !matches!(self.0, Stage::New)
    }

    /// Returns who is logged in.
    #[must_use]
    pub fn user(&self) -> Option<&str> {
        match &self.0 {
            Stage::In(user) => Some(user),
            Stage::New | Stage::Salted(_) | Stage::Over => None,
        }
    }

    /// Takes the first packet of `unread`.
    ///
    /// `users` is who may log in now: a reload counts for every login after it.
    pub fn take(&mut self, unread: &[u8], users: &Users, entropy: &mut Entropy) -> Step {
        if matches!(self.0, Stage::Over) {
            return Step::End(None);
        }
        let packet = match packet::peek(unread, limits::ADMIN_REQUEST_LEN_MAX) {
            Ok(None) => return Step::Wait,
            Ok(Some(packet)) => packet,
            Err(BadLength(length)) => {
                return self.refuse(
                    0,
                    Report::fatal("invalid PCP packet")
                        .because(format!("incorrect packet length ({length})")),
                );
            }
        };
        match packet.tag {
            b'M' => {
                let salt = entropy.bytes();
                self.0 = Stage::Salted(salt);
                let challenge = Composer::default().packet(b'm', |payload| payload.raw(&salt));
                Step::Answer(packet.len(), challenge.finish())
            }
            b'R' => self.log_in(packet, users),
            _ if self.is_in() => self.ask(packet),
            _ => self.refuse(
                packet.len(),
                Report::fatal("authentication failed for new PCP connection")
                    .because("connection not authorized"),
            ),
        }
    }

    /// Checks a proof. It uses the salt up, right or wrong.
    fn log_in(&mut self, packet: Packet<'_>, users: &Users) -> Step {
        let Stage::Salted(salt) = std::mem::replace(&mut self.0, Stage::Over) else {
            let report = Report::fatal("authentication failed")
                .because("no salt was asked for before the answer");
            return self.refuse(packet.len(), report);
        };
        let proof = wire::text(packet.payload)
            .and_then(|(name, rest)| wire::text(rest).map(|(answer, _)| (name, answer)));
        let Some((name, answer)) = proof else {
            let report = Report::fatal("authentication failed")
                .because("the answer is not a user name and a digest");
            return self.refuse(packet.len(), report);
        };
        if users.verify(name, salt, answer) {
            self.0 = Stage::In(String::from_utf8_lossy(name).into_owned());
            let welcome =
                Composer::default().packet(b'r', |payload| payload.text("AuthenticationOK"));
            return Step::Answer(packet.len(), welcome.finish());
        }
        // The same for a wrong name and a wrong password. The name may be anybody's bytes.
        let name = name.escape_ascii();
        let report = Report::fatal(format!("authentication failed for user \"{name}\""))
            .because("username and/or password does not match");
        self.refuse(packet.len(), report)
    }

    fn ask(&mut self, packet: Packet<'_>) -> Step {
        match request::read(packet) {
            Ok(Request::Goodbye) => {
                self.0 = Stage::Over;
                Step::End(None)
            }
            Ok(request) => Step::Ask(packet.len(), request),
            Err(report) => self.refuse(packet.len(), report),
        }
    }

    /// Tells a client an error, and ends the session if it is one that does.
    fn refuse(&mut self, taken: usize, report: Report) -> Step {
        match report.severity {
            Severity::Notice | Severity::Error => Step::Answer(taken, report.compose()),
            Severity::Fatal => {
                self.0 = Stage::Over;
                Step::End(Some(report))
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::auth::pcp::challenge_response;
    use proptest::prelude::*;

    /// What `pg_md5 pcpadmin` prints.
    const DIGEST: &str = "3090be164580c74a25efe7abdf542eb2";

    fn users() -> Users {
        Users::parse(&format!("pcpadmin:{DIGEST}")).unwrap()
    }

    fn entropy() -> Entropy {
        Entropy::from_seed([7; 32])
    }

    fn answer(name: &str, digest: &str, salt: [u8; 4]) -> Vec<u8> {
        let proof = challenge_response(digest.as_bytes(), name.as_bytes(), salt);
        let composed = Composer::default().packet(b'R', |payload| {
            payload.text(name);
            payload.raw(&proof);
            payload.raw(&[0]);
        });
        composed.finish().to_vec()
    }

    /// Asks for a salt.
    fn salted(conversation: &mut Conversation, entropy: &mut Entropy) -> [u8; 4] {
        let Step::Answer(5, challenge) = conversation.take(b"M\0\0\0\x04", &users(), entropy)
        else {
            panic!("no salt");
        };
        assert_eq!(&challenge[..5], b"m\0\0\0\x08");
        challenge[5..].try_into().unwrap()
    }

    fn ended(step: &Step, message: &str) {
        let Step::End(Some(report)) = step else { panic!("{step:?} is no refusal") };
        let bytes = report.compose();
        assert!(bytes.starts_with(b"E"));
        let text = format!("SFATAL\0CXX000\0M{message}\0");
        assert_eq!(&bytes[5..5 + text.len()], text.as_bytes());
    }

    #[test]
    fn a_right_answer_is_let_in_and_asks() {
        let (mut conversation, mut entropy) = (Conversation::default(), entropy());
        let salt = salted(&mut conversation, &mut entropy);
        let proof = answer("pcpadmin", DIGEST, salt);
        assert_eq!(conversation.take(&proof[..9], &users(), &mut entropy), Step::Wait);
        let welcome = Bytes::from_static(b"r\0\0\0\x15AuthenticationOK\0");
        let step = conversation.take(&proof, &users(), &mut entropy);
        assert_eq!(step, Step::Answer(proof.len(), welcome));
        let step = conversation.take(b"L\0\0\0\x04X\0\0\0\x04", &users(), &mut entropy);
        assert_eq!(step, Step::Ask(5, Request::NodeCount));
        let step = conversation.take(b"I\0\0\0\x06x\0", &users(), &mut entropy);
        assert!(matches!(step, Step::Answer(7, _)));
        assert_eq!(conversation.user(), Some("pcpadmin"));
        let step = conversation.take(b"X\0\0\0\x04", &users(), &mut entropy);
        assert_eq!(step, Step::End(None));
        let step = conversation.take(b"L\0\0\0\x04", &users(), &mut entropy);
        assert_eq!(step, Step::End(None));
    }

    #[test]
    fn a_wrong_name_and_a_wrong_password_end_alike() {
        for (name, digest) in [("pcpadmin", "0"), ("nobody", DIGEST)] {
            let (mut conversation, mut entropy) = (Conversation::default(), entropy());
            let salt = salted(&mut conversation, &mut entropy);
            let step = conversation.take(&answer(name, digest, salt), &users(), &mut entropy);
            ended(&step, &format!("authentication failed for user \"{name}\""));
            assert!(!conversation.is_in());
        }
    }

    #[test]
    fn a_salt_is_good_once_and_only_the_last_one() {
        let (mut conversation, mut entropy) = (Conversation::default(), entropy());
        let first = salted(&mut conversation, &mut entropy);
        let second = salted(&mut conversation, &mut entropy);
        let late = answer("pcpadmin", DIGEST, first);
        let step = conversation.take(&late, &users(), &mut entropy);
        ended(&step, "authentication failed for user \"pcpadmin\"");

        let mut conversation = Conversation(Stage::Salted(second));
        let proof = answer("pcpadmin", DIGEST, second);
        assert!(matches!(conversation.take(&proof, &users(), &mut entropy), Step::Answer(..)));
        ended(&conversation.take(&proof, &users(), &mut entropy), "authentication failed");
    }

    #[test]
    fn the_wrong_order_and_garbage_end_the_session() {
        let table: [(&[u8], &str); 5] = [
            (b"R\0\0\0\x08a\0b\0", "authentication failed"),
            (b"L\0\0\0\x04", "authentication failed for new PCP connection"),
            (b"T\0\0\0\x05i", "authentication failed for new PCP connection"),
            (b"\x16\x03\x01\x02\0\x01", "invalid PCP packet"),
            (b"GET / HTTP/1.0", "invalid PCP packet"),
        ];
        for (bytes, message) in table {
            let mut conversation = Conversation::default();
            ended(&conversation.take(bytes, &users(), &mut entropy()), message);
        }
        let mut conversation = Conversation(Stage::Salted([1; 4]));
        let step = conversation.take(b"R\0\0\0\x06ab", &users(), &mut entropy());
        ended(&step, "authentication failed");
    }

    proptest! {
        /// Whatever comes, each step takes bytes, waits or ends, and nobody gets in by it.
        #[test]
        fn any_bytes_end_or_wait(bytes in proptest::collection::vec(any::<u8>(), 0..600), inside in any::<bool>()) {
            let mut conversation = Conversation(if inside { Stage::In("a".to_owned()) } else { Stage::New });
            let (users, mut entropy) = (users(), entropy());
            let mut unread = bytes.as_slice();
            loop {
                match conversation.take(unread, &users, &mut entropy) {
                    Step::Wait | Step::End(_) => break,
                    Step::Answer(taken, _) | Step::Ask(taken, _) => {
                        prop_assert!(taken > 0 && taken <= unread.len());
                        unread = &unread[taken..];
                    }
                }
            }
            prop_assert!(inside || !conversation.is_in());
        }
    }
}
