//! Makes conversations: what a client could say that keeps to the protocol, whether or not it
//! makes sense.

mod extended;
mod vocabulary;

use std::collections::BTreeMap;

use super::contest::{Case, Talk};
use super::conversation::{Conversation, Effect, Part, Unit, Until};
use super::dice::Dice;
use super::saying::Saying;
use super::transcript::Sharing;
use crate::client::Login;
pub use vocabulary::Dialect;
use vocabulary::{
    BEGINNINGS, EMPTY, ENDS, ERRORS, Line, READS, RUBBISH, SESSION, SETTINGS, TRANSACTIONS,
    Template, WRITES,
};

/// What the conversations of a lane are like.
#[derive(Clone, Copy, Debug)]
pub struct Manner {
    /// Which SQL they have.
    pub dialect: Dialect,
    /// Rounds of a case.
    pub rounds: usize,
    /// Clients who talk at the same time.
    pub clients: usize,
    /// Whether they share connections.
    pub sharing: Sharing,
    /// What they keep quiet about.
    pub left_out: &'static [Topic],
}

/// What is not said yet where pgherd is known to answer otherwise than a server. Each is said
/// again with the change that mends it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Topic {
    /// `RESET` and `DISCARD ALL`, where the connection was opened by a client with other startup
    /// parameters than this one's.
    Resets,
    /// `Close` of a statement in a batch with anything else.
    Closings,
    /// The unnamed statement of an earlier batch.
    Unnamed,
    /// Named statements of the extended protocol, which may be named in vain.
    Named,
    /// `SET` by the extended protocol.
    SettingStatements,
    /// `SET` among other statements of one text, and `set_config()`.
    UntoldSettings,
    /// `SET` of parameters that the next client of the connection is told at its login.
    ReportedSettings,
    /// The last value of a sequence, which only the connection knows that drew it.
    LastValues,
}

impl Topic {
    /// Tells whether a statement is about this.
    fn is_of(self, sql: &str) -> bool {
        let sql = sql.to_ascii_lowercase();
        let any = |words: &[&str]| words.iter().any(|word| sql.contains(word));
        match self {
            Self::Resets => any(&["reset", "discard all", "default"]),
            Self::LastValues => any(&["lastval", "currval"]),
            Self::ReportedSettings => {
                sql.starts_with("set") && any(&["time", "style", "encoding", "names"])
            }
            Self::UntoldSettings => any(&["set_config"]),
            Self::SettingStatements | Self::Closings | Self::Unnamed | Self::Named => false,
        }
    }
}

impl Manner {
    /// Tells whether a statement can be said.
    fn says(&self, (_, dialect, sql): &Line) -> bool {
        *dialect <= self.dialect && !self.left_out.iter().any(|topic| topic.is_of(sql))
    }

    fn leaves_out(&self, topic: Topic) -> bool {
        self.left_out.contains(&topic)
    }

    /// Makes the case of a seed.
    #[must_use]
    pub fn case(&self, seed: u64) -> Case {
        let mut dice = Dice::new(seed);
        let rounds = (0..self.rounds).map(|_| {
            let talks = (0..self.clients).map(|number| {
                let table = format!("d{number}");
                let speaker = Speaker::new(dice.split(), *self, table.clone(), number);
                Talk { table, conversation: speaker.conversation() }
            });
            talks.collect()
        });
        Case { seed, sharing: self.sharing, rounds: rounds.collect() }
    }
}

/// Whoever makes up a conversation. It keeps track of what it has said, and believes that
/// everything went well; if it did not, the conversation has one more error in it.
#[derive(Debug)]
struct Speaker {
    dice: Dice,
    manner: Manner,
    table: String,
    number: usize,
    block: Block,
    /// The statements that are prepared, by name.
    prepared: BTreeMap<&'static str, Template>,
}

/// What transaction the speaker believes to be in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Block {
    None,
    Open,
    /// A read-only one. pgherd runs it on a standby, where session state is refused: that is a
    /// difference by design, so nothing is said in it that makes some. It is begun and ended by
    /// statements of their own, so that there is no doubt about whether it is one.
    ReadOnly,
}

impl Speaker {
    fn new(dice: Dice, manner: Manner, table: String, number: usize) -> Self {
        let (block, prepared) = (Block::None, BTreeMap::new());
        Self { dice, manner, table, number, block, prepared }
    }

    fn conversation(mut self) -> Conversation {
        let login = self.login();
        let count = self.dice.between(3, 14);
        let mut units: Vec<Unit> = (0..count).map(|_| self.unit()).collect();
        if self.dice.often(70) {
            units.push(self.farewell());
        }
        Conversation { login, units }
    }

