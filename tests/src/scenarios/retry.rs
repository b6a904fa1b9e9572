//! Statements that write although their text does not show it: a standby refuses them, and they are
//! sent again to the primary, without the client's noticing.

use crate::client::{Client, compose};
use crate::play::{PRIMARY, Play};
use crate::world::{Setup, World};

/// Reads go to the first standby.
#[must_use]
pub fn standby_only() -> Setup {
    Setup::weights(&[0.0, 1.0, 0.0])
}

/// The same, with connections that are given back between transactions.
#[must_use]
pub fn shared() -> Setup {
    standby_only().set("pool_mode = \"transaction\"").set("worker_threads = 1")
}

/// A view that looks like a table and inserts a row whenever it is read.
pub(crate) fn prepare(w: &mut impl World, client: &Client) {
    w.table(client, "seen", 1);
    w.run(
        client,
        "create function note_seen() returns int language sql volatile \
         as 'insert into seen values (1) returning n'",
    );
    w.run(client, "create view looks_harmless as select note_seen() as n");
    // Where this is, the view is too.
    w.table(client, "made_after", 1);
}

fn count(w: &mut impl World, expected: &str) {
    assert_eq!(w.truth(PRIMARY, "select count(*) from seen"), expected);
}

/// By the simple protocol.
pub fn a_refused_query_goes_to_the_primary(w: &mut impl World) {
    let client = w.connect("app");
    prepare(w, &client);
    for seen in ["1", "2", "3"] {
        assert_eq!(w.run(&client, "select n from looks_harmless").value(), "1");
        count(w, seen);
    }
    assert_eq!(w.run(&client, "select 7").value(), "7");
}

/// By the extended protocol, unnamed and named.
pub fn a_refused_batch_goes_to_the_primary(w: &mut impl World) {
    let client = w.connect("app");
    prepare(w, &client);
    assert_eq!(w.extended(&client, "select n from looks_harmless", &[]).value(), "1");
    count(w, "1");
    w.post(
        &client,
        &[compose::parse("s", "select n, 2 from looks_harmless"), compose::sync()].concat(),
    );
    w.finish(&client).good();
    for seen in ["2", "3"] {
        let run = [compose::bind("", "s", &[]), compose::execute("", 0), compose::sync()].concat();
        w.post(&client, &run);
        let answer = w.finish(&client);
        assert!(!answer.failed(), "{}", answer.trouble());
        assert_eq!(answer.rows().len(), 1);
        count(w, seen);
    }
}

/// Several at once: each is answered once, in order.
pub fn refused_queries_sent_ahead_are_answered_in_order(w: &mut impl World) {
    let client = w.connect("app");
    prepare(w, &client);
    for text in ["select 1", "select n + 1 from looks_harmless", "select 3", "select 4"] {
        w.query_start(&client, text);
    }
    for value in ["1", "2", "3", "4"] {
        assert_eq!(w.finish(&client).value(), value);
    }
    count(w, "1");
}

/// What fails for another reason fails, once.
pub fn an_error_is_not_repeated(w: &mut impl World) {
    let client = w.connect("app");
    prepare(w, &client);
    assert_eq!(w.query(&client, "select no_such_column from seen").code(), "42703");
    assert_eq!(w.query(&client, "select 1/0").code(), "22012");
    w.run(&client, "begin read only");
    assert_eq!(w.query(&client, "select n from looks_harmless").code(), "25006");
    w.query(&client, "rollback");
    count(w, "0");
}
