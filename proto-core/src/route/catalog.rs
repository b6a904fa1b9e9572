//! What a database's catalog tells that texts do not: which functions are volatile, which tables
//! no standby has.

/// The question, asked once per database and again from time to time: rows of three columns, the
/// kind of fact, a name, and a detail.
///
/// - `f`: a function outside of `pg_catalog`, by its name in any schema. The detail is `v` if one
///   of that name is volatile, `s` if one also sets parameters for the session, else empty.
/// - `u`: a relation of which a standby does not have what the primary has, by its name in any
///   schema: an unlogged one, or a sequence, whose log runs ahead of its values. The detail is
///   empty.
/// - `i`: the isolation level of transactions that name none; the detail is empty.
///
/// PostgreSQL docs, "System Catalogs": `pg_proc.provolatile`, `pg_class.relpersistence`.
pub const QUERY: &str = "SELECT 'f', proname::text, CASE \
    WHEN pg_catalog.bool_or(prosrc ~* '\\mset_config\\M|\\mset\\s+(session\\s+)?[a-z_]+\\s*\\.') \
      THEN 's' \
    WHEN pg_catalog.bool_or(provolatile = 'v') THEN 'v' ELSE '' END \
    FROM pg_catalog.pg_proc \
    WHERE pronamespace <> 'pg_catalog'::pg_catalog.regnamespace GROUP BY proname \
    UNION ALL SELECT 'u', relname::text, '' FROM pg_catalog.pg_class \
      WHERE relkind = 'S' OR relpersistence = 'u' AND relkind IN ('r', 'p', 'm') \
    UNION ALL SELECT 'i', pg_catalog.current_setting('default_transaction_isolation'), ''";