    fn login(&mut self) -> Login {
        let mut login = Login::default();
        for (percent, name, values) in STARTUP {
            if self.dice.often(*percent) {
                login = login.with(name, self.dice.pick(values));
            }
        }
        let app = if self.manner.leaves_out(Topic::Resets) { "talk" } else { "another talk" };
        login = login.with("application_name", self.dice.pick(&["talk", app]));
        // Which of two mistakes is found first is nobody's business.
        if self.dice.often(2) {
            login = login.with("no_such_parameter", "1");
        } else if self.dice.often(2) {
            login.database = "no_such_database".into();
        }
        login
    }

    /// The last unit: some leave at once, and some with a question on their lips.
    fn farewell(&mut self) -> Unit {
        let mut sayings = Vec::new();
        if self.dice.often(30) {
            let lines = if self.block == Block::ReadOnly { READS } else { SESSION };
            sayings.push(Saying::Query(self.line(lines).1));
        }
        sayings.push(Saying::Terminate);
        Unit { parts: vec![Part::then(sayings, Until::Closed)], effect: Effect::None }
    }

    fn unit(&mut self) -> Unit {
        if self.block == Block::ReadOnly {
            return self.read_only();
        }
        match self.dice.weigh(&UNITS) {
            Kind::Simple => {
                let (effect, sql) = self.simple();
                Unit::one(vec![Saying::Query(sql)], 1, effect)
            }
            Kind::Transaction => self.transaction(),
            Kind::Ahead => self.ahead(),
            Kind::CopyIn => self.copy_in(),
            Kind::Batch => {
                let (sayings, effect) = self.batch(Effect::Writes);
                Unit::one(sayings, 1, effect)
            }
            Kind::Pipeline => self.pipeline(),
            Kind::Repeated if self.manner.leaves_out(Topic::Named) => self.pipeline(),
            Kind::Repeated => self.repeated(),
            Kind::Flushed => self.flushed(),
            Kind::CopyExtended => self.copy_extended(),
            Kind::Function => self.function(),
            Kind::Close => self.close(),
        }
    }

    /// Fills in a statement's blanks.
    fn fill(&mut self, text: &str) -> String {
        let mut filled = text.replace("{t}", &self.table);
        filled = filled.replace("{channel}", &format!("channel_{}", self.number));
        while filled.contains("{k}") {
            filled = filled.replacen("{k}", &self.dice.between(1, 7).to_string(), 1);
        }
        while filled.contains("{key}") {
            let key = 100 * self.number + self.dice.between(1, 2);
            filled = filled.replacen("{key}", &key.to_string(), 1);
        }
        let name = self.dice.pick(&["q1", "q2"]);
        filled.replace("{name}", name)
    }

    fn line(&mut self, lines: &[Line]) -> (Effect, String) {
        let known: Vec<&Line> = lines.iter().filter(|line| self.manner.says(line)).collect();
        let (effect, _, text) = *self.dice.pick(&known);
        (effect, self.fill(text))
    }

    /// The text of a simple query: mostly one statement.
    fn simple(&mut self) -> (Effect, String) {
        if self.dice.often(12) {
            return self.several();
        }
        let lines = self.dice.weigh(&[
            (30, READS),
            (18, WRITES),
            (6, ERRORS),
            (3, RUBBISH),
            (3, EMPTY),
            (14, SETTINGS),
            (26, SESSION),
            (if self.block == Block::Open { 20 } else { 2 }, TRANSACTIONS),
        ]);
        self.line(lines)
    }

    /// Several statements in one text.
    fn several(&mut self) -> (Effect, String) {
        let mut effect = Effect::None;
        let mut texts = Vec::new();
        let whole = self.block == Block::None && self.dice.often(30);
        let settings = if self.manner.leaves_out(Topic::UntoldSettings) { 0 } else { 10 };
        for _ in 0..self.dice.between(2, 4) {
            let lines = self.dice.weigh(&[
                (30, READS),
                (20, WRITES),
                (5, ERRORS),
                (1, RUBBISH),
                (4, EMPTY),
                (settings, SETTINGS),
                (10, SESSION),
            ]);
            let (of_line, text) = self.line(lines);
            effect = effect.max(of_line);
            // A comment to the end of the line would swallow what follows.
            texts.push(text.replace("-- nothing", ""));
        }
        if whole {
            texts.insert(0, "begin".into());
            texts.push(if self.dice.often(50) { "commit".into() } else { "rollback".into() });
            // If something fails, the transaction stays open.
            self.block = Block::Open;
        }
        (effect, texts.join("; "))
    }

    fn transaction(&mut self) -> Unit {
        let (effect, sql) = if self.block == Block::None {
            if self.dice.often(20) {
                self.block = Block::ReadOnly;
                (Effect::None, "begin read only".into())
            } else {
                self.block = Block::Open;
                self.line(BEGINNINGS)
            }
        } else {
            self.block = Block::None;
            self.line(ENDS)
        };
        Unit::one(vec![Saying::Query(sql)], 1, effect)
    }

