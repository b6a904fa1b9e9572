//! Password files.

/// Users and their secrets.
#[derive(Clone, Debug, Default)]
pub struct Users {}
