//! Clients that send on before they have been answered.

pub use super::routing::standby_only;
use crate::client::compose;
use crate::play::{LIMIT, PRIMARY, Play};
use crate::world::{Fate, World};

/// Requests in one burst: more than the answers that pgherd lets a server owe.
const BURST: usize = 4500;

/// A setting and a statement in one packet: the setting holds afterwards, on both servers.
pub fn a_setting_sent_ahead_of_a_statement_holds(w: &mut impl World) {
    let app = w.connect("app");
    let both = [compose::query("set work_mem = '7MB'"), compose::query("select 1")];
    w.post(&app, &both.concat());
    assert_eq!(w.finish(&app).good().tags(), ["SET"]);
    assert_eq!(w.finish(&app).good().value(), "1");
    for begin in ["begin", "begin read only"] {
        w.run(&app, begin);
        assert_eq!(w.run(&app, "show work_mem").value(), "7MB", "after {begin}");
        w.run(&app, "commit");
    }
}

/// The data of a COPY in one packet with its command, and a query behind it.
pub fn copy_data_sent_ahead_arrives(w: &mut impl World) {
    let app = w.connect("app");
    w.run(&app, "create table sent_ahead (n int)");
    let burst = [
        compose::query("copy sent_ahead from stdin"),
        compose::copy_data(b"1\n2\n"),
        compose::copy_data(b"3\n"),
        compose::copy_done(),
        compose::query("insert into sent_ahead values (4)"),
    ];
    w.post(&app, &burst.concat());
    assert_eq!(w.finish(&app).good().tags(), ["COPY 3"]);
    assert_eq!(w.finish(&app).good().tags(), ["INSERT 0 1"]);
    assert_eq!(w.truth(PRIMARY, "select count(*) from sent_ahead"), "4");
}

/// However much a client sends ahead, everything is answered, in order.
pub fn a_long_burst_is_answered_to_its_end(w: &mut impl World) {
    let app = w.connect("app");
    w.post(&app, &compose::query("select 1").repeat(BURST));
    for _ in 0..BURST {
        assert_eq!(w.finish(&app).good().value(), "1");
    }
    assert_eq!(w.run(&app, "select 2").value(), "2");
}

/// A statement is closed on both servers while its transaction is ended on one: the answers come
/// in order, and the transaction is over.
pub fn a_statement_closed_ahead_of_a_commit(w: &mut impl World) {
    let app = w.connect("app");
    let run = [compose::bind("", "closed_ahead", &[]), compose::execute("", 0), compose::sync()];
    w.post(&app, &[compose::parse("closed_ahead", "select 1"), compose::sync()].concat());
    w.finish(&app).good();
    for begin in ["begin", "begin read only"] {
        w.run(&app, begin);
        w.post(&app, &run.concat());
        w.finish(&app).good();
        if begin == "begin" {
            w.run(&app, "commit");
        }
    }
    let burst = [
        compose::close_statement("closed_ahead"),
        compose::sync(),
        compose::query("commit"),
        compose::query("select 1"),
    ];
    w.post(&app, &burst.concat());
    assert_eq!(w.finish(&app).good().status, Some(b'T'));
    let commit = w.finish(&app).good();
    assert_eq!((commit.tags(), commit.status), (vec!["COMMIT"], Some(b'I')));
    assert_eq!(w.finish(&app).good().value(), "1");
}

/// A transaction whose beginning was lost with its server does not go on in pieces.
pub fn a_transaction_lost_at_its_beginning_stays_failed(w: &mut impl World) {
    let app = w.connect("app");
    w.run(&app, "create table lost_early (n int)");
    w.post(&app, &compose::query("begin; select pg_sleep(100)"));
    w.wait("the statement is running", LIMIT, |w| w.server_connections(PRIMARY) > 0);
    w.settle();
    w.befall(PRIMARY, Fate::TerminateSessions);
    assert!(w.finish(&app).failed());
    assert_eq!(w.query(&app, "insert into lost_early values (1)").code(), "25P02");
    w.run(&app, "rollback");
    assert_eq!(w.truth(PRIMARY, "select count(*) from lost_early"), "0");
    w.run(&app, "insert into lost_early values (2)");
}
