//! Who may come in, and what is agreed on at the door.

use crate::client::{Login, compose};
use crate::play::{LIMIT, Play};
use crate::world::{End, ServerAuth, Setup, World};

/// Servers that ask for SCRAM, behind a pgherd that asks for MD5 digests.
#[must_use]
pub fn md5_before_scram() -> Setup {
    Setup::default().set("auth_method = \"md5\"")
}

/// Two users beside the superuser.
#[must_use]
pub fn more_users() -> Setup {
    Setup::default().user("alice", "wonderland").user("bob", "builder's %\u{20ac}")
}

/// Servers that ask for MD5 digests.
#[must_use]
pub fn md5() -> Setup {
    Setup::default().auth(ServerAuth::Md5)
}

/// Servers that ask for passwords in clear text.
#[must_use]
pub fn password() -> Setup {
    Setup::default().auth(ServerAuth::Password)
}

/// Servers that ask for nothing.
#[must_use]
pub fn trust() -> Setup {
    Setup::default().auth(ServerAuth::Trust)
}

/// Both sides prove that they know the password.
pub fn a_login_by_scram(w: &mut impl World) {
    comes_in_and_works(w);
    let wrong = Login::user("postgres", "wrong");
    assert_eq!(refusal(w, &wrong), "28P01");
    comes_in_and_works(w);
}

/// The password is proved by a digest.
pub fn a_login_by_md5(w: &mut impl World) {
    comes_in_and_works(w);
}

/// The password is sent as it is.
pub fn a_login_by_clear_password(w: &mut impl World) {
    comes_in_and_works(w);
    let wrong = Login::user("postgres", "wrong");
    assert_eq!(refusal(w, &wrong), "28P01");
}

/// Nothing is asked for.
pub fn a_login_without_password(w: &mut impl World) {
    comes_in_and_works(w);
}

/// What pgherd asks for is its own affair when it is told what; the servers get what they ask for.
pub fn auth_method_overrules_the_servers(w: &mut impl World) {
    let conn = w.open();
    w.send(conn, &Login::default().packet());
    let mut asked = Vec::new();
    w.wait("a request for a password", LIMIT, |w| {
        asked.extend(w.take(conn));
        asked.len() >= MD5_REQUEST.len()
    });
    assert!(asked.starts_with(MD5_REQUEST), "{asked:?}");
    w.close(conn, End::Orderly);
    comes_in_and_works(w);
    assert_eq!(refusal(w, &Login::user("postgres", "wrong")), "28P01");
    comes_in_and_works(w);
}

/// Right user, wrong password; and right password of somebody else.
pub fn a_wrong_password_is_refused(w: &mut impl World) {
    for password in ["", "Wonderland", "wonderland ", "postgres", "builder's %\u{20ac}"] {
        assert_eq!(refusal(w, &Login::user("alice", password)), "28P01", "{password:?}");
    }
}

/// The same by digest.
pub fn a_wrong_md5_password_is_refused(w: &mut impl World) {
    for password in ["", "Postgres", "postgres "] {
        assert_eq!(refusal(w, &Login::user("postgres", password)), "28P01", "{password:?}");
    }
    comes_in_and_works(w);
}

/// Nobody can find out which users there are.
pub fn an_unknown_user_looks_like_a_wrong_password(w: &mut impl World) {
    unknown_users_are_not_told_apart(w);
}

/// The same by digest.
pub fn an_unknown_user_looks_like_a_wrong_md5_password(w: &mut impl World) {
    unknown_users_are_not_told_apart(w);
}

/// The same in clear text.
pub fn an_unknown_user_looks_like_a_wrong_clear_password(w: &mut impl World) {
    unknown_users_are_not_told_apart(w);
}

fn unknown_users_are_not_told_apart(w: &mut impl World) {
    let known = w.try_connect(&Login::user("postgres", "wrong")).expect_err("a wrong password");
    let unknown = w.try_connect(&Login::user("nobody_here", "wrong")).expect_err("no such user");
    assert_eq!(unknown.code(), "28P01");
    let told: Vec<String> = [known, unknown]
        .iter()
        .map(|fields| fields.message().replace("nobody_here", "postgres"))
        .collect();
    assert_eq!(told[0], told[1]);
}

/// Each user is that user on the server.
pub fn users_log_in_as_themselves(w: &mut impl World) {
    let alice = w.connect_as(&Login::user("alice", "wonderland"));
    let bob = w.connect_as(&Login::user("bob", "builder's %\u{20ac}"));
    w.run(&alice, "select 1");
    w.run(&bob, "select 1");
    let pids: Vec<String> =
        [&alice, &bob].map(|client| w.run(client, "select pg_backend_pid()").value()).into();
    assert_ne!(pids[0], pids[1], "users do not share connections");
    w.terminate(&alice);
    let bob = w.connect_as(&Login::user("bob", "builder's %\u{20ac}"));
    assert_ne!(w.run(&bob, "select pg_backend_pid()").value(), pids[0], "not even one after one");
}

