//! The tables agree with themselves.

use super::*;
use crate::config::settings::default;
use std::collections::BTreeSet;

#[test]
fn every_default_is_a_value_of_its_parameter() {
    for parameter in all() {
        match parameter.default {
            Some(text) => {
                assert!(default(parameter).is_some(), "{} = '{text}'", parameter.name);
            }
            None => assert!(
                parameter.name.ends_with("port")
                    || matches!(
                        parameter.name,
                        "auth_method" | "cpu_affinity" | "failover_mode" | "recovery_mode"
                    ),
                "{}",
                parameter.name
            ),
        }
    }
}

#[test]
fn every_name_is_there_once() {
    let mut names = BTreeSet::new();
    for name in all().iter().map(|p| p.name).chain(obsolete().iter().map(|o| o.name)) {
        assert!(names.insert(name), "{name}");
        assert!(!name.ends_with(|c: char| c.is_ascii_digit()), "{name} would hide its number");
    }
    // pgherd's own, and Pgpool-II's.
    assert!(all().len() > 200, "{}", all().len());
}

#[test]
fn every_alias_leads_to_a_parameter() {
    let aliases = all().iter().map(|p| p.effect).chain(obsolete().iter().map(|o| o.effect));
    for effect in aliases {
        match effect {
            Effect::Alias(name) => {
                let parameter = by_name(name).expect("an alias names a parameter");
                assert!(!matches!(parameter.effect, Effect::Alias(_)), "{name}");
            }
            Effect::Dead(why) | Effect::Refused(why) | Effect::RefusedOrDead(why, _) => {
                assert!(why.len() > 20 && !why.contains("  "), "{why}");
            }
            Effect::InEffect | Effect::NotYet => {}
        }
    }
}

#[test]
fn names_are_found_with_their_numbers() {
    let found = |written: &str| match find(written) {
        Found::Known(parameter, node) => format!("{} {node:?}", parameter.name),
        Found::Obsolete(old, node) => format!("old {} {node:?}", old.name),
        Found::NumberMissing(parameter) => format!("{} needs a number", parameter.name),
        Found::NumberTooBig(parameter, last) => format!("{} ends at {last}", parameter.name),
        Found::Unknown => "unknown".to_owned(),
    };
    let cases: &[(&str, &str)] = &[
        ("port", "port None"),
        ("Port", "unknown"),
        ("port5", "unknown"),
        ("backend_port0", "backend_port Some(0)"),
        ("backend_port127", "backend_port Some(127)"),
        ("backend_port128", "backend_port ends at 127"),
        ("backend_port99999999999999999999", "backend_port ends at 127"),
        ("backend_port", "backend_port needs a number"),
        ("backend_port_0", "unknown"),
        ("backend_portx", "unknown"),
        ("heartbeat_port255", "heartbeat_port Some(255)"),
        ("heartbeat_port256", "heartbeat_port ends at 255"),
        ("connect_timeout", "connect_timeout None"),
        ("connect_timeout3", "connect_timeout Some(3)"),
        ("hostname0", "hostname Some(0)"),
        ("hostname_map", "unknown"),
        ("delegate_IP", "delegate_IP None"),
        ("delegate_ip", "delegate_ip None"),
        ("socket_dir", "old socket_dir None"),
        ("other_wd_port1", "old other_wd_port Some(1)"),
        ("heartbeat_destination_port0", "old heartbeat_destination_port Some(0)"),
        ("recovery_1st_stage_command", "recovery_1st_stage_command None"),
        ("", "unknown"),
        ("0", "unknown"),
    ];
    for (written, expected) in cases {
        assert_eq!(found(written), *expected, "{written}");
    }
}

#[test]
fn slips_are_recognised() {
    let cases: &[(&str, Option<&str>)] = &[
        ("prot", Some("port")),
        ("listen_adresses", Some("listen_addresses")),
        ("LISTEN_ADDRESSES", Some("listen_addresses")),
        ("backend_hostnme3", Some("backend_hostname")),
        ("load_balance_mod", Some("load_balance_mode")),
        ("heath_check_perod", Some("health_check_period")),
        ("pool_sise_max", Some("pool_size_max")),
        ("x", None),
        ("", None),
        ("completely_different_thing", None),
    ];
    for (written, meant) in cases {
        assert_eq!(did_you_mean(written), *meant, "{written}");
    }
    assert_eq!(did_you_mean(&"a".repeat(1_000_000)), None);
}

#[test]
fn distance_counts_slips() {
    let cases = [
        ("", "", 0),
        ("a", "", 1),
        ("", "ab", 2),
        ("port", "port", 0),
        ("prot", "port", 1),
        ("pot", "port", 1),
        ("poort", "port", 1),
        ("pirt", "port", 1),
        ("kitten", "sitting", 3),
    ];
    for (from, to, slips) in cases {
        assert_eq!(distance(from, to), slips, "{from} {to}");
        assert_eq!(distance(to, from), slips, "{to} {from}");
    }
}
