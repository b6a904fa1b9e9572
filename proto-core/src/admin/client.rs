//! The other end of a session of PCP: the login, then one request after the other.

use bytes::Bytes;

use super::packet::{self, BadLength, Composer, Packet};
use super::request::{Expected, Request};
use crate::auth::md5;
use crate::auth::pcp::challenge_response;
use crate::auth::secret::Secret;
use crate::limits;
use crate::wire;
use crate::wire::error::{Fields, Violation};

/// One session with a server of PCP.
#[derive(Debug)]
pub struct Client {
    user: String,
    password: Secret,
    stage: Stage,
}

/// How far the session has come.
#[derive(Debug)]
enum Stage {
    /// A salt was asked for.
    Greeting,
    /// The proof was sent.
    Proving,
    /// Nothing is asked.
    Idle,
    /// An answer comes, of which there is so much already.
    Asking { expected: Expected, rows: Vec<Row>, len: usize },
    /// Nothing more is read.
    Over,
}

/// The texts of a row of an answer.
pub type Row = Vec<String>;

/// What comes of the bytes at the front. The numbers are of bytes that were taken.
#[derive(Debug, PartialEq, Eq)]
pub enum Step {
    /// More must come first. Nothing was taken.
    Wait,
    /// There is nothing to do.
    Take(usize),
    /// This is to be sent.
    Send(usize, Bytes),
    /// The login is done, and anything may be asked.
    Welcome(usize),
    /// The server tells something along the way.
    Notice(usize, Remark),
    /// The answer is complete. What has nothing to tell has no row, what tells one thing has one.
    Answer(usize, Vec<Row>),
    /// The server refuses the login, or what was asked.
    Refuse(usize, Remark),
    /// What has come is no PCP. Nothing more is read.
    Fail(Fault),
}

/// What a server says in words.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Remark {
    /// How grave it is.
    pub severity: String,
    /// What it says.
    pub message: String,
    /// Why, if there is more to say.
    pub detail: Option<String>,
    /// What to do about it, if that is said.
    pub hint: Option<String>,
}

/// What a server may not send.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Fault {
    /// A packet that means nothing here, or whose length or content is wrong.
    Packet(Violation),
    /// A login that succeeded, but says this.
    Welcome(String),
    /// An answer that says this and not that it is complete.
    Answer(String),
    /// An answer of more than `ADMIN_ANSWER_LEN_MAX` bytes.
    TooLong,
}

impl Client {
    /// Begins a session; the bytes are to be sent.
    #[must_use]
    pub fn new(user: impl Into<String>, password: Secret) -> (Self, Bytes) {
        let client = Self { user: user.into(), password, stage: Stage::Greeting };
        (client, Composer::default().packet(b'M', |_| {}).finish())
    }

    /// Asks for something; the bytes are to be sent. Whoever asks has had the answer to what was
    /// asked before.
    #[must_use]
    pub fn ask(&mut self, request: Request) -> Bytes {
        debug_assert!(matches!(self.stage, Stage::Idle), "one request at a time");
        self.stage = match request.expected() {
            Some(expected) => Stage::Asking { expected, rows: Vec::new(), len: 0 },
            None if request == Request::Goodbye => Stage::Over,
            None => Stage::Idle,
        };
        request.compose()
    }

    /// Takes the first packet of `unread`.
    pub fn take(&mut self, unread: &[u8]) -> Step {
        if matches!(self.stage, Stage::Over) {
            return Step::Wait;
        }
        let packet = match packet::peek(unread, limits::ADMIN_PACKET_LEN_MAX) {
            Ok(None) => return Step::Wait,
            Ok(Some(packet)) => packet,
            Err(BadLength(length)) => {
                let tag = unread.first().copied().unwrap_or_default();
                let word = length.cast_unsigned();
                let violation = if word < 4 {
                    Violation::LengthTooSmall { tag, word }
                } else {
                    Violation::LengthTooLarge { tag, word }
                };
                return self.fail(Fault::Packet(violation));
            }
        };
        match packet.tag {
            b'N' => Step::Notice(packet.len(), Remark::read(packet.payload)),
            b'E' => self.on_error(packet),
            tag => match &self.stage {
                Stage::Greeting if tag == b'm' => self.on_salt(packet),
                Stage::Proving if tag == b'r' => self.on_welcome(packet),
                Stage::Asking { expected, .. } if tag == expected.tag => self.on_answer(packet),
                Stage::Greeting
                | Stage::Proving
                | Stage::Idle
                | Stage::Asking { .. }
                | Stage::Over => self.fail(Fault::Packet(Violation::UnknownTag { tag })),
            },
        }
    }

