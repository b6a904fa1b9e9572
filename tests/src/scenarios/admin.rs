//! Administration over PCP, by packets as Pgpool-II's programs send them.

use crate::admin::{Admin, Reply, digest, packet, proof};
use crate::play::{LIMIT, Play, secs};
use crate::scenarios::failover::{other, promote, wait_any_heir};
use crate::world::{ADMIN, End, Setup, World};

const STANDBYS: usize = 2;

/// pgherd promotes.
#[must_use]
pub fn promoting() -> Setup {
    promote()
}

/// Every node with what is known of it; a number that no node has is an error that the session
/// survives.
pub fn an_administrator_sees_the_nodes(w: &mut impl World) {
    let app = w.connect("app");
    let mut admin = Admin::enter(w);
    assert_eq!(admin.ask(w, b'L', b"").texts, ["CommandComplete", "3"]);

    let all = admin.list(w, b'I', b"-1\0");
    assert_eq!(all.len(), STANDBYS + 3, "{all:?}");
    assert_eq!(all[0].texts, ["ArraySize", "3"]);
    let roles: Vec<&str> = nodes(&all).iter().map(|node| node[7].as_str()).collect();
    assert_eq!(roles, ["2", "3", "3"]);
    for node in nodes(&all) {
        assert_eq!((node.len(), &node[5][..]), (14, "up"), "{node:?}");
    }

    w.crash(2);
    w.wait_down(&app, 2);
    let one = admin.list(w, b'I', b"2\0");
    let node = &nodes(&one)[0];
    assert_eq!((&node[3][..], &node[5][..]), ("3", "down"), "{node:?}");

    let none = admin.ask(w, b'I', b"9\0");
    assert_eq!(none.field('S'), "ERROR");
    assert_eq!(none.field('M'), "informing node info failed");
    assert_eq!(none.field('D'), "invalid node ID : 9");
    assert_eq!(admin.ask(w, b'L', b"").texts, ["CommandComplete", "3"]);

    w.send(admin.conn, &packet(b'X', b""));
    assert_eq!(admin.next(w), None, "whoever has enough is let go");
}

/// How the checks went, and what is set: as `SHOW` tells it.
pub fn an_administrator_sees_what_show_shows(w: &mut impl World) {
    let app = w.connect("app");
    let mut admin = Admin::enter(w);
    let checks = admin.ask(w, b'H', b"0\0");
    assert_eq!((checks.tag, checks.texts.len()), (b'h', 21), "{checks:?}");
    let shown = w.run(&app, "show pool_health_check_stats").rows();
    // The counts may have grown meanwhile.
    assert_eq!(checks.texts[1..6], shown[0][..5]);

    let settings = admin.list(w, b'B', b"");
    let shown = w.run(&app, "show pool_status").rows();
    assert_eq!(settings.len(), shown.len() + 2);
    for (told, shown) in settings[1..].iter().zip(&shown) {
        let lag = shown[0].starts_with("standby_delay");
        assert!(lag || told.texts[1..] == shown[..], "{told:?}, {shown:?}");
    }
    let nobody = admin.ask(w, b'H', b"7\0");
    assert_eq!(nobody.field('D'), "invalid node ID 7");
    let dog = admin.ask(w, b'W', b"-1\0");
    assert_eq!((dog.field('S'), dog.field('D')), ("ERROR", "watchdog is not enabled"));
    assert_eq!(admin.ask(w, b'G', b"").field('M'), "query cache is not enabled");
    assert_eq!(admin.ask(w, b'V', b"l").field('M'), "logging_collector is disabled");
    assert_eq!(admin.ask(w, b'A', b"client_min_messages\0debug1\0").tag, b'a');
    for tag in [b'J', b'j', b'O'] {
        assert!(admin.ask(w, tag, b"1 \0n").is_error(), "{}", char::from(tag));
    }
}

