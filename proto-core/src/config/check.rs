//! Loading: every mistake at once.

use super::Config;

/// Lends the text of files.
pub trait Files {
    /// Reads a file, or says why not.
    ///
    /// # Errors
    /// The operating system's reason, as text.
    fn read(&self, path: &str) -> Result<String, String>;
}

/// What loading gave.
#[derive(Debug)]
pub struct Loaded {
    /// The configuration.
    pub config: Config,
    /// What the operator should know.
    pub notes: Vec<Note>,
}

/// Something wrong.
#[derive(Debug)]
pub struct Mistake {}

/// Something to know.
#[derive(Debug)]
pub struct Note {}

/// Makes a configuration.
///
/// # Errors
/// Every mistake found.
pub fn load(_path: &str, _files: &dyn Files) -> Result<Loaded, Vec<Mistake>> {
    Err(Vec::new())
}
