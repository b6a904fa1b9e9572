//! What a file sets, in whichever format it is: for the whole configuration, and for tools that need
//! no more of it than a parameter.

use super::files::{Files, beside};
use super::findings::Findings;
use super::format::Format;
use super::mistake::{Mistake, Syntax};
use super::settings::{Setting, Settings, Stored};
use super::votes::recognise;
use super::{file, pgpool};

/// Finds the file with the passwords that a configuration names, for a tool that writes to it: the
/// file `pool_passwd` beside the configuration unless that says otherwise.
///
/// # Errors
/// As of [`text`].
pub fn password_file(path: &str, files: &dyn Files) -> Result<String, Vec<Mistake>> {
    const DEFAULT: &str = "pool_passwd";
    let name = text(path, "pool_passwd", files)?;
    Ok(beside(path, if name.is_empty() { DEFAULT } else { &name }))
}

/// Looks up one parameter whose value is text, for a tool that needs no more of a configuration; its
/// default if it is not set.
///
/// # Errors
/// Every mistake, if there are any in how the file is written; other values are not looked at.
pub fn text(path: &str, name: &'static str, files: &dyn Files) -> Result<String, Vec<Mistake>> {
    lookup(path, files).map(|settings| settings.text(name, None))
}

/// Reads a file's settings without checking what they mean together.
pub(super) fn lookup(path: &str, files: &dyn Files) -> Result<Settings, Vec<Mistake>> {
    let mut findings = Findings::default();
    let text = files.read(path).unwrap_or_else(|why| {
        findings.mistake(path, None, None, Syntax::Unreadable(why));
        String::new()
    });
    let (format, written, _) = settings(path, &text, files, &mut findings);
    if !findings.mistakes.is_empty() {
        return Err(findings.mistakes);
    }
    Ok(Settings::resolve(path, format, written, &mut findings))
}

/// Takes the settings and the users from the text of a file, in whichever format it is.
pub(super) fn settings(
    path: &str,
    text: &str,
    files: &dyn Files,
    findings: &mut Findings,
) -> (Format, Vec<Setting>, Vec<Stored>) {
    let format = recognise(path, text);
    match format {
        Format::Pgpool => (format, pgpool::read(path, text, files, findings), Vec::new()),
        Format::Toml => {
            let contents = file::read(path, text, findings);
            (format, contents.settings, contents.users)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::check::tests::Texts;

    #[test]
    fn a_tool_looks_up_no_more_than_it_needs() {
        let cases: &[(&str, &str, Result<&str, usize>)] = &[
            ("a/pgpool.conf", "", Ok("a/pool_passwd")),
            ("a/pgpool.conf", "pool_passwd = 'p2'\nport = 99999999\n", Ok("a/p2")),
            ("a/pgpool.conf", "pool_passwd = '/b/p2'", Ok("/b/p2")),
            ("a/pgpool.conf", "pool_passwd = ''", Ok("a/pool_passwd")),
            ("pgpool.conf", "pool_passwd = 'p2'\n", Ok("p2")),
            ("pgherd.toml", "pool_passwd = \"p2\"\n[users]\n", Ok("p2")),
            ("a/pgpool.conf", "pool_passwd = 'p2\nport = \"1\n", Err(2)),
        ];
        for (path, text, found) in cases {
            let files = Texts::new(&[(path, text)]);
            let found_file = password_file(path, &files).map_err(|mistakes| mistakes.len());
            assert_eq!(found_file.as_deref().map_err(|count| *count), *found, "{path}: {text}");
        }
        let missing = password_file("b.conf", &Texts::default()).unwrap_err();
        assert!(missing.iter().any(|m| m.to_string().contains("No such file")), "{missing:?}");
        let name = super::text("a.conf", "pid_file_name", &Texts::new(&[("a.conf", "port = 1\n")]));
        assert_eq!(name.unwrap(), "/var/run/pgpool/pgpool.pid");
    }
}
