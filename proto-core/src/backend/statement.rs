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

impl Statement {
    /// Returns the text of the statement.
    #[must_use]
    pub fn text(&self) -> &[u8] {
        let body = self.parse.get(crate::wire::frame::HEADER_LEN..).unwrap_or_default();
        crate::wire::frontend::parse(body).map_or(&[], |(_, text)| text)
    }
}
