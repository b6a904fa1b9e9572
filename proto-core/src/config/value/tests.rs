//! Values of each kind, good and bad.

use super::*;
use crate::config::parameters::by_name;
use proptest::prelude::*;

fn bare(name: &str, text: &str) -> Result<Value, String> {
    written(name, Written::Bare(text.to_owned()))
}

fn written(name: &str, written: Written) -> Result<Value, String> {
    read(by_name(name).unwrap(), &written).map_err(|unfit| format!("{unfit:?}"))
}

#[test]
fn a_boolean_is_a_prefix_of_a_word_and_nothing_else() {
    let on = ["on", "ON", "t", "tr", "True", "y", "YES", "1", " on "];
    let off = ["off", "of", "F", "fal", "false", "n", "No", "0"];
    let neither = ["", "o", "banana", "2", "truee", "onn", "01", "yess", "-"];
    for text in on {
        assert_eq!(bare("log_connections", text), Ok(Value::Bool(true)), "{text}");
    }
    for text in off {
        assert_eq!(bare("log_connections", text), Ok(Value::Bool(false)), "{text}");
    }
    for text in neither {
        let said = bare("log_connections", text).unwrap_err();
        assert!(said.starts_with("NotABoolean"), "{text}: {said}");
    }
}

#[test]
fn a_number_has_digits_and_perhaps_a_unit() {
    // Parameters: a count, seconds, milliseconds, minutes, bytes, kilobytes, a file's mode.
    let good: &[(&str, &str, i64)] = &[
        ("port", "9999", 9999),
        ("port", " 9999 ", 9999),
        ("port", "+9999", 9999),
        ("port", "0x270F", 9999),
        ("port", "023417", 9999),
        ("port", "9999.0", 9999),
        ("client_idle_limit_in_recovery", "-1", -1),
        ("sr_check_period", "10", 10),
        ("sr_check_period", "10s", 10),
        ("sr_check_period", "5 min", 300),
        ("sr_check_period", "1.5min", 90),
        ("sr_check_period", "2000ms", 2),
        ("sr_check_period", "3000000us", 3),
        ("sr_check_period", "1h", 3600),
        ("sr_check_period", "1d", 86_400),
        ("connect_timeout", "1500us", -2),
        ("connect_timeout", "0.5s", 500),
        ("log_rotation_age", "1d", 1440),
        ("delay_threshold", "10", 10),
        ("delay_threshold", "64kB", 65_536),
        ("delay_threshold", "64KiB", 65_536),
        ("delay_threshold", "1.5MB", 1_572_864),
        ("delay_threshold", "1GB", 1 << 30),
        ("delay_threshold", "1TB", 1 << 40),
        ("delay_threshold", "9223372036854775807", i64::MAX),
        ("log_rotation_size", "10MB", 10_240),
        ("log_rotation_size", "2048B", 2),
        ("unix_socket_permissions", "0770", 0o770),
        ("wd_priority", "00", 0),
    ];
    for (name, text, value) in good {
        if *value == -2 {
            assert!(bare(name, text).unwrap_err().starts_with("NotWhole"), "{name} = {text}");
        } else {
            assert_eq!(bare(name, text), Ok(Value::Integer(*value)), "{name} = {text}");
        }
    }
}

#[test]
fn a_number_that_is_none_is_refused() {
    let bad: &[(&str, &str, &str)] = &[
        ("port", "", "NotANumber"),
        ("port", "abc", "NotANumber"),
        ("port", "-", "NotANumber"),
        ("port", "--9999", "NotANumber"),
        ("port", "0x", "NotANumber"),
        ("port", "0xfg", "NotANumber"),
        ("port", "0899", "NotANumber"),
        ("port", ".5", "NotANumber"),
        ("port", "1.2.3", "NotANumber"),
        ("port", "１２３４", "NotANumber"),
        ("port", "9999.5", "NotWhole"),
        ("port", "9999s", "UnknownUnit"),
        ("port", "1023", "OutOfRange"),
        ("port", "65536", "OutOfRange"),
        ("port", "-9999", "OutOfRange"),
        ("port", "99999999999999999999999999999999999999999999999", "OutOfRange"),
        ("sr_check_period", "0.5", "NotWhole"),
        ("sr_check_period", "500ms", "NotWhole"),
        ("sr_check_period", "5 minutes", "UnknownUnit"),
        ("sr_check_period", "5S", "UnknownUnit { suffix: \"S\", unit: Seconds, meant: Some(\"s\")"),
        ("sr_check_period", "5kB", "UnknownUnit"),
        ("sr_check_period", "9999999d", "OutOfRange"),
        ("sr_check_period", "99999999999999999999999999999999999d", "OutOfRange"),
        (
            "delay_threshold",
            "1KB",
            "UnknownUnit { suffix: \"KB\", unit: Bytes, meant: Some(\"kB\")",
        ),
        (
            "delay_threshold",
            "1mb",
            "UnknownUnit { suffix: \"mb\", unit: Bytes, meant: Some(\"MB\")",
        ),
        ("delay_threshold", "9223372036854775808", "OutOfRange"),
        ("unix_socket_permissions", "01000", "OutOfRange"),
        ("unix_socket_permissions", "777", "OutOfRange"),
    ];
    for (name, text, said) in bad {
        let found = bare(name, text).unwrap_err();
        assert!(found.starts_with(said), "{name} = {text}: {found}");
    }
}

