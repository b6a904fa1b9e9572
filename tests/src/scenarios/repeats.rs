//! What a session wants to be set, set again: behind its own resets, and on its next connection.

use crate::client::{Client, Login, compose};
use crate::play::{PRIMARY, Play};
use crate::world::World;

pub use super::transaction::one_shared;

const CREATE: &str = "create access method other type table handler heap_tableam_handler";
const DROP: &str = "drop access method other";
const SHOW: &str = "show default_table_access_method";
const INSERT: &str = "insert into marks values (1)";

/// What the client has been told last of a parameter.
fn told(client: &Client, name: &str) -> Option<String> {
    client.state().parameters.get(name).cloned()
}

/// A client that was told of another value than the server's default hears of the default when it
/// resets to that, though what it asked for at login says the same and is set anew.
pub fn a_reset_to_the_servers_default_is_told(w: &mut impl World) {
    let b = w.connect("b");
    for (name, other) in
        [("client_encoding", "LATIN1"), ("TimeZone", "Asia/Tokyo"), ("DateStyle", "German, DMY")]
    {
        let normal = w.run(&b, &format!("show {name}")).value();
        let a = w.connect_as(&Login::app("a").with(name, &normal));
        for reset in [format!("reset {name}").as_str(), "reset all", "discard all"] {
            for end in ["", "commit", "rollback"] {
                let is_whole = !end.is_empty() && reset != "discard all";
                w.run(&a, &format!("set {name} = '{other}'"));
                assert_eq!(told(&a, name).as_deref(), Some(other));
                if is_whole {
                    w.run(&a, "begin");
                }
                w.run(&a, reset);
                assert_eq!(w.run(&a, &format!("show {name}")).value(), normal);
                assert_eq!(told(&a, name).as_ref(), Some(&normal), "{name}, {reset}, {end}");
                if is_whole {
                    w.run(&a, end);
                }
                let holds = w.run(&a, &format!("show {name}")).value();
                assert_eq!(told(&a, name), Some(holds), "{name}, {reset}, {end}");
            }
        }
        w.terminate(&a);
    }
}

/// So it does where not all could be set anew at once, as soon as it is.
pub fn a_reset_that_is_made_good_later_is_told(w: &mut impl World) {
    w.sql(PRIMARY, CREATE).expect("the primary is well");
    let b = w.connect("b");
    let normal = w.run(&b, "show timezone").value();
    let login = Login::app("a").with("TimeZone", &normal);
    let a = w.connect_as(&login.with("options", "-c default_table_access_method=other"));
    w.run(&a, "set timezone = 'Asia/Tokyo'");
    w.sql(PRIMARY, DROP).expect("nothing uses it");
    w.run(&a, "reset all");
    assert!(w.query(&a, "select 1").failed(), "the method is gone");
    assert_ne!(w.run(&b, SHOW).value(), "other");
    w.sql(PRIMARY, CREATE).expect("the primary is well");
    assert_eq!(w.run(&a, "show timezone").value(), normal);
    assert_eq!(told(&a, "TimeZone"), Some(normal));
}

/// What was asked for at login and cannot be repeated stops statements, and costs no connection;
/// a `SET` of the client's own ends the trouble.
pub fn a_parameter_of_login_that_cannot_be_repeated(w: &mut impl World) {
    w.sql(PRIMARY, CREATE).expect("the primary is well");
    w.sql(PRIMARY, "create table marks (n int)").expect("the primary is well");
    let login = Login::app("a").with("options", "-c default_table_access_method=other");
    let a = w.connect_as(&login);
    let b = w.connect("b");
    let before = w.run(&b, "select pg_backend_pid()").value();
    w.sql(PRIMARY, DROP).expect("nothing uses it");
    for reset in ["reset default_table_access_method", "reset all", "discard all"] {
        for _ in 0..3 {
            let refused = w.query(&a, INSERT);
            assert_eq!((refused.code(), refused.status), ("22023", Some(b'I')));
        }
        w.run(&a, reset);
        assert_eq!(w.query(&a, INSERT).code(), "22023", "that was no way out");
        w.run(&a, "set default_table_access_method = 'heap'");
        assert_eq!(w.run(&b, SHOW).value(), "heap");
        assert_eq!(w.run(&a, SHOW).value(), "heap");
        assert_eq!(w.extended(&a, reset, &[]).code(), "");
    }
    assert_eq!(w.truth(PRIMARY, "select count(*) from marks"), "0");
    assert_eq!(w.run(&b, "select pg_backend_pid()").value(), before, "one served all along");
}

/// A `SET` that was to replace what cannot be repeated, and fails, replaces nothing: what comes
/// behind it is not carried out with the server's default.
pub fn a_failed_way_out_leaves_the_trouble(w: &mut impl World) {
    const FAILS: &str = "set default_table_access_method = 'neither'";
    w.sql(PRIMARY, CREATE).expect("the primary is well");
    w.sql(PRIMARY, "create table marks (n int)").expect("the primary is well");
    let (a, b) = (w.connect("a"), w.connect("b"));
    w.run(&a, "set default_table_access_method = 'other'");
    w.run(&b, "select 1");
    w.sql(PRIMARY, DROP).expect("nothing uses it");
    for _ in 0..2 {
        w.post(&a, &[compose::query(FAILS), compose::query(INSERT)].concat());
        assert!(w.finish(&a).trouble().contains("neither"));
        let behind = w.finish(&a);
        assert_eq!((behind.code(), behind.status), ("22023", Some(b'I')));
        assert!(w.extended(&a, FAILS, &[]).trouble().contains("neither"));
        assert!(w.extended(&a, INSERT, &[]).failed());
    }
    assert_eq!(w.truth(PRIMARY, "select count(*) from marks"), "0");
    w.sql(PRIMARY, CREATE).expect("the primary is well");
    assert_eq!(w.run(&a, SHOW).value(), "other");
    w.run(&b, "select 1");
    w.sql(PRIMARY, DROP).expect("nothing uses it");
    w.run(&a, "reset default_table_access_method");
    assert_eq!(w.run(&a, SHOW).value(), "heap");
}
