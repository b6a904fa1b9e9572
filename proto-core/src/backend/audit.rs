//! What a server session still holds that no other connection has.
//!
//! A text tells what a statement may leave behind, not whether it did, nor whether another
//! statement has taken it away again. The server knows: after statements in doubt, and outside
//! transactions, it is asked. The answer decides whether a session is pinned to its connection.

/// The question, one row of eight columns: channels listened to, what is in the session's
/// temporary schema, held cursors, advisory locks, statements made by `PREPARE`, parameters set in
/// the session (their names, separated by commas), whether the role is another than the one that a
/// login brings, the session's user.
///
/// PostgreSQL docs, "System Views": `pg_cursors`, `pg_locks`, `pg_prepared_statements`,
/// `pg_settings`. Parameters of extensions that are not loaded are in none of them. Nor is the role,
/// so that what `RESET ROLE` would come back to is looked up as a login does it: what was said of
/// the user in this database counts most, what was said of all users in none least, and a role that
/// the user may not take on is passed over.
///
/// It runs with the client's `search_path`, on which anybody may have put operators and functions of
/// the same names. So every function is named with its schema, and no operator needs a conversion:
/// one of `pg_catalog` for just these types comes before all others, unless the client has put a
/// schema in front of it, where all of its own queries look first, too (PostgreSQL docs, "Operator
/// Type Resolution"; CVE-2018-1058).
pub const QUERY: &str = "SELECT \
    (SELECT pg_catalog.count(*) FROM pg_catalog.pg_listening_channels()), \
    (SELECT pg_catalog.count(*) FROM pg_catalog.pg_depend \
      WHERE refclassid = 'pg_catalog.pg_namespace'::pg_catalog.regclass::pg_catalog.oid \
      AND refobjid = pg_catalog.pg_my_temp_schema()), \
    (SELECT pg_catalog.count(*) FROM pg_catalog.pg_cursors WHERE is_holdable), \
    (SELECT pg_catalog.count(*) FROM pg_catalog.pg_locks \
      WHERE locktype = 'advisory' AND pid = pg_catalog.pg_backend_pid()), \
    (SELECT pg_catalog.count(*) FROM pg_catalog.pg_prepared_statements WHERE from_sql), \
    (SELECT pg_catalog.string_agg(pg_catalog.lower(name), ',') FROM pg_catalog.pg_settings \
      WHERE source = 'session'), \
    pg_catalog.current_setting('role') <> coalesce( \
      (SELECT pg_catalog.substr(entry, 6) \
        FROM pg_catalog.pg_db_role_setting, pg_catalog.unnest(setconfig) AS entry \
        LEFT JOIN pg_catalog.pg_roles AS r ON r.rolname = pg_catalog.substr(entry, 6) \
        WHERE entry LIKE 'role=%' \
        AND (pg_catalog.substr(entry, 6) = 'none' \
          OR pg_catalog.pg_has_role(session_user, r.oid, 'MEMBER')) \
        AND (setdatabase = '0'::pg_catalog.oid \
          OR setdatabase = (SELECT oid FROM pg_catalog.pg_database \
            WHERE datname = pg_catalog.current_database())) \
        AND (setrole = '0'::pg_catalog.oid \
          OR setrole = (SELECT oid FROM pg_catalog.pg_roles WHERE rolname = session_user)) \
        ORDER BY setrole = '0'::pg_catalog.oid, setdatabase = '0'::pg_catalog.oid LIMIT 1), \
      'none'), \
    session_user";

/// What pins a session to its connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Pin {
    /// It listens to a channel.
    Listen,
    /// It has temporary relations.
    Temporary,
    /// It has a cursor that was declared `WITH HOLD`.
    HeldCursor,
    /// It holds an advisory lock.
    AdvisoryLock,
    /// It has statements of SQL's `PREPARE`.
    Prepared,
    /// It has set parameters in a way that cannot be repeated on another connection.
    Setting,
    /// It has taken on another role or another user's identity.
    Role,
    /// It has a prepared statement that is too long to be kept for another connection.
    Statement,
    /// The server did not tell what it holds.
    Unknown,
}

impl Pin {
    /// Every one, in the order in which they are shown.
    pub const ALL: [Self; 9] = [
        Self::Listen,
        Self::Temporary,
        Self::HeldCursor,
        Self::AdvisoryLock,
        Self::Prepared,
        Self::Setting,
        Self::Role,
        Self::Statement,
        Self::Unknown,
    ];

    /// The word that it is shown by.
    #[must_use]
    pub const fn word(self) -> &'static str {
        match self {
            Self::Listen => "listen",
            Self::Temporary => "temporary_table",
            Self::HeldCursor => "held_cursor",
            Self::AdvisoryLock => "advisory_lock",
            Self::Prepared => "prepare",
            Self::Setting => "setting",
            Self::Role => "role",
            Self::Statement => "long_statement",
            Self::Unknown => "unknown",
        }
    }

    const fn bit(self) -> u16 {
        1 << self as u16
    }
}

/// A set of what pins a session.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Pins(u16);

impl Pins {
    /// Adds one.
    pub const fn insert(&mut self, pin: Pin) {
        self.0 |= pin.bit();
    }

