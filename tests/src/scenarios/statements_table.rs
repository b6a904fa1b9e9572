//! Every statement of the table that routing goes by, in both protocols.

use pgherd_core::route::examples::{Example, examples};

pub use super::routing::standby_only;
pub use super::show::told_per_node;
use crate::client::{Answer, Client};
use crate::play::Play;
use crate::world::World;

/// Texts that no `EXPLAIN ROUTE` can hold: several statements, or what has no end or no beginning.
/// Where the table has more of them, its new rows prove too little.
const UNEXPLAINED_MAX: usize = 40;

/// Where a row of `EXPLAIN ROUTE` sends a statement, in the words of the table.
fn side(answer: &Answer) -> String {
    let rows = answer.rows();
    let server = rows.first().map_or("nobody", |row| &row[0]);
    match server {
        _ if server.starts_with("node 0 (primary, ") => "primary",
        _ if server.starts_with("node 1 (standby, ") => "replica",
        other => other,
    }
    .to_owned()
}

/// `EXPLAIN ROUTE` says of every statement what the table says, however it is asked.
pub fn every_example_is_explained(w: &mut impl World) {
    let mut app = w.connect("app");
    let (mut wrong, mut unexplained, mut count) = (Vec::new(), 0, 0);
    for Example { side: expected, text, .. } in examples() {
        let question = format!("explain route {text}");
        let simple = w.query(&app, &question);
        let extended = w.extended(&app, &question, &[]);
        count += 1;
        if simple.failed() || simple.columns() != ["server", "reason", "depends_on"] {
            // A plain EXPLAIN, as the server reads it.
            assert_eq!(simple.columns(), extended.columns(), "{text}");
            unexplained += 1;
            // Who knows what the server has made of it.
            w.terminate(&app);
            app = w.connect("app");
            continue;
        }
        for (protocol, answer) in [("simple", simple), ("extended", extended)] {
            let found = side(&answer);
            if found != expected {
                wrong.push(format!("{text}\n    goes to {found}, not {expected} ({protocol})"));
            }
        }
    }
    assert!(count >= 300, "{count} statements");
    assert!(unexplained <= UNEXPLAINED_MAX, "{unexplained} of {count} are not explained");
    assert!(wrong.is_empty(), "{} of {count}:\n{}", wrong.len(), wrong.join("\n"));
}

/// Beginnings of statements that leave nothing behind, in a database without tables.
const HARMLESS: [&str; 9] =
    ["select", "values", "table", "with", "show", "insert", "update", "delete", "explain"];

/// Tells whether a statement may be carried out, or fail, without consequences for the next one.
fn is_harmless(example: &Example) -> bool {
    let text = example.text.trim_start_matches(['(', ' ']).to_ascii_lowercase();
    let begins = |word: &&str| text.starts_with(*word);
    // What pgherd answers or refuses is told to nobody.
    let is_sent = example.side != "pgherd" && !text.contains("show pool_");
    let is_brief = example.state == "-" && !text.contains(';');
    is_sent && is_brief && HARMLESS.iter().any(begins)
}

/// The node that a statement went to first, as its client is told.
fn told_node(answer: &Answer) -> Option<usize> {
    let notices = answer.notices();
    let rest = notices.first()?.strip_prefix("DB node id: ")?;
    rest.split(' ').next()?.parse().ok()
}

fn lands(w: &mut impl World, client: &Client, example: &Example) -> Vec<String> {
    let expected = usize::from(example.side == "replica");
    let simple = w.query(client, &example.text);
    let extended = w.extended(client, &example.text, &[]);
    [("simple", simple), ("extended", extended)]
        .into_iter()
        .filter(|(_, answer)| told_node(answer) != Some(expected))
        .map(|(protocol, answer)| {
            format!("{} ({protocol}): {:?}, {}", example.text, told_node(&answer), answer.trouble())
        })
        .collect()
}

/// Statements go where they are said to go, whether they can be carried out there or not.
pub fn harmless_examples_land_there(w: &mut impl World) {
    let app = w.connect("app");
    let (mut wrong, mut count) = (Vec::new(), 0);
    for example in examples().filter(is_harmless) {
        count += 1;
        wrong.extend(lands(w, &app, &example));
    }
    assert!(count >= 150, "{count} statements");
    assert!(wrong.is_empty(), "{} of {count}:\n{}", wrong.len(), wrong.join("\n"));
}