#[test]
fn the_other_kinds_are_read_or_refused() {
    assert_eq!(bare("backend_weight", "0.5"), Ok(Value::Real(0.5)));
    assert_eq!(bare("backend_weight", "1e3"), Ok(Value::Real(1000.0)));
    for text in ["abc", "", "1,5", "0x1"] {
        assert!(bare("backend_weight", text).unwrap_err().starts_with("NotANumber"), "{text}");
    }
    for text in ["-1", "nan", "inf", "1e9", "1e999"] {
        assert!(bare("backend_weight", text).unwrap_err().starts_with("RealOutOfRange"), "{text}");
    }
    assert_eq!(bare("log_min_messages", "DEBUG1"), Ok(Value::Choice("debug1")));
    assert_eq!(bare("syslog_facility", "local3"), Ok(Value::Choice("LOCAL3")));
    assert!(bare("log_min_messages", "warn").unwrap_err().starts_with("NotAChoice"));
    let near = bare("log_min_messages", "warnign").unwrap_err();
    assert!(near.contains("meant: Some(\"warning\")"), "{near}");
    let list = |items: &[&str]| Ok(Value::List(items.iter().map(|i| (*i).to_owned()).collect()));
    assert_eq!(bare("listen_addresses", "a, b ,,c,"), list(&["a", "b", "c"]));
    assert_eq!(bare("listen_addresses", ""), list(&[]));
    assert_eq!(bare("read_only_function_list", r"a\,b,c\d"), list(&["a,b", r"c\d"]));
    assert_eq!(bare("reset_query_list", "ABORT; DISCARD ALL;"), list(&["ABORT", "DISCARD ALL"]));
    assert_eq!(bare("listen_addresses", "a\0b").unwrap_err(), "ZeroByte");
}

#[test]
fn toml_types_must_fit() {
    let text = |text: &str| Written::Text(text.to_owned());
    let good: &[(&str, Written, Value)] = &[
        ("port", Written::Integer(9999), Value::Integer(9999)),
        ("sr_check_period", text("2min"), Value::Integer(120)),
        ("unix_socket_permissions", text("0770"), Value::Integer(0o770)),
        ("backend_weight", Written::Integer(2), Value::Real(2.0)),
        ("backend_weight", Written::Real(0.25), Value::Real(0.25)),
        ("check_temp_table", Written::Bool(false), Value::Choice("off")),
        ("listen_addresses", text("*"), Value::List(vec!["*".into()])),
        ("listen_addresses", Written::List(vec!["a,b".into()]), Value::List(vec!["a,b".into()])),
        ("log_connections", Written::Bool(true), Value::Bool(true)),
    ];
    for (name, value, expected) in good {
        assert_eq!(written(name, value.clone()), Ok(expected.clone()), "{name} = {value}");
    }
    let bad: &[(&str, Written, &str)] = &[
        ("port", text("9999"), "WrongType"),
        ("port", Written::Real(9999.0), "WrongType"),
        ("port", Written::Integer(i128::MAX), "OutOfRange"),
        ("port", Written::Bool(true), "WrongType"),
        ("log_connections", text("on"), "WrongType"),
        ("log_connections", Written::Integer(1), "WrongType"),
        ("backend_weight", text("1"), "WrongType"),
        ("backend_weight", Written::Real(f64::NAN), "RealOutOfRange"),
        ("sr_check_user", Written::Integer(1), "WrongType"),
        ("sr_check_user", Written::List(vec!["a".into()]), "WrongType"),
        ("log_min_messages", Written::Bool(true), "WrongType"),
        ("listen_addresses", Written::Integer(1), "WrongType"),
    ];
    for (name, value, said) in bad {
        let found = written(name, value.clone()).unwrap_err();
        assert!(found.starts_with(said), "{name} = {value}: {found}");
    }
}

proptest! {
    /// A number of seconds is the same number in any unit that holds it.
    #[test]
    fn units_do_not_change_what_is_meant(minutes in 0_i64..30_000) {
        let seconds = Ok(Value::Integer(minutes * 60));
        for (factor, unit) in [(1, "min"), (60, "s"), (60, ""), (60_000, "ms"), (60_000_000, "us")] {
            prop_assert_eq!(bare("sr_check_period", &format!("{}{unit}", minutes * factor)), seconds.clone());
        }
    }
}
