//! Passwords of administrators in a `.pcppass`: lines of `host:port:user:password`.
//!
//! As in libpq's `.pgpass`: `*` stands for anything, `\` takes the meaning from a `:` or a `\`
//! behind it, and the first line that matches counts (Pgpool-II docs, "pcp common options").

use super::secret::Secret;

/// Where somebody is to be logged in.
#[derive(Clone, Copy, Debug)]
pub struct Place<'a> {
    /// The host's names, any of which will do.
    pub hosts: &'a [&'a str],
    /// The port.
    pub port: u16,
    /// The user's name.
    pub user: &'a str,
}

/// Finds a password; none if no line is about that place.
#[must_use]
pub fn find(text: &str, place: Place<'_>) -> Option<Secret> {
    let port = place.port.to_string();
    // Not `lines`: a carriage return is part of the password, as it is for Pgpool-II's programs.
    text.split('\n').find_map(|line| {
        let rest = place.hosts.iter().find_map(|host| behind(line, host))?;
        let rest = behind(rest, &port)?;
        let password = behind(rest, place.user)?;
        Some(Secret::new(field(password).0))
    })
}

/// Returns what follows a line's first field, if that field is `value` or anything.
fn behind<'a>(line: &'a str, value: &str) -> Option<&'a str> {
    if let Some(rest) = line.strip_prefix("*:") {
        return Some(rest);
    }
    let (text, rest) = field(line);
    (text == value).then_some(rest).flatten()
}

/// Splits the first field off, its escapes resolved, from what follows its colon, if there is one.
fn field(line: &str) -> (String, Option<&str>) {
    let mut text = String::new();
    let mut letters = line.char_indices();
    while let Some((at, letter)) = letters.next() {
        match letter {
            ':' => return (text, line.get(at + 1..)),
            '\\' => text.push(letters.next().map_or('\\', |(_, letter)| letter)),
            _ => text.push(letter),
        }
    }
    (text, None)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What Pgpool-II 4.3.5 makes of the same files.
    #[test]
    fn the_first_line_that_matches_counts() {
        let cases: &[(&str, Option<&str>)] = &[
            ("127.0.0.1:7911:bob:p1\nlocalhost:7911:bob:p2\n", Some("p2")),
            ("# comment\n\nbroken\nlocalhost:*:bob:p1:p2\n", Some("p1")),
            (r"localhost:*:bob:a\:b", Some("a:b")),
            (r"localhost:*:bob:a\\b", Some(r"a\b")),
            (r"localhost:*:b\ob:p1", Some("p1")),
            ("localhost:*:b*:p1\n*:*:*:p2", Some("p2")),
            ("*:*:*:\n*:*:*:p2", Some("")),
            ("*:*:*:p1\r\n*:*:*:p2", Some("p1\r")),
            ("*:*:*:p9 \n", Some("p9 ")),
            (" *:*:*:p1\n*:*:*:p2", Some("p2")),
            ("\\*:*:*:p1\n*:*:*:p2", Some("p2")),
            ("*:*:*:\\", Some("\\")),
            ("*:7911:al:p1\n*:7912:bob:p2\n", None),
            ("", None),
            ("*:*", None),
        ];
        for (text, password) in cases {
            let place = Place { hosts: &["localhost"], port: 7911, user: "bob" };
            let found = find(text, place);
            assert_eq!(found.as_ref().map(Secret::expose), *password, "{text:?}");
        }
    }

    #[test]
    fn any_name_of_the_host_will_do() {
        let place = Place { hosts: &["/run/pcp", "localhost"], port: 1, user: "a" };
        for text in ["/run/pcp:1:a:x", "localhost:1:a:x"] {
            assert_eq!(find(text, place).unwrap().expose(), "x");
        }
        assert!(find("::1:1:a:x", place).is_none());
        assert!(find(r"\:\:1:1:a:x", Place { hosts: &["::1"], ..place }).is_some());
    }
}
