//! What was found while reading: mistakes and notes, all of them.

use super::mistake::{Mistake, Problem, Syntax};
use super::note::{Note, NoteKind};

/// What was found so far.
#[derive(Debug, Default)]
pub(super) struct Findings {
    pub(super) mistakes: Vec<Mistake>,
    pub(super) notes: Vec<Note>,
}

impl Findings {
    /// Adds a mistake.
    pub(super) fn mistake(
        &mut self,
        file: &str,
        line: Option<usize>,
        key: Option<&str>,
        problem: impl Into<Problem>,
    ) {
        self.mistakes.push(Mistake {
            file: file.to_owned(),
            line,
            key: key.map(str::to_owned),
            problem: problem.into(),
        });
    }

    /// Adds a note.
    pub(super) fn note(
        &mut self,
        file: &str,
        line: Option<usize>,
        key: Option<&str>,
        kind: NoteKind,
    ) {
        self.notes.push(Note { file: file.to_owned(), line, key: key.map(str::to_owned), kind });
    }

    /// Tells whether a key is in a mistake already, so that its absence needs no second one.
    pub(super) fn blames(&self, key: &str) -> bool {
        self.mistakes.iter().any(|mistake| mistake.key.as_deref() == Some(key))
    }

    /// Tells whether parts of a file could not be read, so that nothing is known to be missing.
    pub(super) fn is_blind(&self) -> bool {
        self.mistakes.iter().any(|mistake| {
            matches!(
                mistake.problem,
                Problem::Syntax(
                    Syntax::Toml(_) | Syntax::OnOff | Syntax::Unreadable(_) | Syntax::NoName
                )
            )
        })
    }

    /// Puts mistakes and notes in the order of the files' lines, `first` before other files and
    /// what concerns no line at the end.
    pub(super) fn sort(&mut self, first: &str) {
        let rank = |file: &str, line: Option<usize>| {
            (file != first, file.to_owned(), line.unwrap_or(usize::MAX))
        };
        self.mistakes.sort_by_cached_key(|mistake| rank(&mistake.file, mistake.line));
        self.notes.sort_by_cached_key(|note| rank(&note.file, note.line));
    }
}