    fn on_salt(&mut self, packet: Packet<'_>) -> Step {
        let Ok(salt) = packet.payload.try_into() else {
            return self.malformed(packet.tag);
        };
        self.stage = Stage::Proving;
        let digest = md5::digest(self.password.expose(), "");
        let proof = challenge_response(&digest, self.user.as_bytes(), salt);
        let composed = Composer::default().packet(b'R', |payload| {
            payload.text(&self.user);
            payload.raw(&proof);
            payload.raw(&[0]);
        });
        Step::Send(packet.len(), composed.finish())
    }

    fn on_welcome(&mut self, packet: Packet<'_>) -> Step {
        match texts(packet.payload).as_deref() {
            Some([welcome]) if welcome == "AuthenticationOK" => {
                self.stage = Stage::Idle;
                Step::Welcome(packet.len())
            }
            Some([other, ..]) => self.fail(Fault::Welcome(other.clone())),
            Some([]) | None => self.malformed(packet.tag),
        }
    }

    fn on_error(&mut self, packet: Packet<'_>) -> Step {
        let remark = Remark::read(packet.payload);
        let goes_on = matches!(self.stage, Stage::Asking { .. }) && remark.severity == "ERROR";
        self.stage = if goes_on { Stage::Idle } else { Stage::Over };
        Step::Refuse(packet.len(), remark)
    }

    /// Takes a packet of an answer: how many rows there will be, a row, or that it is complete.
    fn on_answer(&mut self, packet: Packet<'_>) -> Step {
        let Stage::Asking { expected, rows, len } = &mut self.stage else {
            return Step::Take(packet.len());
        };
        *len += packet.len();
        if *len > limits::ADMIN_ANSWER_LEN_MAX {
            return self.fail(Fault::TooLong);
        }
        let Some((first, rest)) = wire::text(packet.payload) else {
            return self.malformed(packet.tag);
        };
        // The number is of no use, and once it is not even text.
        if first == b"ArraySize" && expected.row.is_some() {
            return Step::Take(packet.len());
        }
        let is_row = expected.row.is_some_and(|mark| mark.as_bytes() == first);
        let is_complete = first == b"CommandComplete";
        if !is_row && !is_complete {
            return self.fail(Fault::Answer(String::from_utf8_lossy(first).into_owned()));
        }
        let Some(row) = texts(rest) else { return self.malformed(packet.tag) };
        if is_row || !row.is_empty() {
            rows.push(row);
        }
        if is_row {
            return Step::Take(packet.len());
        }
        let rows = std::mem::take(rows);
        self.stage = Stage::Idle;
        Step::Answer(packet.len(), rows)
    }

    fn malformed(&mut self, tag: u8) -> Step {
        self.fail(Fault::Packet(Violation::Malformed { tag }))
    }

    fn fail(&mut self, fault: Fault) -> Step {
        self.stage = Stage::Over;
        Step::Fail(fault)
    }
}

impl Remark {
    fn read(payload: &[u8]) -> Self {
        let fields = Fields::read(payload);
        let text = |field: &[u8]| String::from_utf8_lossy(field).into_owned();
        let some = |field: &[u8]| (!field.is_empty()).then(|| text(field));
        Self {
            severity: text(fields.severity),
            message: text(fields.message),
            detail: some(fields.detail),
            hint: some(fields.hint),
        }
    }
}

