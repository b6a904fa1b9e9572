//! The MD5 challenge of PostgreSQL.
