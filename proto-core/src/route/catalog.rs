//! What a database's catalog tells that texts do not: which functions are volatile, which tables
//! no standby has.
//!
//! Names count in every schema, as in Pgpool-II: a text does not tell where an unqualified name
//! leads, and the stricter of two namesakes is right for both.

use std::collections::{BTreeMap, BTreeSet};

use super::class::Isolation;
use crate::limits;

/// The question, asked once per database and again from time to time: rows of three columns, the
/// kind of fact, a name, and a detail.
///
/// - `f`: a function outside of `pg_catalog`, by its name in any schema. The detail is `v` if one
///   of that name is volatile, `s` if one also sets parameters for the session, else empty.
/// - `u`: an unlogged relation, by its name in any schema. The detail is empty.
/// - `q`: a sequence, by its name in any schema. The detail is empty.
/// - `i`: the isolation level of transactions that name none; the detail is empty.
///
/// PostgreSQL docs, "System Catalogs": `pg_proc.provolatile`, `pg_class.relpersistence`. No operator
/// needs a conversion, for the reason that `backend::audit` has.
pub const QUERY: &str = "SELECT 'f', proname::text, CASE \
    WHEN pg_catalog.bool_or(prosrc ~* '\\mset_config\\M|\\mset\\s+(session\\s+)?[a-z_]+\\s*\\.') \
      THEN 's' \
    WHEN pg_catalog.bool_or(provolatile = 'v') THEN 'v' ELSE '' END \
    FROM pg_catalog.pg_proc \
    WHERE pronamespace <> 'pg_catalog'::pg_catalog.regnamespace::pg_catalog.oid GROUP BY proname \
    UNION ALL SELECT 'u', relname::text, '' FROM pg_catalog.pg_class \
      WHERE relpersistence = 'u' AND relkind IN ('r', 'p', 'm', 'S') \
    UNION ALL SELECT 'q', relname::text, '' FROM pg_catalog.pg_class WHERE relkind = 'S' \
    UNION ALL SELECT 'i', pg_catalog.current_setting('default_transaction_isolation'), ''";

/// The facts of one database. The default one knows nothing.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Catalog {
    functions: BTreeMap<Box<str>, Function>,
    unlogged: BTreeSet<Box<str>>,
    sequences: BTreeSet<Box<str>>,
    isolation: Option<Isolation>,
}

/// What the catalog tells of the functions of one name.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Function {
    /// All of them are stable or immutable.
    Reads,
    /// One of them is volatile.
    Volatile,
    /// One of them sets parameters of the session.
    SetsParameters,
}

/// A catalog that knows nothing.
static UNKNOWN: Catalog = Catalog::unknown();

impl Catalog {
    /// Makes a catalog that knows nothing.
    #[must_use]
    pub const fn unknown() -> Self {
        Self {
            functions: BTreeMap::new(),
            unlogged: BTreeSet::new(),
            sequences: BTreeSet::new(),
            isolation: None,
        }
    }

    /// Lends a catalog that knows nothing.
    #[must_use]
    pub fn nothing() -> &'static Self {
        &UNKNOWN
    }

    /// Looks a function up by its name without schema; none if there is no fact about it.
    #[must_use]
    pub fn function(&self, name: &str) -> Option<Function> {
        self.functions.get(name).copied()
    }

    /// Tells whether a relation of this name is unlogged, so that no standby has its rows.
    #[must_use]
    pub fn is_unlogged(&self, name: &str) -> bool {
        self.unlogged.contains(name)
    }

    /// Tells whether a sequence has this name. A standby sees one ahead of its time.
    #[must_use]
    pub fn is_sequence(&self, name: &str) -> bool {
        self.sequences.contains(name)
    }

    /// Returns the isolation level of transactions that name none, if it is known.
    #[must_use]
    pub const fn isolation(&self) -> Option<Isolation> {
        self.isolation
    }
}

/// Reads the rows of [`QUERY`].
#[derive(Debug, Default)]
pub struct Reader {
    catalog: Catalog,
    state: State,
    facts: usize,
    bytes: usize,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum State {
    #[default]
    Reading,
    /// There was too much of it, or it was of another shape.
    Spoilt,
}

impl Reader {
    /// Makes a reader that has read nothing.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Takes the body of a `DataRow`.
    pub fn row(&mut self, body: &[u8]) {
        match columns(body) {
            Some(columns) => self.fact(columns),
            None => self.spoil(),
        }
    }

