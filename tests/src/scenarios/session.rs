//! What a session sets up, and what of it is seen where.

pub use super::routing::standby_only;
use crate::client::{Login, compose};
use crate::play::{LIMIT, Play};
use crate::world::{Fate, World};

const STANDBY: usize = 1;
const STANDBYS: usize = 2;

/// Begins a transaction that the standby serves, and one that the primary serves.
const BOTH: [&str; 2] = ["begin read only", "begin"];

/// A setting holds on the server that knows it and on the one that the session reaches later.
pub fn settings_hold_on_both_servers_of_a_session(w: &mut impl World) {
    let app = w.connect("app");
    w.run(&app, "set work_mem = '5MB'");
    for begin in BOTH {
        w.run(&app, begin);
        assert_eq!(w.run(&app, "show work_mem").value(), "5MB", "after {begin}");
        w.run(&app, "commit");
    }
    // Now that both are there, a change must reach both.
    w.run(&app, "set work_mem = '6MB'");
    for begin in BOTH {
        w.run(&app, begin);
        assert_eq!(w.run(&app, "show work_mem").value(), "6MB", "after {begin}");
        w.run(&app, "commit");
    }
    w.run(&app, "reset work_mem");
    let normal = w.run(&app, "show work_mem").value();
    for begin in BOTH {
        w.run(&app, begin);
        assert_eq!(w.run(&app, "show work_mem").value(), normal, "after {begin}");
        w.run(&app, "commit");
    }
}

/// What a client asks for in its startup packet holds on every server that serves it.
pub fn settings_given_at_login_hold_on_both_servers(w: &mut impl World) {
    let app = w.connect_as(&Login::app("app").with("work_mem", "7MB"));
    for begin in BOTH {
        w.run(&app, begin);
        assert_eq!(w.run(&app, "show work_mem").value(), "7MB", "after {begin}");
        assert_eq!(w.run(&app, "show application_name").value(), "app", "after {begin}");
        w.run(&app, "commit");
    }
}

/// A setting of a transaction that is rolled back is undone, on every server.
pub fn a_setting_rolled_back_holds_nowhere(w: &mut impl World) {
    let app = w.connect("app");
    w.run(&app, "set work_mem = '5MB'");
    w.run(&app, "begin");
    w.run(&app, "set work_mem = '9MB'");
    assert_eq!(w.run(&app, "show work_mem").value(), "9MB");
    w.run(&app, "rollback");
    for begin in BOTH {
        w.run(&app, begin);
        assert_eq!(w.run(&app, "show work_mem").value(), "5MB", "after {begin}");
        w.run(&app, "commit");
    }
}

/// A temporary table exists on the primary only; reads of it go there.
pub fn a_temporary_table_stays_visible_to_its_session(w: &mut impl World) {
    let app = w.connect("app");
    w.run(&app, "select 1");
    w.run(&app, "create temp table mine (n int)");
    w.run(&app, "insert into mine values (1), (2)");
    for _ in 0..3 {
        assert_eq!(w.run(&app, "select count(*) from mine").value(), "2");
        assert_eq!(w.extended(&app, "select count(*) from mine", &[]).good().value(), "2");
    }
    let other = w.connect("other");
    assert_eq!(w.query(&other, "select count(*) from mine").code(), "42P01");
}

/// A statement prepared once is executed wherever its transaction is.
pub fn prepared_statements_work_in_and_out_of_transactions(w: &mut impl World) {
    let app = w.connect("app");
    w.table(&app, "prepared", STANDBYS);
    w.befall(STANDBY, Fate::PauseReplay);
    w.run(&app, "insert into prepared values (1)");
    let sql = "select count(*) from prepared where n = $1::int";
    w.post(&app, &[compose::parse("by_n", sql), compose::sync()].concat());
    assert_eq!(w.finish(&app).good().shape(), "1");

    let run = [compose::bind("", "by_n", &["1"]), compose::execute("", 0), compose::sync()];
    // Outside of transactions the standby serves it; it has not seen the row.
    let places = [("", "0"), ("begin", "1"), ("begin read only", "0"), ("", "0")];
    for (begin, expected) in places {
        if !begin.is_empty() {
            w.run(&app, begin);
        }
        w.post(&app, &run.concat());
        let answer = w.finish(&app).good();
        assert_eq!((answer.shape().as_str(), answer.value().as_str()), ("2DC", expected));
        if !begin.is_empty() {
            w.run(&app, "commit");
        }
    }
    w.post(&app, &[compose::describe_statement("by_n"), compose::sync()].concat());
    assert_eq!(w.finish(&app).good().shape(), "tT");
}

