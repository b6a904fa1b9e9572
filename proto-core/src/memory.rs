//! What is remembered of the nodes when pgherd is started anew: the text of two small files.
//!
//! `pgpool_status` is Pgpool-II's, in its format: a line for each node, `up`, `down` or `unused`.
//! It cannot say why a node is down, and a node that was merely lost must not stay so when it is
//! well. So there is `pgherd_status` beside it, which names the nodes that the operator has detached,
//! those that may take writes beside the primary, and the last primary, each with its host and port:
//! a number may be given to another server. It names the cluster that they are of. And it tells what `pgpool_status` said then. Where that
//! says something else now, it counts only as far as both agree: whoever has run Pgpool-II meanwhile,
//! or has removed that file, has had the last word.

use std::collections::BTreeSet;
use std::fmt;

use crate::id::BackendId;
use crate::limits;

/// Pgpool-II's file.
pub const PGPOOL_STATUS: &str = "pgpool_status";

/// What Pgpool-II's file cannot say.
pub const PGHERD_STATUS: &str = "pgherd_status";

/// What is remembered.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Memory {
    /// The nodes that the operator has detached.
    pub detached: BTreeSet<Known>,
    /// The nodes that may take writes beside the primary.
    pub fenced: BTreeSet<Known>,
    /// The last primary.
    pub primary: Option<Known>,
    /// The cluster that it was of, by the number that `initdb` gave it.
    pub cluster: Option<u64>,
    /// What `pgpool_status` says.
    pub statuses: Statuses,
}

/// A node, by its number then and by what it was.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Known {
    /// Its number.
    pub id: BackendId,
    /// Its host and port, `host:port`; none if they were not written down.
    pub place: Option<String>,
}

impl fmt::Display for Known {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.place {
            Some(place) => write!(f, "node {} ({place})", self.id),
            None => write!(f, "node {}", self.id),
        }
    }
}

/// The lines of `pgpool_status`, one for each number.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Statuses(Vec<Status>);

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Status {
    Up,
    Down,
    Unused,
}

impl Status {
    const ALL: [Self; 3] = [Self::Up, Self::Down, Self::Unused];

    const fn word(self) -> &'static str {
        match self {
            Self::Up => "up",
            Self::Down => "down",
            Self::Unused => "unused",
        }
    }
}

/// The files, as they are to be written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Texts {
    /// `pgpool_status`; none where no node was ever up.
    pub pgpool_status: Option<String>,
    /// `pgherd_status`.
    pub pgherd_status: String,
}

/// A file that says nothing that can be understood.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Nonsense {
    /// Which one.
    pub file: &'static str,
    /// The first line that is none, counted from one.
    pub line: usize,
}

impl fmt::Display for Nonsense {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}: this is no line of such a file", self.file, self.line)
    }
}

impl Memory {
    /// Reads the files; one that is not there says nothing.
    ///
    /// # Errors
    /// A file cannot be understood: then neither counts.
    pub fn read(pgpool: Option<&str>, pgherd: Option<&str>) -> Result<Self, Nonsense> {
        let statuses = Statuses::read(pgpool.unwrap_or_default())?;
        let (mut memory, written) = own(pgherd.unwrap_or_default())?;
        if written.as_ref() != Some(&statuses) {
            memory.detached.retain(|node| statuses.has_down(node.id));
            memory.fenced.retain(|node| statuses.has_down(node.id));
        }
        memory.statuses = statuses;
        Ok(memory)
    }

    /// Takes note of which nodes are in service: these are configured, in the order of their
    /// numbers. Where none is, what was last noted stays, as in Pgpool-II.
    pub fn note(&mut self, nodes: &[(BackendId, bool)]) {
        if nodes.iter().any(|(_, is_up)| *is_up) {
            let last = nodes.iter().map(|(id, _)| id.0).max().unwrap_or_default();
            let status = |number: u8| match nodes.iter().find(|(id, _)| id.0 == number) {
                Some((_, true)) => Status::Up,
                Some((_, false)) => Status::Down,
                None => Status::Unused,
            };
            self.statuses = Statuses((0..=last).map(status).collect());
        }
    }

