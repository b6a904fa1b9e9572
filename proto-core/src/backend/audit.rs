//! What a server session still holds that no other connection has.
//!
//! A text tells what a statement may leave behind, not whether it did, nor whether another
//! statement has taken it away again. The server knows: after statements in doubt, and outside
//! transactions, it is asked. The answer decides whether a session is pinned to its connection.

/// The question, one row of eight columns: channels listened to, relations in the session's
/// temporary schema, held cursors, advisory locks, statements made by `PREPARE`, parameters set in
/// the session (their names, separated by commas), the role, the session's user.
///
/// PostgreSQL docs, "System Views": `pg_cursors`, `pg_locks`, `pg_prepared_statements`,
/// `pg_settings`. Parameters of extensions that are not loaded are in none of them.
pub const QUERY: &str = "SELECT \
    (SELECT pg_catalog.count(*) FROM pg_catalog.pg_listening_channels()), \
    (SELECT pg_catalog.count(*) FROM pg_catalog.pg_class \
      WHERE relnamespace = pg_catalog.pg_my_temp_schema()), \
    (SELECT pg_catalog.count(*) FROM pg_catalog.pg_cursors WHERE is_holdable), \
    (SELECT pg_catalog.count(*) FROM pg_catalog.pg_locks \
      WHERE locktype = 'advisory' AND pid = pg_catalog.pg_backend_pid()), \
    (SELECT pg_catalog.count(*) FROM pg_catalog.pg_prepared_statements WHERE from_sql), \
    (SELECT pg_catalog.string_agg(pg_catalog.lower(name), ',') FROM pg_catalog.pg_settings \
      WHERE source = 'session'), \
    pg_catalog.current_setting('role'), session_user";
