//! In which of the two formats a file is, as its lines tell.

use super::format::Format;
use super::pgpool;

/// Recognises the format by content.
///
/// A line that begins with `[` decides for TOML, since no `pgpool.conf` has one. Otherwise
/// every line that only one of the formats could have is a vote for it: a double-quoted
/// value, a list, a key with a dot for TOML; a missing `=`, a bare word such as `on`, a
/// number with a unit for `pgpool.conf`. With as many votes for either, as in a file of
/// nothing but `port = 9999`, a name that ends in `.toml` decides.
pub(super) fn recognise(path: &str, text: &str) -> Format {
    let mut balance: i64 = 0;
    for line in text.lines() {
        let line = line.trim_start_matches('\u{feff}').trim();
        if line.starts_with('[') && line.contains(']') && !line.contains('=') {
            return Format::Toml;
        }
        balance += i64::from(votes_for_toml(line)) - i64::from(pgpool::votes(line));
    }
    match balance {
        1.. => Format::Toml,
        0 if path.ends_with(".toml") => Format::Toml,
        _ => Format::Pgpool,
    }
}

/// Tells whether a line is a setting that only TOML could have.
fn votes_for_toml(line: &str) -> bool {
    let Some((key, value)) = line.split_once('=') else { return false };
    let key = key.trim();
    let is_key = |c: char| c.is_alphanumeric() || "_-.\"'".contains(c);
    if key.is_empty() || !key.chars().all(is_key) {
        return false;
    }
    value.trim_start().starts_with(['"', '[', '{']) || key.contains(['.', '-', '"', '\''])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_format_is_recognised_by_content() {
        let cases: &[(&str, &str, Format)] = &[
            ("a section", "# c\n[[backends]]\nx = on\ny = off\n", Format::Toml),
            ("a section with a comment", "[users] # all\n", Format::Toml),
            ("double quotes", "listen_addresses = \"*\"\n", Format::Toml),
            ("a list", "listen_addresses = [\n'a',\n]\n", Format::Toml),
            ("a dotted key", "users.alice = 'x'\n", Format::Toml),
            ("a bare word", "load_balance_mode = on\n", Format::Pgpool),
            ("no equals sign", "port 9999\n", Format::Pgpool),
            ("a unit", "log_rotation_age = 1d\n", Format::Pgpool),
            ("an octal number", "unix_socket_permissions = 0700\n", Format::Pgpool),
            ("an include", "include 'x'\n", Format::Pgpool),
            ("one slip in a pgpool.conf", "a = on\nb = off\nc = \"f1\"\n", Format::Pgpool),
            ("one slip in a pgherd.toml", "a = on\nb = \"f\"\nc = \"f\"\n", Format::Toml),
            ("neither", "port = 9999\nload_balance_mode = true\na = 'b'\n", Format::Pgpool),
        ];
        for (name, text, format) in cases {
            assert_eq!(recognise("conf", text), *format, "{name}");
        }
        assert_eq!(recognise("pgherd.toml", "port = 9999\n"), Format::Toml);
    }
}
