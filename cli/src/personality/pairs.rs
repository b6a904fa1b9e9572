//! A file of users and passwords, one `user:password` a line, that `-i` names.

use super::Stop;

/// Longest user name and longest password that Pgpool-II's tools take, in bytes.
pub(super) const LEN_MAX: usize = 128;

/// What a line of the file is.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Pair<'a> {
    /// A user and a password.
    Valid { user: &'a str, password: &'a str },
    /// Nothing at all.
    Blank,
    /// There is no colon, or nothing behind it.
    Invalid,
    /// The user's name is longer than [`LEN_MAX`].
    UserTooLong,
    /// The password is longer than [`LEN_MAX`].
    PasswordTooLong,
}

impl<'a> Pair<'a> {
    /// Reads a line. Nothing is escaped: the first colon is the end of the name.
    pub(super) fn read(line: &'a str) -> Self {
        match line.split_once(':') {
            _ if line.is_empty() => Self::Blank,
            None | Some((_, "")) => Self::Invalid,
            Some((user, _)) if user.len() > LEN_MAX => Self::UserTooLong,
            Some((_, password)) if password.len() > LEN_MAX => Self::PasswordTooLong,
            Some((user, password)) => Self::Valid { user, password },
        }
    }
}

/// Reads the file. A byte that is no text makes its line another than was meant, and never a valid
/// login, so that it need not be told from others.
pub(super) fn read(path: &str) -> Result<String, Stop> {
    match std::fs::read(path) {
        Ok(bytes) => Ok(String::from_utf8_lossy(&bytes).into_owned()),
        Err(error) => {
            // The operating system's own words, without the number that Rust puts behind them.
            let text = error.to_string();
            let why = text.split(" (os error").next().unwrap_or_default();
            Err(Stop::new(format!("failed to open input_file \"{path}\" ({why})\n\n")))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_are_read_as_by_pg_md5() {
        let (name, long) = ("n".repeat(128), "x".repeat(129));
        let long_user = format!("{long}:p");
        let long_password = format!("u:{long}");
        let longest = format!("{name}:{name}");
        for (line, pair) in [
            ("u1:p1", Pair::Valid { user: "u1", password: "p1" }),
            ("u:p:x", Pair::Valid { user: "u", password: "p:x" }),
            (":p", Pair::Valid { user: "", password: "p" }),
            ("a\\:b", Pair::Valid { user: "a\\", password: "b" }),
            ("u:  p ", Pair::Valid { user: "u", password: "  p " }),
            (&longest, Pair::Valid { user: &name, password: &name }),
            ("", Pair::Blank),
            (" ", Pair::Invalid),
            ("u:", Pair::Invalid),
            ("nocolon", Pair::Invalid),
            (&long_user, Pair::UserTooLong),
            (&long_password, Pair::PasswordTooLong),
        ] {
            assert_eq!(Pair::read(line), pair, "{line}");
        }
    }
}