/// The server's own words, by way of pgherd.
pub fn an_unknown_database_is_refused_by_the_server(w: &mut impl World) {
    let login = Login { database: "no_such_database".into(), ..Login::default() };
    // Whether the login meets the server or the first query is all the same.
    let fields = match w.try_connect(&login) {
        Err(fields) => fields,
        Ok(client) => w.query(&client, "select 1").error().expect("no such database").clone(),
    };
    assert_eq!(fields.code(), "3D000", "{fields}");
    assert!(fields.message().contains("no_such_database"), "{fields}");
    comes_in_and_works(w);
}

/// `SSLRequest` and `GSSENCRequest` are answered, in either order, and a login may follow.
pub fn encryption_is_declined_and_the_login_goes_on(w: &mut impl World) {
    let (ssl, gss) = (compose::ssl_request(), compose::gss_request());
    for requests in [vec![&ssl], vec![&gss], vec![&ssl, &gss], vec![&gss, &ssl]] {
        let conn = w.open();
        for request in requests {
            w.send(conn, request);
            let mut answer = Vec::new();
            w.wait("an answer of one byte", LIMIT, |w| {
                answer.extend(w.take(conn));
                !answer.is_empty()
            });
            assert_eq!(answer, b"N");
        }
        let login = Login::default();
        let client = crate::client::Client::new(conn, &login);
        w.send(conn, &login.packet());
        w.finish_login(&client).expect("the login goes on");
        w.run(&client, "select 1");
    }
}

/// A client of the future is offered what there is, and may take it.
pub fn a_newer_protocol_is_negotiated(w: &mut impl World) {
    let latest = VERSION_3_2;
    for (version, option) in [(latest, None), (VERSION_3_9999, None), (latest, Some("_pq_.x"))] {
        let mut login = Login { version, ..Login::default() };
        if let Some(option) = option {
            login = login.with(option, "on");
        }
        let client = w.connect_as(&login);
        let negotiated = client.state().negotiated.clone();
        match (version, option) {
            (_, Some(option)) => {
                let (_, options) = negotiated.expect("an unknown option is told");
                assert_eq!(options, [option]);
            }
            (VERSION_3_9999, None) => {
                let (offered, options) = negotiated.expect("an unknown version is told");
                assert!(offered < VERSION_3_9999 && options.is_empty(), "{offered:#x}");
            }
            (_, None) => {}
        }
        w.run(&client, "select 1");
        w.query_start(&client, "select pg_sleep(600)");
        while !w.has_answer(&client) {
            w.cancel(&client);
            for _ in 0..10 {
                w.step();
            }
        }
        assert_eq!(w.finish(&client).code(), "57014", "its key works, however long");
    }
}

/// A version that nobody speaks any more, or yet. Before version 3 an error was a text; whichever
/// way it is told, the client is told.
pub fn an_ancient_protocol_is_refused(w: &mut impl World) {
    for version in [1 << 16, 2 << 16, 4 << 16] {
        let conn = w.open();
        w.send(conn, &Login { version, ..Login::default() }.packet());
        let said = w.rest(conn, LIMIT);
        let text = String::from_utf8_lossy(&said);
        assert!(text.starts_with('E'), "version {version:#x}: {text:?}");
        assert!(text.contains("unsupported frontend protocol"), "version {version:#x}: {text:?}");
    }
    comes_in_and_works(w);
}

fn comes_in_and_works(w: &mut impl World) {
    let app = w.connect("app");
    w.run(&app, "begin");
    assert_eq!(w.run(&app, "select 1").value(), "1");
    w.run(&app, "commit");
    // And by the standby that reads go to, or the primary; each asked for a login.
    w.run(&app, "begin read only");
    w.run(&app, "commit");
    w.terminate(&app);
}

fn refusal(w: &mut impl World, login: &Login) -> String {
    w.try_connect(login).expect_err("it must be refused").code().to_owned()
}

const VERSION_3_2: u32 = (3 << 16) | 2;
/// `AuthenticationMD5Password` up to its salt.
const MD5_REQUEST: &[u8] = b"R\0\0\0\x0c\0\0\0\x05";
/// What clients send to find out whether negotiation works.
const VERSION_3_9999: u32 = (3 << 16) | 9999;
