//! What a statement is counted as.

/// What a statement is counted as, by the first word of its text.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Verb {
    /// `SELECT` and all else that begins a query, and nothing at all, as in Pgpool-II.
    Select,
    /// `INSERT`
    Insert,
    /// `UPDATE`
    Update,
    /// `DELETE`
    Delete,
    /// Data definition.
    Ddl,
    /// Everything else.
    #[default]
    Other,
}

impl Verb {
    /// Every verb, in the order of the columns.
    pub const ALL: [Self; 6] =
        [Self::Select, Self::Insert, Self::Update, Self::Delete, Self::Ddl, Self::Other];

    /// Tells what a text is counted as.
    #[must_use]
    pub fn of(text: &[u8]) -> Self {
        let text = super::tokens::from_first_word(text);
        let start = text.iter().position(|byte| !byte.is_ascii_whitespace() && *byte != b'(');
        let text = text.get(start.unwrap_or(text.len())..).unwrap_or_default();
        let len = text.iter().position(|byte| !byte.is_ascii_alphabetic()).unwrap_or(text.len());
        let word = text.get(..len).unwrap_or_default();
        let is = |other: &str| word.eq_ignore_ascii_case(other.as_bytes());
        if is("select") || is("with") || is("values") || is("table") || text.is_empty() {
            Self::Select
        } else if is("insert") {
            Self::Insert
        } else if is("update") {
            Self::Update
        } else if is("delete") {
            Self::Delete
        } else if DDL.iter().any(|word| is(word)) {
            Self::Ddl
        } else {
            Self::Other
        }
    }

    /// Returns the column of `SHOW pool_backend_stats` that counts it.
    #[must_use]
    pub const fn column(self) -> &'static str {
        match self {
            Self::Select => "select_cnt",
            Self::Insert => "insert_cnt",
            Self::Update => "update_cnt",
            Self::Delete => "delete_cnt",
            Self::Ddl => "ddl_cnt",
            Self::Other => "other_cnt",
        }
    }

    /// Returns its place among [all](Self::ALL).
    #[must_use]
    pub const fn index(self) -> usize {
        self as usize
    }
}

/// Words that begin data definition.
const DDL: [&str; 12] = [
    "create", "alter", "drop", "truncate", "comment", "grant", "revoke", "reindex", "refresh",
    "security", "import", "reassign",
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn texts_are_counted_by_their_first_word() {
        let cases = [
            ("SELECT 1", Verb::Select),
            ("  (select 1) union select 2", Verb::Select),
            ("with x as (select 1) select * from x", Verb::Select),
            ("values (1)", Verb::Select),
            ("", Verb::Select),
            ("Insert into t values (1)", Verb::Insert),
            ("update t set n = 1", Verb::Update),
            ("DELETE FROM t", Verb::Delete),
            ("create table t (n int)", Verb::Ddl),
            ("TRUNCATE t", Verb::Ddl),
            ("begin", Verb::Other),
            ("selection", Verb::Other),
            ("vacuum", Verb::Other),
        ];
        for (text, verb) in cases {
            assert_eq!(Verb::of(text.as_bytes()), verb, "{text}");
        }
    }
}