    /// Tells whether one is among them.
    #[must_use]
    pub const fn has(self, pin: Pin) -> bool {
        self.0 & pin.bit() != 0
    }

    /// Tells whether there are none.
    #[must_use]
    pub const fn is_empty(self) -> bool {
        self.0 == 0
    }

    /// Lists them.
    pub fn iter(self) -> impl Iterator<Item = Pin> {
        Pin::ALL.into_iter().filter(move |pin| self.has(*pin))
    }

    /// Tells whether statements that only read may look for what the session holds, so that no
    /// other connection will do for them.
    #[must_use]
    pub fn bind_reads(self) -> bool {
        self.iter().any(|pin| match pin {
            Pin::Listen | Pin::AdvisoryLock | Pin::Statement => false,
            Pin::Temporary
            | Pin::HeldCursor
            | Pin::Prepared
            | Pin::Setting
            | Pin::Role
            | Pin::Unknown => true,
        })
    }
}

impl FromIterator<Pin> for Pins {
    fn from_iter<I: IntoIterator<Item = Pin>>(pins: I) -> Self {
        let mut set = Self::default();
        pins.into_iter().for_each(|pin| set.insert(pin));
        set
    }
}

/// Reads the answer to [`QUERY`], the body of a `DataRow`.
///
/// `user` is who the session logged in as; `is_tracked` tells which parameters are known to be set.
/// What cannot be read is [`Pin::Unknown`].
#[must_use]
pub fn findings(row: &[u8], user: &[u8], is_tracked: impl Fn(&[u8]) -> bool) -> Pins {
    let mut columns = Columns::of(row);
    let mut pins = Pins::default();
    let counted = [Pin::Listen, Pin::Temporary, Pin::HeldCursor, Pin::AdvisoryLock, Pin::Prepared];
    for pin in counted {
        match columns.next() {
            Some(Some(b"0")) => {}
            Some(Some(_)) => pins.insert(pin),
            Some(None) | None => pins.insert(Pin::Unknown),
        }
    }
    match columns.next() {
        Some(None) => {}
        Some(Some(names)) if names.split(|byte| *byte == b',').all(is_tracked) => {}
        Some(Some(_)) => pins.insert(Pin::Setting),
        None => pins.insert(Pin::Unknown),
    }
    if columns.next() != Some(Some(b"f")) || columns.next() != Some(Some(user)) {
        pins.insert(Pin::Role);
    }
    pins
}

/// The columns of a `DataRow`; an inner none is NULL.
struct Columns<'a> {
    rest: &'a [u8],
}

impl<'a> Columns<'a> {
    fn of(row: &'a [u8]) -> Self {
        Self { rest: row.get(2..).unwrap_or_default() }
    }
}

impl<'a> Iterator for Columns<'a> {
    type Item = Option<&'a [u8]>;

    fn next(&mut self) -> Option<Self::Item> {
        let len = crate::wire::word(self.rest, 0)?;
        let rest = self.rest.get(4..)?;
        if len == u32::MAX {
            self.rest = rest;
            return Some(None);
        }
        let (value, rest) = rest.split_at_checked(usize::try_from(len).ok()?)?;
        self.rest = rest;
        Some(Some(value))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn row(values: [Option<&str>; 8]) -> Vec<u8> {
        let mut row = vec![0, 8];
        for value in values {
            match value {
                None => row.extend([0xff; 4]),
                Some(value) => {
                    row.extend(u32::try_from(value.len()).unwrap().to_be_bytes());
                    row.extend(value.as_bytes());
                }
            }
        }
        row
    }

    #[test]
    fn findings_are_pins() {
        let zero = Some("0");
        let same = Some("f");
        let me = Some("me");
        type Row = [Option<&'static str>; 8];
        let cases: &[(&str, Row, &[Pin])] = &[
            ("nothing", [zero, zero, zero, zero, zero, None, same, me], &[]),
            (
                "everything",
                [Some("1"), Some("2"), Some("3"), Some("4"), Some("5"), Some("x"), Some("t"), me],
                &[
                    Pin::Listen,
                    Pin::Temporary,
                    Pin::HeldCursor,
                    Pin::AdvisoryLock,
                    Pin::Prepared,
                    Pin::Setting,
                    Pin::Role,
                ],
            ),
            ("known", [zero, zero, zero, zero, zero, Some("a,b"), same, me], &[]),
            ("one of them", [zero, zero, zero, zero, zero, Some("a,c"), same, me], &[Pin::Setting]),
            ("another user", [zero, zero, zero, zero, zero, None, same, Some("you")], &[Pin::Role]),
        ];
        let is_tracked = |name: &[u8]| matches!(name, b"a" | b"b");
        for (name, values, expected) in cases {
            let found = findings(&row(*values), b"me", is_tracked);
            assert_eq!(found.iter().collect::<Vec<_>>(), *expected, "{name}");
        }
        let cut = row([zero, zero, zero, zero, zero, None, same, me]);
        for len in 0..cut.len() {
            let found = findings(cut.get(..len).unwrap(), b"me", is_tracked);
            assert!(!found.is_empty(), "cut after {len} bytes");
        }
    }
}
