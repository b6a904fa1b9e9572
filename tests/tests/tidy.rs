//! Checks what the compiler and clippy cannot: what depends on what, how long files are, where
//! protocol knowledge lives, and that nothing is left out of a list.

#![allow(clippy::unwrap_used, reason = "a check that cannot read its sources fails")]

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

/// The longest file of ours, in lines.
const LINES_MAX: usize = 600;

/// Members that hold sources of ours.
const MEMBERS: [&str; 9] = [
    "proto-core",
    "host",
    "runtime-smol",
    "runtime-glommio",
    "runtime-sim",
    "cli",
    "herd",
    "tests",
    "benches",
];

/// The parts of the core, from the outermost in. Each may use those behind it and those beside it.
///
/// `shard → session → {route, pool, backend, auth, cache} → wire → {time, id, limits}` and
/// `control → {health, failover, recovery, watchdog, admin} → topology`; what machines and their
/// driver tell one another is known to the machines, and not to their parts.
const LAYERS: [&[&str]; 8] = [
    &["shard", "control"],
    &["session", "cancel", "health", "failover", "recovery", "watchdog", "admin"],
    &["machine", "message", "output", "inquiry", "job", "memory"],
    &["route", "pool", "backend", "auth", "cache", "clients", "config", "flow"],
    &["topology"],
    &["wire"],
    &["buffer", "entropy"],
    &["time", "id", "limits"],
];

/// What a pure core does not mention, and why. (`std::io::IoSlice` is bytes.)
const IMPURE: [(&str, &str); 20] = [
    ("Instant::now", "time is an argument"),
    ("SystemTime", "time is an argument"),
    ("std::thread", "the driver owns threads"),
    ("std::fs", "the program opens files"),
    ("std::env", "the program reads the environment"),
    ("std::net::Tcp", "the driver owns sockets"),
    ("std::net::Udp", "the driver owns sockets"),
    ("std::os", "the driver knows the system"),
    ("std::process", "the driver runs programs"),
    ("io::Read", "the driver reads"),
    ("io::Write", "the driver writes"),
    ("io::stdin", "the driver reads"),
    ("io::stdout", "the driver writes"),
    ("async fn", "machines are called, not awaited"),
    (".await", "machines are called, not awaited"),
    ("thread_rng", "chance comes from Entropy"),
    ("rand::rng", "chance comes from Entropy"),
    ("OsRng", "chance comes from Entropy"),
    ("getrandom", "chance comes from Entropy"),
    ("RandomState", "chance comes from Entropy"),
];

/// Names that say nothing about what is inside.
const EMPTY_NAMES: [&str; 8] = [
    "mod.rs",
    "utils.rs",
    "util.rs",
    "common.rs",
    "helpers.rs",
    "types.rs",
    "manager.rs",
    "misc.rs",
];

/// A source file.
struct Source {
    /// Its path from the top of the workspace.
    path: String,
    text: String,
}

impl Source {
    /// The file without comments and without its tests, which stand at its foot.
    fn code(&self) -> String {
        let end = self.text.find("#[cfg(test)]").unwrap_or(self.text.len());
        let mut code = String::new();
        for line in self.text[..end].lines() {
            if !line.trim_start().starts_with("//") {
                code.push_str(line);
                code.push('\n');
            }
        }
        code
    }
}

fn top() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap().to_owned()
}

fn sources(member: &str) -> Vec<Source> {
    let mut found = Vec::new();
    collect(&top(), &top().join(member), &mut found);
    found.sort_by(|a, b| a.path.cmp(&b.path));
    assert!(!found.is_empty(), "no sources in {member}");
    found
}

fn collect(top: &Path, dir: &Path, found: &mut Vec<Source>) {
    for entry in fs::read_dir(dir).unwrap().map(Result::unwrap) {
        let path = entry.path();
        if path.is_dir() {
            if path.file_name().unwrap() != "target" {
                collect(top, &path, found);
            }
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            let text = fs::read_to_string(&path).unwrap();
            let path = path.strip_prefix(top).unwrap().display().to_string();
            found.push(Source { path, text });
        }
    }
}

