//! What is wrong with a configuration: where, what, and the way out.

mod herd;
mod naming;
mod pools;
mod syntax;
mod unfit;

pub use herd::Herd;
pub use naming::Naming;
pub use pools::Pools;
pub use syntax::Syntax;
pub use unfit::Unfit;

use std::fmt;

/// Something wrong. It prints as one line: `file:line: key: what; way out`.
#[derive(Debug)]
pub struct Mistake {
    /// The file it is in.
    pub file: String,
    /// Its line, counted from one; none where something is missing altogether.
    pub line: Option<usize>,
    /// The key as written, if a key is known.
    pub key: Option<String>,
    /// What is wrong.
    pub problem: Problem,
}

/// What is wrong.
///
/// No variant holds the value of a secret, so all of them may be logged.
#[derive(Debug)]
pub enum Problem {
    /// The file cannot be read as settings.
    Syntax(Syntax),
    /// The key is none, or not here.
    Naming(Naming),
    /// The value does not fit its key.
    Unfit(Unfit),
    /// The values together make no herd that could be served.
    Herd(Herd),
    /// Pools contradict themselves or one another.
    Pools(Pools),
}

/// What is wrong, and the way out: two clauses for people.
struct Words {
    what: String,
    way_out: String,
}

impl Words {
    fn new(what: impl Into<String>, way_out: impl Into<String>) -> Self {
        Self { what: what.into(), way_out: way_out.into() }
    }
}

impl Mistake {
    /// Says what to do about it.
    #[must_use]
    pub fn suggestion(&self) -> String {
        self.words().way_out
    }

    fn words(&self) -> Words {
        let key = self.key.as_deref().unwrap_or("name");
        match &self.problem {
            Problem::Syntax(syntax) => syntax.words(key),
            Problem::Naming(naming) => naming.words(key),
            Problem::Unfit(unfit) => unfit.words(),
            Problem::Herd(herd) => herd.words(key),
            Problem::Pools(pools) => pools.words(key),
        }
    }
}

impl fmt::Display for Mistake {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write_place(f, &self.file, self.line, self.key.as_deref())?;
        let Words { what, way_out } = self.words();
        write!(f, "{what}; {way_out}")
    }
}

impl std::error::Error for Mistake {}

impl From<Syntax> for Problem {
    fn from(syntax: Syntax) -> Self {
        Self::Syntax(syntax)
    }
}

impl From<Naming> for Problem {
    fn from(naming: Naming) -> Self {
        Self::Naming(naming)
    }
}

impl From<Unfit> for Problem {
    fn from(unfit: Unfit) -> Self {
        Self::Unfit(unfit)
    }
}

impl From<Herd> for Problem {
    fn from(herd: Herd) -> Self {
        Self::Herd(herd)
    }
}

impl From<Pools> for Problem {
    fn from(pools: Pools) -> Self {
        Self::Pools(pools)
    }
}

/// Writes `file:line: key: `, as far as it is known. A key comes from the file, so control
/// characters in it are escaped: they could forge a line of the log.
pub(super) fn write_place(
    f: &mut fmt::Formatter<'_>,
    file: &str,
    line: Option<usize>,
    key: Option<&str>,
) -> fmt::Result {
    f.write_str(file)?;
    if let Some(line) = line {
        write!(f, ":{line}")?;
    }
    f.write_str(": ")?;
    match key {
        Some(key) => write!(f, "{}: ", shown(key)),
        None => Ok(()),
    }
}

/// Makes a piece of a file fit for one line: escaped, and cut where it is long.
pub(super) fn shown(text: &str) -> String {
    let mut line = String::new();
    for letter in text.chars().take(LONGEST_SHOWN) {
        if letter.is_control() {
            line.extend(letter.escape_default());
        } else {
            line.push(letter);
        }
    }
    if text.chars().nth(LONGEST_SHOWN).is_some() {
        line.push('…');
    }
    line
}

/// As much of a value as a message repeats, in characters: enough to recognise it.
const LONGEST_SHOWN: usize = 60;