/// The sessions of clients, and the connections that serve them.
pub fn an_administrator_sees_sessions(w: &mut impl World) {
    let mut admin = Admin::enter(w);
    let (one, other) = (w.connect("one"), w.connect("other"));
    w.run(&one, "begin");
    w.run(&one, "select 1");
    let told = admin.ask(w, b'N', b"");
    assert_eq!((told.tag, &told.texts[1]), (b'n', &(told.texts.len() - 2).to_string()));
    let [process, another] = [&one, &other].map(|client| {
        let (process, _) = client.state().key.clone().expect("it is logged in");
        process.to_string()
    });
    assert!(told.texts.contains(&process) && told.texts.contains(&another), "{told:?}");
    let rows = admin.list(w, b'P', format!("{process}\0").as_bytes());
    // One for each server that it has a connection to.
    let rows = &rows[1..rows.len() - 1];
    assert!(!rows.is_empty());
    for Reply { texts: row, .. } in rows {
        let who = (row[1].as_str(), row[6].as_str(), row[7].as_str(), row[17].as_str());
        assert_eq!(who, (&process[..], "postgres", "postgres", "Idle in transaction"), "{row:?}");
    }
    let all = admin.list(w, b'P', b"0\0");
    assert!(all.len() > 2, "{all:?}");
    let stranger = admin.ask(w, b'P', b"999999\0");
    assert_eq!(stranger.field('D'), "invalid process ID : 999999");
    w.run(&one, "rollback");
    w.terminate(&other);
}

/// A wrong name and a wrong password are told alike, and nothing that comes behind is done.
pub fn a_wrong_password_opens_nothing(w: &mut impl World) {
    let wrong = "0".repeat(32);
    for (user, digest) in [(ADMIN, wrong.as_str()), ("nobody", digest())] {
        let mut admin = Admin::open(w);
        let salt = admin.salt(w);
        let login = proof(user, digest, salt);
        w.send(admin.conn, &[login, packet(b'T', b"i"), packet(b'L', b"")].concat());
        let said = admin.next(w).expect("it is told");
        assert_eq!(said.field('S'), "FATAL");
        assert_eq!(said.field('M'), format!("authentication failed for user \"{user}\""));
        assert_eq!(said.field('D'), "username and/or password does not match");
        assert_eq!(admin.next(w), None, "it is over");
    }
    nothing_else_happened(w);
}

/// Whatever is asked before the login is refused and not done: every request, a proof that nobody
/// asked for, and one for a salt that was used.
pub fn requests_before_a_login_are_refused(w: &mut impl World) {
    let requests: [(u8, &[u8]); 9] = [
        (b'L', b""),
        (b'T', b"i"),
        (b't', b"f"),
        (b'D', b"0\0"),
        (b'd', b"0\0"),
        (b'Z', b"l"),
        (b'X', b""),
        (b'R', b"pcpadmin\0xx\0"),
        (b'?', b""),
    ];
    for (tag, payload) in requests {
        let mut admin = Admin::open(w);
        let said = admin.ask(w, tag, payload);
        assert_eq!(said.field('S'), "FATAL", "{}: {said:?}", char::from(tag));
        assert!(said.field('M').starts_with("authentication failed"), "{said:?}");
        assert_eq!(admin.next(w), None, "it is over");
    }
    let mut admin = Admin::enter(w);
    let again = admin.ask(w, b'R', b"pcpadmin\0xx\0");
    assert_eq!((again.field('S'), admin.next(w)), ("FATAL", None));
    assert_logged(w, "authentication failed");
    nothing_else_happened(w);
}

/// Where pgherd writes a log, it says there whom it has refused.
fn assert_logged(w: &mut impl World, words: &str) {
    if let Some(log) = w.said() {
        assert!(
            log.lines().any(|line| line.contains("PCP: ") && line.contains(words)),
            "no {words:?} in {log}"
        );
    }
}

/// Bytes that are no packets, before a login and behind one.
pub fn garbage_is_refused_over_pcp(w: &mut impl World) {
    let texts: [&[u8]; 5] = [
        b"GET / HTTP/1.1\r\n\r\n",
        b"\x16\x03\x01\x02\0\x01\0\x01\xfc\x03\x03",
        b"M\0\0\0\0",
        b"M\xff\xff\xff\xff",
        b"L\x7f\xff\xff\xff",
    ];
    for text in texts {
        for mut admin in [Admin::open(w), Admin::enter(w)] {
            w.send(admin.conn, text);
            let said = admin.next(w).expect("it is told");
            assert_eq!((said.field('S'), said.field('M')), ("FATAL", "invalid PCP packet"));
            assert_eq!(admin.next(w), None, "it is over");
        }
    }
    let mut admin = Admin::enter(w);
    let said = admin.ask(w, b'?', b"");
    assert_eq!(said.field('M'), "unknown PCP packet type \"?\"");
    assert_eq!((said.field('S'), admin.next(w)), ("FATAL", None));
    for words in ["invalid PCP packet", "unknown PCP packet type \"?\""] {
        assert_logged(w, words);
    }
    nothing_else_happened(w);
}

