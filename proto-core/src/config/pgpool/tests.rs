//! Lines of `pgpool.conf`, and the traps in them.

use super::*;
use crate::config::check::tests::{Texts, load_one};
use proptest::prelude::*;

#[test]
fn a_line_is_a_name_and_a_value() {
    let cases: &[(&str, &str, &str)] = &[
        ("plain", "port = 9999", "9999"),
        ("without the sign", "port 9999", "9999"),
        ("without blanks", "port=9999", "9999"),
        ("blanks, tabs and a carriage return", "\t port\t=  9999 \t\r", "9999"),
        ("a comment", "port = 9999# the usual", "9999"),
        ("quotes", "port = '9999'  # the usual", "9999"),
        ("quotes without sign or blank", "port'9999'", "9999"),
        ("a hash inside quotes", "port = 'a#b'", "a#b"),
        ("an escaped quote stays as it is", r"port = 'it\'s'", r"it\'s"),
        ("an empty value", "port = ''", ""),
        ("an attached unit", "port = 5min", "5min"),
        ("a word with a path in it", "port = a/b:c.d-e", "a/b:c.d-e"),
        ("a negative number", "port = -1", "-1"),
        ("another alphabet", "port = 'höst'", "höst"),
    ];
    for (name, line, value) in cases {
        assert_eq!(parse(line), Ok(Line::Setting { name: "port", value }), "{name}");
    }
    for empty in ["", "   \t\r", "# port = 1", "  #"] {
        assert_eq!(parse(empty), Ok(Line::Empty), "{empty:?}");
    }
}

#[test]
fn a_line_that_pgpool_would_misread_is_a_mistake() {
    let apart = |number: &str, unit: &str| Syntax::UnitApart {
        number: number.to_owned(),
        unit: unit.to_owned(),
    };
    let cases: &[(&str, Syntax)] = &[
        ("port = 5 min", apart("5", "min")),
        ("port = 64 kB # much", apart("64", "kB")),
        ("port = 5 minutes", Syntax::TrailingText),
        ("port = 1 host = 2", Syntax::TrailingText),
        ("port = '1' host = '2'", Syntax::TrailingText),
        ("port = \"f1\"", Syntax::DoubleQuotes),
        ("port = 'it''s'", Syntax::DoubledQuote),
        ("port = 'open", Syntax::OpenQuote),
        ("port = 'open\\", Syntax::OpenQuote),
        ("port = 'open\\'", Syntax::OpenQuote),
        ("port =", Syntax::NoValue),
        ("port", Syntax::NoValue),
        ("port = # none", Syntax::NoValue),
        ("port = *", Syntax::Unquoted),
        ("port = /tmp", Syntax::Unquoted),
        ("port = a,b", Syntax::Unquoted),
        ("port == 1", Syntax::Unquoted),
    ];
    for (line, syntax) in cases {
        assert_eq!(parse(line), Err((Some("port"), syntax.clone())), "{line}");
    }
    for line in ["= 5", "5 = 5", "'a' = 5", "[users]", "po-rt = 5", "po.rt = 5", "\u{1}"] {
        assert_eq!(parse(line), Err((None, Syntax::NoName)), "{line}");
    }
}

fn included(files: &[(&str, &str)]) -> (Vec<(String, usize)>, Vec<String>) {
    let mut findings = Findings::default();
    let (path, text) = files[0];
    let settings = read(path, text, &Texts::new(files), &mut findings);
    let settings = settings.into_iter().map(|s| (s.name, s.line.unwrap())).collect();
    (settings, findings.mistakes.iter().map(ToString::to_string).collect())
}

#[test]
fn includes_are_followed_from_where_they_stand() {
    let files = [
        ("/etc/a.conf", "first 1\ninclude 'sub/b.conf'\nlast 1\n"),
        ("/etc/sub/b.conf", "\nsecond 1\ninclude = 'c.conf'\n"),
        ("/etc/sub/c.conf", "third 1\ninclude '/d.conf'"),
        ("/d.conf", "fourth 1"),
    ];
    let (settings, mistakes) = included(&files);
    let names: Vec<(&str, usize)> = settings.iter().map(|(n, l)| (n.as_str(), *l)).collect();
    assert_eq!(names, [("first", 1), ("second", 2), ("third", 1), ("fourth", 1), ("last", 3)]);
    assert_eq!(mistakes, [] as [String; 0]);
}

#[test]
fn includes_end() {
    let (_, mistakes) = included(&[("a", "include 'b'"), ("b", "x 1\ninclude 'a'\n")]);
    assert_eq!(mistakes, ["b:2: include: the file includes itself; remove this include"]);
    let (_, mistakes) = included(&[("a", "include 'gone'")]);
    assert_eq!(
        mistakes,
        ["a:1: include: cannot be read: No such file or directory; check the path and who may \
          read it"]
    );
    let names: Vec<String> = (0..13).map(|depth| format!("f{depth}")).collect();
    let texts: Vec<String> = (0..13).map(|depth| format!("include 'f{}'", depth + 1)).collect();
    let deep = |last: usize| {
        let mut files: Vec<(&str, &str)> =
            names.iter().zip(&texts).map(|(n, t)| (n.as_str(), t.as_str())).collect();
        files[last].1 = "x 1";
        included(&files)
    };
    assert_eq!(deep(10), (vec![("x".to_owned(), 1)], Vec::new()));
    let (settings, mistakes) = deep(11);
    assert_eq!(settings, []);
    assert_eq!(
        mistakes,
        ["f10:1: include: includes are more than 10 deep; include the file from one further up"]
    );
}

/// Writes a value in quotes, if that can be done: a quote needs a backslash before it, which
/// stays in the value, and a line cannot be broken.
fn print(value: &str) -> Option<String> {
    let line = format!("name = '{value}'");
    let mut escaped = false;
    for letter in value.chars() {
        if letter == '\n' || (letter == '\'' && !escaped) {
            return None;
        }
        escaped = letter == '\\' && !escaped;
    }
    (!escaped).then_some(line)
}

proptest! {
    /// What is printed is read back, letter by letter.
    #[test]
    fn printed_values_are_read_back(value in "(\\PC|[ #=\"\\t]|\\\\['\\\\a]){0,30}") {
        if let Some(line) = print(&value) {
            prop_assert_eq!(parse(&line), Ok(Line::Setting { name: "name", value: &value }));
        }
    }

    /// A line is one setting, none, or a mistake; a value that cannot be printed is never read.
    #[test]
    fn any_line_is_read_or_refused(line in "[a-z]{0,3}[ =]{0,3}[^\n]{0,40}") {
        if let Ok(Line::Setting { name, value }) = parse(&line) {
            prop_assert!(!name.is_empty());
            prop_assert!(print(value).is_some(), "{:?}", value);
        }
    }
}

#[test]
fn a_byte_order_mark_is_no_setting() {
    let text = "\u{feff}port = 1\n";
    let found = load_one("pgpool.conf", text).unwrap_err();
    assert!(found.iter().any(|m| m.to_string().contains("1: port: 1 is outside")), "{found:?}");
}