/// Reads a payload that is all texts; none if it does not end with one.
fn texts(payload: &[u8]) -> Option<Row> {
    let (mut texts, mut rest) = (Vec::new(), payload);
    while !rest.is_empty() {
        let (text, behind) = wire::text(rest)?;
        texts.push(String::from_utf8_lossy(text).into_owned());
        rest = behind;
    }
    Some(texts)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::admin::conversation::{self, Conversation};
    use crate::admin::packet::Report;
    use crate::admin::reply;
    use crate::auth::pcp::Users;
    use crate::entropy::Entropy;
    use proptest::prelude::*;

    /// What `pg_md5 pcpadmin` prints.
    const USERS: &str = "pcpadmin:3090be164580c74a25efe7abdf542eb2";

    /// Plays a login against the server's end; what came of it.
    fn log_in(password: &str) -> (Client, Step) {
        let users = Users::parse(USERS).unwrap();
        let (mut server, mut entropy) = (Conversation::default(), Entropy::from_seed([7; 32]));
        let (mut client, mut sent) = Client::new("pcpadmin", Secret::new(password));
        loop {
            let step = server.take(&sent, &users, &mut entropy);
            let told = if let conversation::Step::Answer(taken, bytes) = step {
                assert_eq!(taken, sent.len());
                bytes
            } else if let conversation::Step::End(Some(report)) = step {
                report.compose()
            } else {
                panic!("{step:?}")
            };
            let step = client.take(&told);
            let Step::Send(taken, bytes) = step else { return (client, step) };
            assert_eq!(taken, told.len());
            sent = bytes;
        }
    }

    fn asking(request: Request) -> Client {
        let (mut client, _) = log_in("pcpadmin");
        let _ = client.ask(request);
        client
    }

    /// Takes packet after packet; all that came of them but what is only taken.
    fn told(client: &mut Client, mut unread: &[u8]) -> Vec<Step> {
        let mut steps = Vec::new();
        loop {
            let step = client.take(unread);
            match step {
                Step::Wait => return steps,
                Step::Fail(_) => {
                    steps.push(step);
                    return steps;
                }
                Step::Take(taken)
                | Step::Send(taken, _)
                | Step::Welcome(taken)
                | Step::Notice(taken, _)
                | Step::Answer(taken, _)
                | Step::Refuse(taken, _) => unread = &unread[taken..],
            }
            if !matches!(step, Step::Take(_)) {
                steps.push(step);
            }
        }
    }

    fn remark(severity: &str, message: &str, detail: Option<&str>) -> Remark {
        let detail = detail.map(str::to_owned);
        Remark { severity: severity.to_owned(), message: message.to_owned(), detail, hint: None }
    }

    #[test]
    fn the_server_lets_a_right_password_in_and_no_wrong_one() {
        let (mut client, step) = log_in("pcpadmin");
        assert_eq!(step, Step::Welcome(22));
        assert_eq!(client.ask(Request::NodeCount), &b"L\0\0\0\x04"[..]);
        let answer = reply::node_count(3);
        let step = client.take(&answer);
        assert_eq!(step, Step::Answer(answer.len(), vec![vec!["3".to_owned()]]));
        assert_eq!(client.ask(Request::Goodbye), &b"X\0\0\0\x04"[..]);
        assert_eq!(client.take(b"l"), Step::Wait, "nothing comes any more");

        let (_, step) = log_in("wrong");
        let Step::Refuse(_, told) = step else { panic!("{step:?}") };
        let detail = Some("username and/or password does not match");
        let expected = remark("FATAL", "authentication failed for user \"pcpadmin\"", detail);
        assert_eq!(told, expected);
    }

    #[test]
    fn rows_and_notices_come_one_by_one() {
        let mut client = asking(Request::PoolStatus);
        let rows = [["port", "9999", ""], ["pid", "", "text"]];
        let mut bytes = Composer::default()
            .packet(b'N', |payload| {
                payload.text("SNOTICE");
                payload.text("Mhalf way");
                payload.raw(&[0]);
            })
            .finish()
            .to_vec();
        let notice_len = bytes.len();
        bytes.extend_from_slice(&reply::pool_status(&rows));
        for cut in 0..bytes.len() {
            let steps = told(&mut asking(Request::PoolStatus), &bytes[..cut]);
            assert!(!steps.iter().any(|step| matches!(step, Step::Answer(..) | Step::Fail(_))));
        }
        let rows = rows.map(|row| row.map(str::to_owned).to_vec()).to_vec();
        let notice = Step::Notice(notice_len, remark("NOTICE", "half way", None));
        assert_eq!(told(&mut client, &bytes), [notice, Step::Answer(21, rows)]);
        assert_eq!(told(&mut asking(Request::Attach(1)), &reply::done(b'c')).len(), 1);
        let steps = told(&mut asking(Request::Attach(1)), &reply::done(b'c'));
        assert_eq!(steps, [Step::Answer(21, Vec::new())]);
    }

    #[test]
    fn an_error_is_survived_unless_it_is_fatal() {
        let error = Report::error("no").because("that is why").compose();
        let mut client = asking(Request::NodeCount);
        let step = client.take(&error);
        let expected = remark("ERROR", "no", Some("that is why"));
        assert_eq!(step, Step::Refuse(error.len(), expected));
        let _ = client.ask(Request::NodeCount);
        assert!(matches!(client.take(&reply::node_count(1)), Step::Answer(..)));

        let fatal = Report::fatal("no").compose();
        let mut client = asking(Request::NodeCount);
        assert!(matches!(client.take(&fatal), Step::Refuse(..)));
        assert_eq!(client.take(&reply::node_count(1)), Step::Wait, "it is over");
    }

    #[test]
    fn what_is_no_answer_is_told_apart() {
        let violation = |violation| Fault::Packet(violation);
        let table: [(&[u8], Fault); 6] = [
            (b"q\0\0\0\x04", violation(Violation::UnknownTag { tag: b'q' })),
            (b"l\0\0\0\x03", violation(Violation::LengthTooSmall { tag: b'l', word: 3 })),
            (b"l\x7f\0\0\0", violation(Violation::LengthTooLarge { tag: b'l', word: 0x7f00_0000 })),
            (b"l\0\0\0\x04", violation(Violation::Malformed { tag: b'l' })),
            (b"l\0\0\0\x09Nope\0", Fault::Answer("Nope".to_owned())),
            (b"l\0\0\0\x15CommandComplete\x003", violation(Violation::Malformed { tag: b'l' })),
        ];
        for (bytes, fault) in table {
            let steps = told(&mut asking(Request::NodeCount), bytes);
            assert_eq!(steps, [Step::Fail(fault)], "{}", bytes.escape_ascii());
        }
        let (mut client, _) = Client::new("a", Secret::new(""));
        let step = client.take(b"m\0\0\0\x07abc");
        assert_eq!(step, Step::Fail(violation(Violation::Malformed { tag: b'm' })));
        let mut client = Client { stage: Stage::Proving, ..asking(Request::NodeCount) };
        let step = client.take(b"r\0\0\0\x07No\0");
        assert_eq!(step, Step::Fail(Fault::Welcome("No".to_owned())));
    }

    #[test]
    fn an_answer_without_end_is_given_up() {
        let row = vec!["x".repeat(limits::ADMIN_PACKET_LEN_MAX / 2)];
        let rows = vec![row; limits::ADMIN_ANSWER_LEN_MAX / limits::ADMIN_PACKET_LEN_MAX * 2];
        let steps = told(&mut asking(Request::ProcessInfo(None)), &reply::process_info(&rows));
        assert_eq!(steps, [Step::Fail(Fault::TooLong)]);
    }

    proptest! {
        /// Whatever a server sends, each step takes bytes, waits or ends.
        #[test]
        fn any_bytes_end_or_wait(bytes in proptest::collection::vec(any::<u8>(), 0..300), stage in 0..4) {
            let mut client = match stage {
                0 => Client::new("a", Secret::new("b")).0,
                1 => Client { stage: Stage::Proving, ..asking(Request::NodeCount) },
                2 => log_in("pcpadmin").0,
                _ => asking(Request::PoolStatus),
            };
            let steps = told(&mut client, &bytes);
            prop_assert!(steps.len() <= bytes.len());
        }
    }
}
