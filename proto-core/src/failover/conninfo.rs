//! Connection strings of standbys: `keyword=value` pairs (PostgreSQL docs, "Connection Strings").

/// Why a connection string cannot be changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Unreadable {
    /// It is a URI, which pgherd does not take apart.
    Uri,
    /// It is not made of `keyword=value` pairs.
    Malformed,
}

impl std::fmt::Display for Unreadable {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Uri => "primary_conninfo is a URI; write it as keyword=value pairs",
            Self::Malformed => "primary_conninfo is not made of keyword=value pairs",
        })
    }
}

/// Points a connection string at another server and leaves everything else of it as it is.
///
/// # Errors
/// It cannot be read.
pub fn point(conninfo: &str, host: &str, port: u16) -> Result<String, Unreadable> {
    let mut pairs = read(conninfo)?;
    pairs.retain(|(keyword, _)| !matches!(keyword.as_str(), "host" | "hostaddr" | "port"));
    pairs.insert(0, ("host".to_owned(), host.to_owned()));
    pairs.insert(1, ("port".to_owned(), port.to_string()));
    Ok(compose(&pairs))
}

/// Writes a connection string.
#[must_use]
pub fn compose<T: AsRef<str>>(pairs: &[(T, T)]) -> String {
    let written = pairs
        .iter()
        .map(|(keyword, value)| format!("{}={}", keyword.as_ref(), quoted(value.as_ref())));
    written.collect::<Vec<_>>().join(" ")
}

fn read(conninfo: &str) -> Result<Vec<(String, String)>, Unreadable> {
    if conninfo.starts_with("postgres://") || conninfo.starts_with("postgresql://") {
        return Err(Unreadable::Uri);
    }
    let mut pairs = Vec::new();
    let mut rest = conninfo.trim_start();
    while !rest.is_empty() {
        let (keyword, after) = rest.split_once('=').ok_or(Unreadable::Malformed)?;
        let keyword = keyword.trim();
        if keyword.is_empty() || keyword.contains(char::is_whitespace) {
            return Err(Unreadable::Malformed);
        }
        let (value, after) = read_value(after.trim_start())?;
        pairs.push((keyword.to_owned(), value));
        rest = after.trim_start();
    }
    Ok(pairs)
}

/// Reads a value, quoted or not, and returns what follows it.
fn read_value(text: &str) -> Result<(String, &str), Unreadable> {
    let (is_quoted, body) = match text.strip_prefix('\'') {
        Some(body) => (true, body),
        None => (false, text),
    };
    let mut value = String::new();
    let mut chars = body.char_indices();
    while let Some((at, char)) = chars.next() {
        let rest = |len: usize| body.get(at + len..).unwrap_or_default();
        match char {
            '\\' => value.push(chars.next().ok_or(Unreadable::Malformed)?.1),
            '\'' if is_quoted => return Ok((value, rest(1))),
            char if !is_quoted && char.is_whitespace() => return Ok((value, rest(0))),
            char => value.push(char),
        }
    }
    if is_quoted { Err(Unreadable::Malformed) } else { Ok((value, "")) }
}

/// Writes a value so that it is read as one.
fn quoted(value: &str) -> String {
    let is_plain = |c: char| !c.is_whitespace() && c != '\'' && c != '\\';
    if !value.is_empty() && value.chars().all(is_plain) {
        return value.to_owned();
    }
    format!("'{}'", value.replace('\\', "\\\\").replace('\'', "\\'"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_string_is_pointed_elsewhere() {
        let cases = [
            ("", Ok("host=b port=2")),
            ("host=a port=1 user=r", Ok("host=b port=2 user=r")),
            ("user=r hostaddr=10.0.0.1 host = a", Ok("host=b port=2 user=r")),
            ("password='it\\'s \\\\' host=a", Ok("host=b port=2 password='it\\'s \\\\'")),
            ("password=a\\ b", Ok("host=b port=2 password='a b'")),
            (
                "application_name=''  sslmode=prefer",
                Ok("host=b port=2 application_name='' sslmode=prefer"),
            ),
            ("postgresql://a/b", Err(Unreadable::Uri)),
            ("host", Err(Unreadable::Malformed)),
            ("a b=c", Err(Unreadable::Malformed)),
            ("host='a", Err(Unreadable::Malformed)),
            ("host=a\\", Err(Unreadable::Malformed)),
        ];
        for (conninfo, expected) in cases {
            assert_eq!(point(conninfo, "b", 2), expected.map(str::to_owned), "{conninfo}");
        }
        assert_eq!(point("host=a", "/run/my dir", 5), Ok("host='/run/my dir' port=5".to_owned()));
    }

    #[test]
    fn what_is_pointed_somewhere_stays_so() {
        for conninfo in ["", "host=a port=1 password='a b'", "hostaddr=10.0.0.1 user=''"] {
            let pointed = point(conninfo, "b", 2).unwrap();
            assert_eq!(point(&pointed, "b", 2), Ok(pointed.clone()), "{conninfo}");
        }
    }
}