    fn read_only(&mut self) -> Unit {
        let lines = self.dice.weigh(&[(50, READS), (8, WRITES_SIMPLE), (8, ERRORS), (30, ENDS)]);
        let (effect, sql) = self.line(lines);
        if lines == ENDS {
            self.block = Block::None;
        }
        Unit::one(vec![Saying::Query(sql)], 1, effect)
    }

    /// Several queries that are sent without waiting for answers.
    fn ahead(&mut self) -> Unit {
        let count = self.dice.between(2, 5);
        let mut effect = Effect::None;
        let mut sayings = Vec::new();
        for _ in 0..count {
            let (mut of_query, mut sql) = self.simple();
            // What follows a write at once might be read before it has been replicated.
            if effect == Effect::Writes && of_query == Effect::Reads {
                (of_query, sql) = (Effect::None, "select 'instead of a read'".to_owned());
            }
            effect = effect.max(of_query);
            sayings.push(Saying::Query(sql));
        }
        Unit::one(sayings, count, effect)
    }

    /// `COPY … FROM STDIN`, by the simple protocol.
    fn copy_in(&mut self) -> Unit {
        let sql = self.copy_text();
        let data = self.copied();
        let query = Saying::Query(sql);
        let parts = if self.dice.often(25) {
            // Sent ahead: if the copy is refused, a server ignores the data.
            let sayings = [vec![query], data].concat();
            vec![Part::then(sayings, Until::Ready(1))]
        } else {
            vec![Part::then(vec![query], Until::Invitation), Part::invited(data, Until::Ready(1))]
        };
        Unit { parts, effect: Effect::Writes }
    }

    fn copy_text(&mut self) -> String {
        if self.dice.often(15) {
            return self.fill("copy no_such_table from stdin");
        }
        let text = self.dice.pick(&["copy {t} from stdin", "copy {t} (id, n, s) from stdin"]);
        self.fill(text)
    }

    /// Copied data and its end.
    fn copied(&mut self) -> Vec<Saying> {
        let mut sayings = Vec::new();
        let first = 100 + self.dice.between(0, 20);
        for at in 0..self.dice.between(0, 6) {
            let id = first + at;
            let row = match self.dice.between(0, 19) {
                0 => "not a number\t1\tx\n".to_owned(),
                1 => "1\t1\tdouble\n".to_owned(),
                _ => format!("{id}\t{at}\tcopied {at}\n"),
            };
            // A row may come in two pieces, and two rows in one.
            if self.dice.often(20) {
                let (one, other) = row.split_at(self.dice.between(1, row.len() - 1));
                sayings.extend([one, other].map(|piece| Saying::CopyData(piece.to_owned())));
            } else {
                sayings.push(Saying::CopyData(row));
            }
        }
        sayings.push(if self.dice.often(25) {
            Saying::CopyFail("the client gives up".into())
        } else {
            Saying::CopyDone
        });
        sayings
    }

    fn function(&mut self) -> Unit {
        let args = |args: &[&str]| args.iter().map(|arg| (*arg).to_owned()).collect();
        // `upper(text)`, `int4pl(int, int)`, `int4div(int, int)`, and none.
        let call =
            match self.dice.between(0, if self.manner.dialect == Dialect::Full { 3 } else { 0 }) {
                0 => Saying::FunctionCall(999_999, Vec::new()),
                1 => Saying::FunctionCall(871, args(&["called"])),
                2 => Saying::FunctionCall(177, args(&["40", "2"])),
                _ => Saying::FunctionCall(154, args(&["1", "0"])),
            };
        Unit::one(vec![call], 1, Effect::None)
    }
}

/// Writes that a standby refuses in the words in which the primary does.
const WRITES_SIMPLE: &[Line] = WRITES;

/// Parameters of the startup packet: how many in a hundred logins have them, and their values.
const STARTUP: &[(usize, &str, &[&str])] = &[
    (20, "client_encoding", &["UTF8", "LATIN1", "utf8"]),
    (15, "DateStyle", &["German", "ISO, MDY"]),
    (20, "TimeZone", &["Asia/Tokyo", "Europe/Berlin", "Etc/UTC"]),
    (10, "extra_float_digits", &["0", "1"]),
    (12, "options", &["-c work_mem=1MB", "-c statement_timeout=60000 -c my.own=x"]),
];

/// Names of prepared statements.
const NAMES: [&str; 3] = ["s1", "s2", "s3"];

#[derive(Clone, Copy, Debug)]
enum Kind {
    Simple,
    Transaction,
    Ahead,
    CopyIn,
    Batch,
    Pipeline,
    Repeated,
    Flushed,
    CopyExtended,
    Function,
    Close,
}

const UNITS: [(usize, Kind); 11] = [
    (36, Kind::Simple),
    (14, Kind::Transaction),
    (6, Kind::Ahead),
    (5, Kind::CopyIn),
    (30, Kind::Batch),
    (8, Kind::Pipeline),
    (5, Kind::Repeated),
    (6, Kind::Flushed),
    (3, Kind::CopyExtended),
    (2, Kind::Function),
    (3, Kind::Close),
];