/// Half a packet, and nothing more: it is told, and let go, in its time.
pub fn half_a_packet_and_silence_over_pcp(w: &mut impl World) {
    let (mut silent, mut half, mut inside) = (Admin::open(w), Admin::open(w), Admin::enter(w));
    w.send(half.conn, b"M\0\0");
    let began = w.now();
    for admin in [&mut silent, &mut half] {
        let said = admin.next(w).expect("it is told");
        assert_eq!(said.field('M'), "terminating the PCP connection", "{said:?}");
        assert_eq!((said.field('S'), admin.next(w)), ("FATAL", None));
    }
    assert!(w.now() - began < secs(20), "{:?}", w.now() - began);
    // Whoever is logged in has more time.
    assert_eq!(inside.ask(w, b'L', b"").texts, ["CommandComplete", "3"]);
    nothing_else_happened(w);
}

/// Whoever knocks and says nothing keeps nobody out.
pub fn strangers_keep_no_administrator_out(w: &mut impl World) {
    let mut inside = Admin::enter(w);
    let strangers: Vec<Admin> = (0..50).map(|_| Admin::open(w)).collect();
    w.never("pgherd ends", secs(1), |w| w.exit_code().is_some());
    let mut late = Admin::enter(w);
    for admin in [&mut inside, &mut late] {
        assert_eq!(admin.ask(w, b'L', b"").texts, ["CommandComplete", "3"]);
    }
    for stranger in strangers {
        w.close(stranger.conn, End::Reset);
    }
    nothing_else_happened(w);
}

/// Packets cut into bytes, and requests sent ahead: each is answered, in order.
pub fn requests_in_pieces_and_ahead_are_answered(w: &mut impl World) {
    let mut admin = Admin::open(w);
    let salt = admin.salt(w);
    for byte in proof(ADMIN, digest(), salt) {
        w.send(admin.conn, &[byte]);
        w.step();
    }
    assert_eq!(admin.next(w).map(|reply| reply.tag), Some(b'r'));
    let ahead = [packet(b'N', b""), packet(b'L', b""), packet(b'F', b""), packet(b'L', b"")];
    w.send(admin.conn, &ahead.concat());
    let tags: Vec<Option<u8>> = (0..3).map(|_| admin.next(w).map(|reply| reply.tag)).collect();
    assert_eq!(tags, [Some(b'n'), Some(b'l'), Some(b'l')]);
    w.send(admin.conn, &[packet(b'B', b""), packet(b'X', b"")].concat());
    let mut count = 0;
    while admin.next(w).is_some() {
        count += 1;
    }
    assert!(count > 100, "{count} packets before the end");
}

/// A new configuration by request.
pub fn a_reload_is_asked_for(w: &mut impl World) {
    let app = w.connect("app");
    let mut admin = Admin::enter(w);
    w.configure(&Setup::weights(&[3.0, 1.0, 0.0]));
    assert_eq!(admin.ask(w, b'Z', b"l").texts, ["CommandComplete"]);
    w.wait("the weights are in effect", LIMIT, |w| {
        let weights: Vec<f64> = w.pool_nodes(&app).iter().map(|node| node.weight).collect();
        weights == [0.75, 0.25, 0.0]
    });
    // A shard may have heard of it earlier than whoever serves PCP.
    let (asked, expected) = (w.now(), ["1610612735.250000", "536870911.750000", "0.000000"]);
    loop {
        let all = admin.list(w, b'I', b"-1\0");
        let weights: Vec<&str> = nodes(&all).iter().map(|node| node[6].as_str()).collect();
        if weights == expected {
            break;
        }
        assert!(w.now() - asked < LIMIT, "{weights:?}");
    }
}