/// So is one prepared by SQL.
pub fn statements_prepared_by_sql_work_everywhere(w: &mut impl World) {
    let app = w.connect("app");
    w.table(&app, "prepared_by_sql", STANDBYS);
    w.run(&app, "prepare put as insert into prepared_by_sql values (1)");
    w.run(&app, "prepare look as select count(*) from prepared_by_sql");
    assert_eq!(w.run(&app, "execute put").tags(), ["INSERT 0 1"]);
    w.wait("the row is replicated", LIMIT, |w| w.run(&app, "execute look").value() == "1");
    for begin in BOTH {
        w.run(&app, begin);
        assert_eq!(w.run(&app, "execute look").value(), "1", "after {begin}");
        w.run(&app, "commit");
    }
    w.run(&app, "deallocate look");
    assert_eq!(w.query(&app, "execute look").code(), "26000");
}

/// Rows are fetched from where the cursor was declared.
pub fn a_cursor_lives_as_long_as_its_transaction(w: &mut impl World) {
    let app = w.connect("app");
    for begin in BOTH {
        w.run(&app, begin);
        w.run(&app, "declare c cursor for select generate_series(1, 5)");
        assert_eq!(w.run(&app, "fetch 2 from c").rows(), [["1"], ["2"]], "after {begin}");
        assert_eq!(w.run(&app, "fetch 2 from c").rows(), [["3"], ["4"]], "after {begin}");
        w.run(&app, "commit");
        assert_eq!(w.query(&app, "fetch 1 from c").code(), "34000", "after {begin}");
    }
}

/// `ParameterStatus` comes at login and with every change.
pub fn changes_of_parameters_are_told(w: &mut impl World) {
    let app = w.connect("app");
    for name in ["server_version", "client_encoding", "DateStyle", "standard_conforming_strings"] {
        assert!(app.state().parameters.contains_key(name), "{name}");
    }
    let told = |app: &crate::client::Client| app.state().parameters["application_name"].clone();
    assert_eq!(told(&app), "app");
    w.run(&app, "set application_name = 'other'");
    assert_eq!(told(&app), "other");
    w.run(&app, "begin");
    w.run(&app, "set application_name = 'third'");
    assert_eq!(told(&app), "third");
    w.run(&app, "rollback");
    assert_eq!(told(&app), "other");
}

/// A notice comes in front of the completion of its statement.
pub fn notices_pass_through(w: &mut impl World) {
    let app = w.connect("app");
    let answer = w.run(&app, "do $$ begin raise notice 'something to know'; end $$");
    assert_eq!(answer.notices(), ["something to know"]);
    assert_eq!(answer.shape(), "NC");
    let answer = w.query(&app, "do $$ begin raise exception 'something wrong'; end $$");
    assert_eq!((answer.code(), answer.status), ("P0001", Some(b'I')));
}

/// A notification comes to a client that listens, even if it asks for nothing.
pub fn notifications_reach_whoever_listens(w: &mut impl World) {
    let listener = w.connect("listener");
    let deaf = w.connect("deaf");
    let speaker = w.connect("speaker");
    w.run(&listener, "listen news");
    w.run(&speaker, "notify news, 'first'");
    w.run(&speaker, "notify gossip, 'nobody listens'");
    w.run(&speaker, "notify news, 'second'");
    w.wait("two notifications", LIMIT, |w| {
        w.pump(&listener);
        listener.state().notifications.len() == 2
    });
    let heard: Vec<_> = listener
        .state()
        .notifications
        .iter()
        .map(|(_, channel, payload)| (channel.clone(), payload.clone()))
        .collect();
    let news = |payload: &str| ("news".to_owned(), payload.to_owned());
    assert_eq!(heard, [news("first"), news("second")]);
    w.run(&deaf, "select 1");
    assert!(deaf.state().notifications.is_empty());
    w.run(&listener, "unlisten *");
    w.run(&speaker, "notify news, 'third'");
    w.run(&listener, "select 1");
    assert_eq!(listener.state().notifications.len(), 2);
}