    /// Takes a row by its columns: the kind of fact, a name, a detail.
    pub fn fact(&mut self, columns: [&[u8]; 3]) {
        if self.state == State::Spoilt {
            return;
        }
        let [kind, name, detail] = columns;
        self.facts += 1;
        self.bytes += name.len();
        let too_many =
            self.facts > limits::CATALOG_FACTS_MAX || self.bytes > limits::CATALOG_NAMES_LEN_MAX;
        let Some(name) = std::str::from_utf8(name).ok().filter(|_| !too_many) else {
            return self.spoil();
        };
        match (kind, detail) {
            (b"f", detail) => {
                let function = match detail {
                    b"" => Function::Reads,
                    b"s" => Function::SetsParameters,
                    _ => Function::Volatile,
                };
                let known = self.catalog.functions.entry(name.into()).or_insert(function);
                *known = function.max(*known);
            }
            (b"u", _) => {
                self.catalog.unlogged.insert(name.into());
            }
            (b"q", _) => {
                self.catalog.sequences.insert(name.into());
            }
            (b"i", _) => self.catalog.isolation = isolation(name),
            _ => self.spoil(),
        }
    }

    /// Returns what was read: all of it, or nothing if there was too much.
    #[must_use]
    pub fn finish(self) -> Catalog {
        self.catalog
    }

    fn spoil(&mut self) {
        self.state = State::Spoilt;
        self.catalog = Catalog::default();
    }
}

fn isolation(name: &str) -> Option<Isolation> {
    Some(match name {
        "serializable" => Isolation::Serializable,
        "repeatable read" => Isolation::RepeatableRead,
        "read committed" => Isolation::ReadCommitted,
        "read uncommitted" => Isolation::ReadUncommitted,
        _ => return None,
    })
}

/// Reads the three columns of a `DataRow`.
fn columns(body: &[u8]) -> Option<[&[u8]; 3]> {
    let (count, mut rest) = body.split_first_chunk::<2>()?;
    let mut column = || {
        let (len, after) = rest.split_first_chunk::<4>()?;
        let len = usize::try_from(i32::from_be_bytes(*len)).ok()?;
        let (value, after) = after.split_at_checked(len)?;
        rest = after;
        Some(value)
    };
    if *count == [0, 3] { Some([column()?, column()?, column()?]) } else { None }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(rows: &[[&str; 3]]) -> Catalog {
        let mut reader = Reader::new();
        rows.iter().for_each(|row| reader.fact(row.map(str::as_bytes)));
        reader.finish()
    }

    #[test]
    fn facts_are_looked_up_by_name() {
        let catalog = read(&[
            ["f", "total", ""],
            ["f", "buy", "v"],
            ["f", "tune", "s"],
            ["f", "Mixed", "v"],
            ["f", "Mixed", ""],
            ["u", "scratch", ""],
            ["q", "t_id_seq", ""],
            ["i", "read committed", ""],
        ]);
        let functions = [
            ("total", Some(Function::Reads)),
            ("buy", Some(Function::Volatile)),
            ("tune", Some(Function::SetsParameters)),
            ("Mixed", Some(Function::Volatile)),
            ("mixed", None),
        ];
        for (name, expected) in functions {
            assert_eq!(catalog.function(name), expected, "{name}");
        }
        assert!(catalog.is_unlogged("scratch") && !catalog.is_unlogged("t"));
        assert!(catalog.is_sequence("t_id_seq") && !catalog.is_sequence("scratch"));
        assert_eq!(catalog.isolation(), Some(Isolation::ReadCommitted));
    }

    #[test]
    fn too_much_is_nothing() {
        let mut reader = Reader::new();
        for number in 0..=limits::CATALOG_FACTS_MAX {
            reader.fact([b"f", number.to_string().as_bytes(), b""]);
        }
        assert_eq!(reader.finish(), Catalog::default());
        let mut reader = Reader::new();
        let long = vec![b'x'; limits::CATALOG_NAMES_LEN_MAX + 1];
        reader.fact([b"f", b"known", b""]);
        reader.fact([b"f", &long, b""]);
        reader.fact([b"f", b"other", b""]);
        assert_eq!(reader.finish(), Catalog::default());
    }

    #[test]
    fn rows_are_read_and_rubbish_is_nothing() {
        let row = b"\0\x03\0\0\0\x01u\0\0\0\x01t\0\0\0\0";
        let cases: [(&[u8], bool); 5] = [
            (row, true),
            (&row[..12], false),
            (b"\0\x02\0\0\0\x01u\0\0\0\x01t", false),
            (b"\0\x03\0\0\0\x01x\0\0\0\x01t\0\0\0\0", false),
            (b"\0\x03\0\0\0\x01u\xff\xff\xff\xff\0\0\0\0", false),
        ];
        for (body, expected) in cases {
            let mut reader = Reader::new();
            reader.row(body);
            assert_eq!(reader.finish().is_unlogged("t"), expected, "{body:?}");
        }
    }
}