/// A node that is detached stays out of service although its server is well, until it is attached.
pub fn a_node_is_detached_and_attached(w: &mut impl World) {
    let app = w.connect("app");
    let mut admin = Admin::enter(w);
    assert_eq!(admin.ask(w, b'D', b"2\0").texts, ["CommandComplete"]);
    w.wait_down(&app, 2);
    let count = w.pool_nodes(&app)[2].select_count;
    w.never("it is used", secs(3), |w| {
        w.run(&app, "select 1");
        let node = &w.pool_nodes(&app)[2];
        node.is_up() || node.select_count > count
    });
    let one = admin.list(w, b'I', b"2\0");
    let node = &nodes(&one)[0];
    assert_eq!((&node[3][..], &node[5][..]), ("3", "up"), "{node:?}");

    let again = admin.ask(w, b'D', b"2\0");
    let told =
        "invalid degenerate backend request, node id : 2 status: [3] is not valid for failover";
    assert_eq!((again.field('S'), again.field('M')), ("ERROR", told));
    let told =
        "invalid degenerate backend request, node id : 7 status: [0] is not valid for failover";
    for tag in [b'D', b'd'] {
        assert_eq!(admin.ask(w, tag, b"7\0").field('M'), told);
    }
    assert_eq!(admin.ask(w, b'C', b"7\0").field('D'), "invalid node ID : 7");
    for _ in 0..2 {
        assert_eq!(admin.ask(w, b'C', b"2\0").texts, ["CommandComplete"]);
    }
    w.wait_up(&app, 2);
}

/// A primary that is detached is replaced, as if it were lost. It cannot be attached beside the one
/// that took its place, and comes in by itself once it follows that one.
pub fn a_primary_that_is_detached_is_replaced(w: &mut impl World) {
    let app = w.connect("app");
    w.table(&app, "moved", 2);
    let mut admin = Admin::enter(w);
    assert_eq!(admin.ask(w, b'D', b"0\0").texts, ["CommandComplete"]);
    let heir = wait_any_heir(w, 0);
    w.run(&app, "insert into moved values (1)");
    assert_eq!(w.truth(0, "select count(*) from moved"), "0", "nothing is written there");
    w.wait_truth(other(heir), "select count(*) from moved", "1");
    assert!(admin.ask(w, b'C', b"0\0").is_error(), "it takes writes beside the primary");
    assert!(!w.pool_nodes(&app)[0].is_up());
    w.rejoin(0, heir);
    w.wait_up(&app, 0);
    w.wait_truth(0, "select count(*) from moved", "1");
}

/// Each way to stop, by request: it is answered, and pgherd ends.
pub fn a_smart_shutdown_is_asked_for(w: &mut impl World) {
    let busy = w.connect("busy");
    w.run(&busy, "begin");
    let mut other = Admin::enter(w);
    stops(w, b"s");
    w.never("it does not wait", secs(1), |w| w.exit_code().is_some());
    assert_eq!(other.ask(w, b'L', b"").texts, ["CommandComplete", "3"]);
    w.run(&busy, "rollback");
    ended(w);
    assert_eq!(other.next(w), None);
}

/// As a `SIGINT` would.
pub fn a_fast_shutdown_is_asked_for(w: &mut impl World) {
    let busy = w.connect("busy");
    w.run(&busy, "begin");
    stops(w, b"f");
    ended(w);
    w.wait("the connection is closed", LIMIT, |w| w.is_gone(&busy));
    assert_eq!(busy.dismissal().expect("the client is told").code(), "57P01");
}

/// As a `SIGQUIT` would.
pub fn an_immediate_shutdown_is_asked_for(w: &mut impl World) {
    let busy = w.connect("busy");
    w.run(&busy, "begin");
    let mut other = Admin::enter(w);
    stops(w, b"i");
    ended(w);
    assert_eq!(other.next(w), None);
}

fn stops(w: &mut impl World, how: &[u8]) {
    let mut admin = Admin::enter(w);
    let refused = admin.ask(w, b'T', b"x");
    assert_eq!(refused.field('M'), "invalid shutdown mode \"x\"");
    let said = admin.ask(w, b'T', how);
    assert_eq!((said.tag, &said.texts[0][..]), (b't', "CommandComplete"));
    assert_eq!(admin.next(w), None);
}

fn ended(w: &mut impl World) {
    w.wait("pgherd ends", LIMIT, |w| w.exit_code().is_some());
    assert_eq!(w.exit_code(), Some(0));
}

fn nodes(replies: &[Reply]) -> Vec<&[String]> {
    let told = replies.iter().filter(|reply| reply.texts[0] == "NodeInfo");
    told.map(|reply| &reply.texts[..]).collect()
}

/// pgherd serves as before, and every node is in use.
fn nothing_else_happened(w: &mut impl World) {
    assert_eq!(w.exit_code(), None);
    let app = w.connect("app");
    w.run(&app, "select 1");
    assert!(w.pool_nodes(&app).iter().all(super::super::play::PoolNode::is_up));
}