    /// Composes the files.
    #[must_use]
    pub fn texts(&self) -> Texts {
        let mut own = String::new();
        let detached = self.detached.iter().map(|node| (node, DETACHED));
        let fenced = self.fenced.iter().map(|node| (node, FENCED));
        let primary = self.primary.iter().map(|node| (node, PRIMARY));
        for (node, word) in detached.chain(fenced).chain(primary) {
            let place = node.place.as_ref().map(|place| format!(" {place}")).unwrap_or_default();
            own.push_str(&format!("{} {word}{place}\n", node.id));
        }
        if let Some(cluster) = self.cluster {
            own.push_str(&format!("{CLUSTER} {cluster}\n"));
        }
        let words: Vec<&str> = self.statuses.0.iter().map(|status| status.word()).collect();
        own.push_str(&format!("{}\n", [&[PGPOOL_STATUS], words.as_slice()].concat().join(" ")));
        let lines: String = words.iter().map(|word| format!("{word}\n")).collect();
        let pgpool_status = (!lines.is_empty()).then_some(lines);
        Texts { pgpool_status, pgherd_status: own }
    }
}

impl Statuses {
    /// Reads `pgpool_status`. As in Pgpool-II, the rest of a line does not matter.
    fn read(text: &str) -> Result<Self, Nonsense> {
        let status = |(at, line): (usize, &str)| {
            let begins = |status: &Status| {
                let begin = line.get(..status.word().len());
                begin.is_some_and(|begin| begin.eq_ignore_ascii_case(status.word()))
            };
            let found = Status::ALL.into_iter().find(begins).filter(|_| at < limits::BACKENDS_MAX);
            found.ok_or(Nonsense { file: PGPOOL_STATUS, line: at + 1 })
        };
        text.lines().enumerate().map(status).collect::<Result<_, _>>().map(Self)
    }

    /// Whether a node is down. As in Pgpool-II, a file in which none is up is ignored.
    fn has_down(&self, id: BackendId) -> bool {
        self.0.contains(&Status::Up) && self.0.get(usize::from(id.0)) == Some(&Status::Down)
    }
}

const DETACHED: &str = "detached";
const FENCED: &str = "fenced";
const PRIMARY: &str = "primary";
const CLUSTER: &str = "cluster";