/// The core, without the files that hold tests only.
fn core_sources() -> Vec<Source> {
    let mut sources = sources("proto-core");
    sources.retain(|source| {
        source.path.starts_with("proto-core/src/")
            && !source.path.ends_with("/tests.rs")
            && !source.path.contains("/tests/")
    });
    sources
}

fn assert_none(mistakes: &[String]) {
    assert!(mistakes.is_empty(), "\n{}", mistakes.join("\n"));
}

#[test]
fn the_core_is_pure() {
    let mut mistakes = Vec::new();
    for source in core_sources() {
        let code = source.code();
        for (word, why) in IMPURE {
            if code.contains(word) {
                mistakes.push(format!("{}: {word}: {why}", source.path));
            }
        }
    }
    assert_none(&mistakes);
}

#[test]
fn the_parts_of_the_core_depend_on_what_is_further_in() {
    let layer = |part: &str| LAYERS.iter().position(|parts| parts.contains(&part));
    let mut mistakes = Vec::new();
    for source in core_sources() {
        let inner = source.path.strip_prefix("proto-core/src/").unwrap();
        let part = inner.split(['/', '.']).next().unwrap();
        if part == "lib" {
            continue;
        }
        let Some(own) = layer(part) else {
            mistakes.push(format!("{}: {part} has no place among the layers", source.path));
            continue;
        };
        for used in uses(&source.code()) {
            if layer(&used).is_some_and(|used| used < own) {
                mistakes.push(format!("{}: {part} uses {used}, which is further out", source.path));
            }
        }
    }
    assert_none(&mistakes);
}

/// The parts of the core that a file mentions.
fn uses(code: &str) -> BTreeSet<String> {
    let mut used = BTreeSet::new();
    for (at, _) in code.match_indices("crate::") {
        let rest = &code[at + "crate::".len()..];
        if let Some(list) = rest.strip_prefix('{') {
            // `use crate::{pool::Pool, wire};`: the words at the outermost level.
            let mut depth = 0;
            let mut word = String::new();
            for letter in list.chars() {
                match letter {
                    '{' => depth += 1,
                    '}' if depth == 0 => break,
                    '}' => depth -= 1,
                    ',' if depth == 0 => used.extend([first_word(&word)]),
                    _ => {}
                }
                if letter == ',' && depth == 0 { word.clear() } else { word.push(letter) }
            }
            used.insert(first_word(&word));
        } else {
            used.insert(first_word(rest));
        }
    }
    used
}

fn first_word(text: &str) -> String {
    text.trim().chars().take_while(|c| c.is_alphanumeric() || *c == '_').collect()
}

#[test]
fn what_a_file_uses_is_found_however_it_is_written() {
    let cases: [(&str, &[&str]); 5] = [
        ("use crate::pool::Pool;", &["pool"]),
        ("use crate::{id::ConnId, wire::{self, frame}, time};", &["id", "time", "wire"]),
        ("fn f() -> crate::session::Session {}", &["session"]),
        ("use crate::limits;", &["limits"]),
        ("use super::pool;", &[]),
    ];
    for (code, expected) in cases {
        let expected: BTreeSet<String> = expected.iter().map(|part| (*part).to_owned()).collect();
        assert_eq!(uses(code), expected, "{code}");
    }
}

#[test]
fn the_core_and_the_drivers_depend_on_whom_they_may() {
    // Who may depend on which members.
    let allowed: [(&str, &[&str]); 7] = [
        ("proto-core", &[]),
        ("host", &["pgherd-core"]),
        ("runtime-smol", &["pgherd-core", "pgherd-host"]),
        ("runtime-glommio", &["pgherd-core", "pgherd-host"]),
        ("runtime-sim", &["pgherd-core"]),
        ("herd", &[]),
        (
            "cli",
            &[
                "pgherd-core",
                "pgherd-host",
                "pgherd-smol",
                "pgherd-glommio",
                "pgherd-sim",
                "pgherd-herd",
            ],
        ),
    ];
    let mut mistakes = Vec::new();
    for (member, may) in allowed {
        let manifest = fs::read_to_string(top().join(member).join("Cargo.toml")).unwrap();
        let mut section = "";
        for line in manifest.lines() {
            if line.starts_with('[') {
                section = line;
            }
            if !section.ends_with("dependencies]") || section == "[dev-dependencies]" {
                continue;
            }
            let name = line.split(['=', '.', ' ']).next().unwrap_or_default();
            if name.starts_with("pgherd-") && !may.contains(&name) {
                mistakes.push(format!("{member} must not depend on {name}"));
            }
        }
    }
    assert_none(&mistakes);
}

