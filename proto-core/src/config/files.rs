//! The files of a configuration, which somebody else reads.

/// Lends the text of files.
pub trait Files {
    /// Reads a file, or says why not.
    ///
    /// # Errors
    /// The operating system's reason, as text.
    fn read(&self, path: &str) -> Result<String, String>;

    /// Tells whether a file is there, readable or not.
    fn exists(&self, path: &str) -> bool;

    /// Lends the key file, the one named on the command line or `.pgpoolkey`; none if there is
    /// none. It is asked for only if a secret is encrypted.
    fn key_file(&self) -> Option<KeyFile>;

    /// Names the file of the users of PCP, for the configuration at this path: the one named on the
    /// command line, or the `pcp.conf` beside the configuration; none if there is none.
    fn pcp_file(&self, _path: &str) -> Option<String> {
        None
    }
}

/// The file that holds the key to encrypted secrets.
#[derive(Clone)]
pub struct KeyFile {
    /// Its path, for messages.
    pub path: String,
    /// Its text, or why it must not be used.
    pub text: Result<String, KeyFault>,
}

impl std::fmt::Display for KeyFault {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Unreadable(why) => f.write_str(why),
            Self::ReadableByOthers => f.write_str("others can read it"),
        }
    }
}

/// Why a key file must not be used.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum KeyFault {
    /// It cannot be read, for the operating system's reason.
    Unreadable(String),
    /// Its mode lets the group or others read it.
    ReadableByOthers,
}

impl std::fmt::Debug for KeyFile {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let text = self.text.as_ref().map(|_| "…");
        f.debug_struct("KeyFile").field("path", &self.path).field("text", &text).finish()
    }
}

/// Resolves a file name as seen from another file.
pub(super) fn beside(path: &str, name: &str) -> String {
    match path.rsplit_once('/') {
        Some((directory, _)) if !name.starts_with('/') => format!("{directory}/{name}"),
        _ => name.to_owned(),
    }
}
