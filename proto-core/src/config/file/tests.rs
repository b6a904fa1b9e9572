//! Shapes of `pgherd.toml`.

use super::*;

fn said(text: &str) -> Vec<String> {
    let mut findings = Findings::default();
    let _ = read("t", text, &mut findings);
    findings.sort("t");
    findings.mistakes.iter().map(ToString::to_string).collect()
}

#[test]
fn settings_come_in_the_order_of_their_lines() {
    let mut findings = Findings::default();
    let text = "z = 1\na = true\n[[backends]]\nport = 1\nhostname = 'x'\n[users]\nb = 'c'\n";
    let contents = read("t", text, &mut findings);
    let settings: Vec<(&str, &str, Option<usize>)> =
        contents.settings.iter().map(|s| (s.key.as_str(), s.name.as_str(), s.line)).collect();
    assert_eq!(
        settings,
        [
            ("z", "z", Some(1)),
            ("a", "a", Some(2)),
            ("backends[0].port", "backend_port0", Some(4)),
            ("backends[0].hostname", "backend_hostname0", Some(5)),
        ]
    );
    let users: Vec<(&str, &str, Option<usize>)> =
        contents.users.iter().map(|u| (u.name.as_str(), u.text.as_str(), u.line)).collect();
    assert_eq!(users, [("b", "c", Some(7))]);
}

#[test]
fn values_keep_their_types() {
    let cases: &[(&str, Written)] = &[
        ("'a'", Written::Text("a".into())),
        ("\"a\\tb\"", Written::Text("a\tb".into())),
        ("true", Written::Bool(true)),
        ("-7", Written::Integer(-7)),
        ("0o770", Written::Integer(0o770)),
        ("0xff", Written::Integer(255)),
        ("1_000", Written::Integer(1000)),
        ("1.5", Written::Real(1.5)),
        ("inf", Written::Real(f64::INFINITY)),
        ("['a', \"b\"]", Written::List(vec!["a".into(), "b".into()])),
        ("[1]", Written::Other("a list of something else than texts")),
        ("1979-05-27", Written::Other("a date")),
        ("{ a = 1 }", Written::Other("a section")),
    ];
    for (text, expected) in cases {
        let mut findings = Findings::default();
        // A known name, so that a table is taken for its value.
        let contents = read("t", &format!("port = {text}"), &mut findings);
        assert_eq!(contents.settings[0].written, *expected, "{text}");
    }
}

#[test]
fn a_wrong_shape_is_a_mistake() {
    let cases: &[(&str, &str)] = &[
        ("backends = 1", "t:1: backends: a whole number does not fit; write [[backends]] sections"),
        ("[backends]\nport = 1", "t:1: backends: a section does not fit; write [[backends]]"),
        ("backends = ['a']", "t:1: backends: a text does not fit; write [[backends]] sections"),
        ("users = 'a'", "t:1: users: a text does not fit; write a [users] section"),
        ("[users]\na = 1", "t:2: users.a: a whole number does not fit; write a text in quotes"),
        ("[logging]\na = 1", "t:1: logging: there is no such section"),
        ("[[backends]]\nhost = 'a'", "t:2: backends[0].host: there is no such parameter; did"),
        ("[[backends]]\nbackend_port1 = 1", "did you mean port?"),
        ("[[backends]]\nnonsense = 1", "remove it, or look its name up"),
        ("a = 1\na = 2", "t:2: duplicate key"),
        ("a = on # as before", "t:1: a: on and off are no values in TOML; write a = true or a = f"),
        ("a = 1 2 3 'x' 4", "t:1: "),
    ];
    for (text, expected) in cases {
        let said = said(text);
        assert!(said.len() == 1 && said[0].contains(expected), "{text}: {said:?}");
    }
    let many = "[[backends]]\nport = 1\n".repeat(130);
    assert_eq!(said(&many).len(), 1, "node numbers end at 127");
}