#[test]
fn files_can_be_read_in_one_sitting() {
    let mut mistakes = Vec::new();
    for source in MEMBERS.iter().flat_map(|member| sources(member)) {
        let count = source.text.lines().count();
        if count > LINES_MAX {
            mistakes.push(format!("{}: {count} lines, more than {LINES_MAX}", source.path));
        }
    }
    assert_none(&mistakes);
}

#[test]
fn files_are_named_for_what_is_inside() {
    let mut mistakes = Vec::new();
    for source in MEMBERS.iter().flat_map(|member| sources(member)) {
        let name = source.path.rsplit('/').next().unwrap();
        if EMPTY_NAMES.contains(&name) {
            mistakes.push(format!("{}: a name that says nothing", source.path));
        }
    }
    assert_none(&mistakes);
}

#[test]
fn drivers_know_no_message_types() {
    let mut mistakes = Vec::new();
    let drivers = ["runtime-smol", "runtime-glommio", "host"].into_iter().flat_map(sources);
    for source in drivers {
        for (number, line) in source.code().lines().enumerate() {
            // b'Z' and the like: one letter or digit between quotes.
            let has_tag = line.match_indices("b'").any(|(at, _)| {
                let rest = line.as_bytes().get(at + 2..at + 4).unwrap_or_default();
                matches!(rest, [tag, b'\''] if tag.is_ascii_alphanumeric())
            });
            if has_tag {
                mistakes.push(format!("{}: code line {}: {line}", source.path, number + 1));
            }
        }
    }
    assert_none(&mistakes);
}

#[test]
fn every_scenario_is_in_every_lane() {
    let listed: Vec<&str> = pgherd_tests::scenarios::all::<pgherd_tests::real::Real>()
        .iter()
        .map(|scenario| scenario.name)
        .collect();
    let distinct: BTreeSet<&str> = listed.iter().copied().collect();
    assert_eq!(distinct.len(), listed.len(), "a name occurs twice");

    let mut declared = BTreeSet::new();
    for source in sources("tests") {
        if !source.path.starts_with("tests/src/scenarios/") {
            continue;
        }
        for line in source.text.lines() {
            let function = line.strip_prefix("pub fn ").and_then(|rest| rest.split_once('('));
            if let Some((name, arguments)) = function
                && arguments.starts_with("w: &mut impl World)")
            {
                declared.insert(name.to_owned());
            }
        }
    }
    let listed: BTreeSet<String> = distinct.into_iter().map(str::to_owned).collect();
    assert_eq!(declared, listed, "declared, and listed in scenarios.rs");

    let manifest = fs::read_to_string(top().join("tests/Cargo.toml")).unwrap();
    for (lane, plays) in [("sim", "all::<"), ("smol", "lane::main("), ("glommio", "lane::main(")] {
        let path = top().join("tests/tests").join(lane).with_extension("rs");
        let text = fs::read_to_string(path).unwrap();
        assert!(text.contains(plays), "{lane} plays all scenarios");
        assert!(manifest.contains(&format!("name = \"{lane}\"")), "{lane} is not built");
    }
}

#[test]
fn every_parameter_is_documented() {
    let path = top().join("docs/configuration.md");
    let text =
        fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    let mistakes: Vec<String> = pgherd_core::config::parameters::all()
        .iter()
        .filter(|parameter| parameter.effect == pgherd_core::config::parameters::Effect::InEffect)
        .filter(|parameter| !text.contains(&format!("`{}", parameter.name)))
        .map(|parameter| format!("{}: not in docs/configuration.md", parameter.name))
        .collect();
    assert_none(&mistakes);
}
