//! What is remembered of the nodes when pgherd is started anew: the text of two small files.
//!
//! `pgpool_status` is Pgpool-II's, in its format: a line for each node, `up`, `down` or `unused`.
//! It cannot say why a node is down, and a node that was merely lost must not stay so when it is
//! well. So there is `pgherd_status` beside it, which names the nodes that the operator has detached
//! and the last primary. What it says counts only as far as `pgpool_status` agrees: whoever has run
//! Pgpool-II meanwhile, or has removed that file, has had the last word.

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
    pub detached: BTreeSet<BackendId>,
    /// The last primary.
    pub primary: Option<BackendId>,
}

/// The files, as they are to be written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Texts {
    /// `pgpool_status`; none is to be left as it is, as Pgpool-II does where all nodes are down.
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
        let down = down(pgpool.unwrap_or_default())?;
        let mut memory = own(pgherd.unwrap_or_default())?;
        memory.detached.retain(|id| down.contains(id));
        Ok(memory)
    }

    /// Composes the files. `nodes` are the configured ones, in the order of their numbers, and
    /// whether each is in service.
    #[must_use]
    pub fn texts(&self, nodes: &[(BackendId, bool)]) -> Texts {
        let last = nodes.iter().map(|(id, _)| id.0).max().unwrap_or_default();
        let word = |number: u8| match nodes.iter().find(|(id, _)| id.0 == number) {
            Some((_, true)) => "up\n",
            Some((_, false)) => "down\n",
            None => "unused\n",
        };
        let is_any_up = nodes.iter().any(|(_, is_up)| *is_up);
        let detached = self.detached.iter().map(|id| format!("{id} detached\n"));
        let primary = self.primary.iter().map(|id| format!("{id} primary\n"));
        Texts {
            pgpool_status: is_any_up.then(|| (0..=last).map(word).collect()),
            pgherd_status: detached.chain(primary).collect(),
        }
    }
}

/// Reads which nodes are down. As in Pgpool-II, a file in which none is up is ignored, and the rest
/// of a line does not matter.
fn down(text: &str) -> Result<BTreeSet<BackendId>, Nonsense> {
    let (mut down, mut is_any_up) = (BTreeSet::new(), false);
    for (at, line) in text.lines().enumerate() {
        let begins = |word: &str| {
            line.get(..word.len()).is_some_and(|begin| begin.eq_ignore_ascii_case(word))
        };
        match (u8::try_from(at), begins("up"), begins("down")) {
            (Ok(_), true, _) => is_any_up = true,
            (Ok(number), _, true) => {
                down.insert(BackendId(number));
            }
            (Ok(_), ..) if begins("unused") && at < limits::BACKENDS_MAX => {}
            (..) => return Err(Nonsense { file: PGPOOL_STATUS, line: at + 1 }),
        }
    }
    Ok(if is_any_up { down } else { BTreeSet::new() })
}

fn own(text: &str) -> Result<Memory, Nonsense> {
    let mut memory = Memory::default();
    for (at, line) in text.lines().enumerate() {
        let node = line.split_once(' ').and_then(|(number, word)| {
            let number: u8 = number.parse().ok()?;
            (usize::from(number) < limits::BACKENDS_MAX).then_some((BackendId(number), word))
        });
        match node {
            Some((id, "detached")) => {
                memory.detached.insert(id);
            }
            Some((id, "primary")) => memory.primary = Some(id),
            Some(_) | None => return Err(Nonsense { file: PGHERD_STATUS, line: at + 1 }),
        }
    }
    Ok(memory)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const ID: [BackendId; 4] = [BackendId(0), BackendId(1), BackendId(2), BackendId(3)];

    fn memory(detached: &[BackendId], primary: Option<BackendId>) -> Memory {
        Memory { detached: detached.iter().copied().collect(), primary }
    }

    #[test]
    fn the_files_are_those_of_pgpool_and_our_own() {
        let texts =
            memory(&[ID[3]], Some(ID[0])).texts(&[(ID[0], true), (ID[1], false), (ID[3], false)]);
        assert_eq!(texts.pgpool_status.as_deref(), Some("up\ndown\nunused\ndown\n"));
        assert_eq!(texts.pgherd_status, "3 detached\n0 primary\n");
        let none = memory(&[], None).texts(&[(ID[0], false)]);
        assert_eq!(none.pgpool_status, None, "the last one at which somebody was up is kept");
    }

    #[test]
    fn what_is_down_and_not_detached_is_not_kept_out() {
        type Case<'a> = (&'a str, Option<&'a str>, Option<&'a str>, Result<Memory, usize>);
        let cases: &[Case<'_>] = &[
            ("nothing", None, None, Ok(memory(&[], None))),
            ("Pgpool-II's alone", Some("up\ndown\n"), None, Ok(memory(&[], None))),
            (
                "both",
                Some("up\ndown\ndown\n"),
                Some("1 detached\n0 primary\n"),
                Ok(memory(&[ID[1]], Some(ID[0]))),
            ),
            (
                "Pgpool-II has attached it",
                Some("up\nup\n"),
                Some("1 detached\n"),
                Ok(memory(&[], None)),
            ),
            ("its file was removed", None, Some("1 detached\n"), Ok(memory(&[], None))),
            ("nobody was up", Some("down\ndown\n"), Some("1 detached\n"), Ok(memory(&[], None))),
            ("in any case", Some("UP\nDown\n"), Some("1 detached\n"), Ok(memory(&[ID[1]], None))),
            ("nonsense", Some("up\n\u{1}\n"), None, Err(2)),
            ("nonsense of ours", Some("up\n"), Some("one detached\n"), Err(1)),
            ("a number too big", Some("up\n"), Some("0 primary\n128 detached\n"), Err(2)),
        ];
        for (name, pgpool, pgherd, expected) in cases {
            let read = Memory::read(*pgpool, *pgherd).map_err(|nonsense| nonsense.line);
            assert_eq!(read, *expected, "{name}");
        }
    }

    proptest! {
        /// What is written is read again.
        #[test]
        fn memory_survives_a_restart(up in proptest::collection::vec(any::<bool>(), 2..9)) {
            let nodes: Vec<_> = (0u8..).map(BackendId).zip(up.iter().copied()).collect();
            let down = nodes.iter().filter(|(_, is_up)| !is_up).map(|(id, _)| *id);
            let memory = Memory { detached: down.collect(), primary: Some(BackendId(1)) };
            let texts = memory.texts(&nodes);
            let read = Memory::read(texts.pgpool_status.as_deref(), Some(&texts.pgherd_status));
            match texts.pgpool_status {
                Some(_) => prop_assert_eq!(read, Ok(memory)),
                None => prop_assert_eq!(read.unwrap().detached, BTreeSet::new()),
            }
        }

        /// No text is taken for more than it says, nor breaks anything.
        #[test]
        fn any_text_is_read_or_refused(text in ".{0,40}") {
            let _ = Memory::read(Some(&text), Some(&text));
        }
    }
}
