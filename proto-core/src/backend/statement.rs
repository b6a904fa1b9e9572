//! A named prepared statement, kept so that it can be prepared on another connection too.

use bytes::Bytes;

use crate::route::class::Class;

/// A named prepared statement.
#[derive(Debug, PartialEq, Eq)]
pub struct Statement {
    /// Its name, not empty.
    pub name: Bytes,
    /// The client's `Parse` message, whole.
    pub parse: Bytes,
    /// What its text does.
    pub class: Class,
}