/// Reads `pgherd_status`, and what `pgpool_status` said when it was written.
fn own(text: &str) -> Result<(Memory, Option<Statuses>), Nonsense> {
    let (mut memory, mut written) = (Memory::default(), None);
    for (at, line) in text.lines().enumerate() {
        let nonsense = || Nonsense { file: PGHERD_STATUS, line: at + 1 };
        if let Some(words) = line.strip_prefix(PGPOOL_STATUS) {
            let status = |word| Status::ALL.into_iter().find(|status| status.word() == word);
            let statuses: Option<_> = words.split_ascii_whitespace().map(status).collect();
            written = Some(Statuses(statuses.ok_or_else(nonsense)?));
            continue;
        }
        if let Some(number) = line.strip_prefix(CLUSTER) {
            memory.cluster = Some(number.trim().parse().map_err(|_| nonsense())?);
            continue;
        }
        let mut words = line.splitn(3, ' ');
        let id = words.next().and_then(|number| number.parse().ok());
        let id: u8 =
            id.filter(|id| usize::from(*id) < limits::BACKENDS_MAX).ok_or_else(nonsense)?;
        let word = words.next();
        let node = Known { id: BackendId(id), place: words.next().map(str::to_owned) };
        match word {
            Some(DETACHED) => drop(memory.detached.insert(node)),
            Some(FENCED) => drop(memory.fenced.insert(node)),
            Some(PRIMARY) => memory.primary = Some(node),
            Some(_) | None => return Err(nonsense()),
        }
    }
    Ok((memory, written))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const ID: [BackendId; 4] = [BackendId(0), BackendId(1), BackendId(2), BackendId(3)];

    fn known(id: BackendId) -> Known {
        Known { id, place: Some(format!("node{id}:5432")) }
    }

    fn nameless(id: BackendId) -> Known {
        Known { id, place: None }
    }

    #[test]
    fn the_files_are_those_of_pgpool_and_our_own() {
        let mut memory = Memory {
            detached: BTreeSet::from([known(ID[3])]),
            fenced: BTreeSet::from([known(ID[1])]),
            primary: Some(known(ID[0])),
            cluster: Some(7_123_456_789_012_345_678),
            statuses: Statuses::default(),
        };
        memory.note(&[(ID[0], true), (ID[1], false), (ID[3], false)]);
        let pgherd = "3 detached node3:5432\n1 fenced node1:5432\n0 primary node0:5432\n\
                      cluster 7123456789012345678\npgpool_status up down unused down\n";
        let texts = memory.texts();
        assert_eq!(texts.pgpool_status.as_deref(), Some("up\ndown\nunused\ndown\n"));
        assert_eq!(texts.pgherd_status, pgherd);
        memory.note(&[(ID[0], false), (ID[1], false), (ID[3], false)]);
        assert_eq!(memory.texts(), texts, "the last one at which somebody was up is kept");
        let mut fresh = Memory::default();
        fresh.note(&[(ID[0], false)]);
        assert_eq!(fresh.texts().pgpool_status, None, "nobody was ever up");
    }

    #[test]
    fn what_is_down_and_not_detached_is_not_kept_out() {
        type Case<'a> = (&'a str, Option<&'a str>, Option<&'a str>, Result<&'a [u8], usize>);
        let cases: &[Case<'_>] = &[
            ("nothing", None, None, Ok(&[])),
            ("Pgpool-II's alone", Some("up\ndown\n"), None, Ok(&[])),
            ("both", Some("up\ndown\ndown\n"), Some("1 detached\n0 primary\n"), Ok(&[1])),
            ("Pgpool-II has attached it", Some("up\nup\n"), Some("1 detached\n"), Ok(&[])),
            (
                "the same, and all are detached",
                Some("down\nup\n"),
                Some("0 detached\n1 detached\npgpool_status down down\n"),
                Ok(&[0]),
            ),
            ("its file was removed", None, Some("1 detached\npgpool_status up down\n"), Ok(&[])),
            ("nobody was up", Some("down\ndown\n"), Some("1 detached\n"), Ok(&[])),
            (
                "the last one was detached",
                Some("up\ndown\n"),
                Some("0 detached\n1 detached\npgpool_status up down\n"),
                Ok(&[0, 1]),
            ),
            ("nobody ever was up", None, Some("0 detached\npgpool_status\n"), Ok(&[0])),
            ("in any case", Some("UP\nDown\n"), Some("1 detached\n"), Ok(&[1])),
            ("nonsense", Some("up\n\u{1}\n"), None, Err(2)),
            ("nonsense of ours", Some("up\n"), Some("one detached\n"), Err(1)),
            ("a number too big", Some("up\n"), Some("0 primary\n128 detached\n"), Err(2)),
            ("a word that is none", Some("up\n"), Some("pgpool_status so\n"), Err(1)),
        ];
        for (name, pgpool, pgherd, expected) in cases {
            let read = Memory::read(*pgpool, *pgherd).map_err(|nonsense| nonsense.line);
            let detached = read.map(|memory| memory.detached);
            let expected =
                expected.map(|ids| ids.iter().map(|id| nameless(BackendId(*id))).collect());
            assert_eq!(detached, expected, "{name}");
        }
    }

    proptest! {
        /// What is written is read again.
        #[test]
        fn memory_survives_a_restart(up in proptest::collection::vec(any::<bool>(), 2..9)) {
            let nodes: Vec<_> = (0u8..).map(BackendId).zip(up.iter().copied()).collect();
            let down = || nodes.iter().filter(|(_, is_up)| !is_up).map(|(id, _)| known(*id));
            let mut memory = Memory {
                detached: down().collect(),
                fenced: down().collect(),
                primary: Some(known(BackendId(1))),
                cluster: Some(u64::MAX),
                statuses: Statuses::default(),
            };
            memory.note(&nodes);
            let texts = memory.texts();
            let read = Memory::read(texts.pgpool_status.as_deref(), Some(&texts.pgherd_status));
            prop_assert_eq!(read, Ok(memory));
        }

        /// No text is taken for more than it says, nor breaks anything.
        #[test]
        fn any_text_is_read_or_refused(text in ".{0,40}") {
            let _ = Memory::read(Some(&text), Some(&text));
        }
    }
}
