//! A cluster set up from nothing by Pgpool-II's own means, with pgherd in its place: accounts and
//! keys, a configuration and scripts as people copy them, nodes made by recovery, a switchover and
//! a failover by the scripts, and the administrators' programs in between.
#![allow(clippy::indexing_slicing, reason = "a test fails by panicking")]

use std::fs::{self, File};
use std::io::{Read as _, Write as _};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::process::{Command, Stdio};

use libtest_mimic::Failed;
use pgherd_herd::poll;
use pgherd_tests::scenarios::panic_text;
use rustix::pty::{OpenptFlags, grantpt, openpt, ptsname, unlockpt};

use self::ground::{Ground, HOSTS, LIMIT, finish};
use super::{check, pcp};

#[path = "tutorial/ground.rs"]
mod ground;
#[path = "tutorial/scripts.rs"]
mod scripts;

/// A step, with what it is about.
type Step = (&'static str, fn(&Ground));

/// Goes through it from the first command to the last.
pub(crate) fn play() -> Result<(), Failed> {
    let ground = Ground::new();
    let steps: [Step; 12] = [
        ("the first server", a_server),
        ("what administrators log in with", administrators),
        ("what pgherd logs in with", passwords),
        ("the scripts", its_scripts),
        ("the start", a_start),
        ("the nodes", recoveries),
        ("questions", questions),
        ("orders", orders),
        ("SHOW", shows),
        ("a switchover", a_switchover),
        ("a failover", a_failover),
        ("the stop", a_stop),
    ];
    for (name, step) in steps {
        if let Err(panic) = catch_unwind(AssertUnwindSafe(|| step(&ground))) {
            let why = panic_text(panic.as_ref());
            return Err(format!("{name}: {why}\n{}", ground.logs()).into());
        }
    }
    Ok(())
}

/// One server, the roles, and the extension in what databases are copied from.
fn a_server(ground: &Ground) {
    let data = ground.data(0);
    ground.secret("password", "postgres\n");
    ground.postgres(
        "initdb",
        &[
            "--pgdata",
            &data,
            "--username=postgres",
            &format!("--pwfile={}", ground.place("password")),
            "--auth-local=trust",
            "--auth-host=scram-sha-256",
            // Without them, or another setting, nothing can be rewound.
            "--data-checksums",
            "--no-sync",
        ],
    );
    for host in HOSTS {
        // Beside the data directory, which is what is copied from one host to another.
        let sockets = ground.place(host);
        ground.file(
            &format!("{host}/host.conf"),
            &format!("listen_addresses = '{host}'\nunix_socket_directories = '{sockets}'\n"),
        );
    }
    let append = |name: &str, text: &str| {
        let path = format!("{data}/{name}");
        let file = File::options().append(true).open(&path);
        let written = file.and_then(|mut file| file.write_all(text.as_bytes()));
        written.unwrap_or_else(|error| panic!("{path}: {error}"));
    };
    let port = ground.server_port;
    append("postgresql.conf", &format!("port = {port}\nfsync = off\ninclude = '../host.conf'\n"));
    append(
        "pg_hba.conf",
        "host all all 127.0.0.0/8 scram-sha-256\nhost replication all 127.0.0.0/8 scram-sha-256\n",
    );
    let log = ground.place("log/first-server");
    ground.postgres("pg_ctl", &["-D", &data, "-l", &log, "-w", "start"]);

    for name in ["pgpool", "reader", "writer", "foobar"] {
        good(ground.on(0, "postgres", &format!("create role {name} login password '{name}'")));
    }
    let role = "create role replicator replication login password 'replicator'";
    good(ground.on(0, "postgres", role));
    let extension = ground.on(0, "template1", "create extension pgpool_recovery");
    extension.unwrap_or_else(|said| panic!("{said}; install postgresql-<version>-pgpool2"));
    let listed = "select count(*) from pg_extension where extname = 'pgpool_recovery'";
    assert_eq!(ground.on(0, "template1", listed), Ok("1\n".to_owned()));
}

/// `pcp.conf` for pgherd, and what the programs look their password up in.
fn administrators(ground: &Ground) {
    let hash = finish("pg_md5", ground.command(ground.path("bin/pg_md5")).arg("pcpadmin"));
    assert_eq!(hash, "3090be164580c74a25efe7abdf542eb2\n");
    ground.secret("etc/pcp.conf", &format!("pcpadmin:{hash}"));
    let port = ground.pcp_port;
    ground.secret(".pcppass", &format!("localhost:{port}:pcpadmin:pcpadmin\n"));
}

/// The configuration, the key, an entry for each user, and the passwords for programs.
fn passwords(ground: &Ground) {
    let backends: String = (0..HOSTS.len()).map(|node| backend(ground, node)).collect();
    let mut conf = include_str!("tutorial/pgpool.conf").to_owned();
    for (name, value) in [
        ("{dir}", ground.place("").trim_end_matches('/')),
        ("{etc}", &ground.place("etc")),
        ("{port}", &ground.port.to_string()),
        ("{pcp_port}", &ground.pcp_port.to_string()),
        ("{dialect}", pcp::dialect()),
        ("{backends}", &backends),
    ] {
        conf = conf.replace(name, value);
    }
    ground.file("etc/pgpool.conf", &conf);

    ground.secret(".pgpoolkey", "jorgeiscool\n");
    let (conf, key) = (ground.place("etc/pgpool.conf"), ground.place(".pgpoolkey"));
    let users = ["postgres", "pgpool", "reader", "writer", "replicator"];
    for user in users {
        let mut command = ground.command(ground.path("bin/pg_enc"));
        command.args(["-m", "-f", &conf, "-k", &key, "-u", user, "-p"]);
        type_in(&mut command, user);
    }
    let entries = fs::read_to_string(ground.path("etc/pool_passwd")).expect("it was written");
    assert_eq!(
        entries.lines().collect::<Vec<_>>(),
        [
            "postgres:AESFK+C+SsZCGWyT3Ms4q1MOg==",
            "pgpool:AESQ5bnrN9tu6V2y6NVoE1Pwg==",
            "reader:AESKo9PIJYuOa9kA/hClNKnUg==",
            "writer:AES1xhIjMkStiINppUoRE4mPA==",
            "replicator:AEStWQQrGkATgObEU1EymwlRQ==",
        ]
    );

    let port = ground.server_port;
    let servers = HOSTS.iter().flat_map(|host| {
        ["postgres", "replicator"].map(|user| format!("{host}:{port}:*:{user}:{user}\n"))
    });
    let pgherd = format!("localhost:{}:*:postgres:postgres\n", ground.port);
    ground.secret(".pgpass", &servers.chain([pgherd]).collect::<String>());
}

/// What the configuration says of a node.
fn backend(ground: &Ground, node: usize) -> String {
    let (host, port, data) = (HOSTS[node], ground.server_port, ground.data(node));
    format!(
        "backend_hostname{node} = '{host}'\nbackend_port{node} = {port}\n\
         backend_weight{node} = 1\nbackend_data_directory{node} = '{data}'\n\
         backend_clustering_mode = 'streaming_replication'\n\
         backend_flag{node} = 'ALLOW_TO_FAILOVER'\n\
         backend_application_name{node} = 'pgserver{node}'\n\n"
    )
}

/// Runs a program at a terminal, and types a password when it asks.
fn type_in(command: &mut Command, password: &str) {
    let terminal = openpt(OpenptFlags::RDWR | OpenptFlags::NOCTTY).expect("there are terminals");
    grantpt(&terminal).and_then(|()| unlockpt(&terminal)).expect("it is ours");
    let name = ptsname(&terminal, Vec::new()).expect("it has a name");
    let name = name.into_string().expect("a device's name is ASCII");
    let other_end = File::options().read(true).write(true).open(&name);
    let other_end = other_end.unwrap_or_else(|error| panic!("{name}: {error}"));
    command.stdin(other_end).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn().expect("it was put there");
    let mut asked = [0; "db password: ".len()];
    let output = child.stdout.as_mut().expect("it was asked for");
    // What it says instead is in the outcome.
    if output.read_exact(&mut asked).is_ok() {
        assert_eq!(&asked, b"db password: ");
        File::from(terminal).write_all(format!("{password}\n").as_bytes()).expect("it reads");
    }
    check("pg_enc", &child.wait_with_output().expect("it ends"));
}

/// The samples, edited; two of them into the primary's data directory.
fn its_scripts(ground: &Ground) {
    scripts::install(ground);
    for name in ["recovery_1st_stage", "pgpool_remote_start"] {
        let from = ground.place(&format!("etc/{name}"));
        let to = format!("{}:{}/", HOSTS[0], ground.data(0));
        finish("scp", ground.command(ground.path("bin/scp")).args([from, to]));
    }
}

/// pgherd leaves for the background, logs into files, and sees the one server that there is.
fn a_start(ground: &Ground) {
    let conf = ground.place("etc/pgpool.conf");
    finish("pgpool", ground.command(ground.path("bin/pgpool")).args(["-f", &conf]));
    wait_nodes(ground, |node| match node {
        0 => ["waiting up primary primary", "up up primary primary"],
        _ => ["down down standby unknown"; 2],
    });
    let is_log = |name: &str| name.starts_with("pgpool-") && name.ends_with(".log");
    let logs = fs::read_dir(ground.path("log")).expect("it is there").flatten();
    let logs = logs.filter(|file| file.file_name().to_str().is_some_and(is_log));
    let sizes: Vec<u64> = logs.map(|file| file.metadata().expect("it is there").len()).collect();
    assert!(matches!(sizes.as_slice(), [size] if *size > 0), "one log: {sizes:?}");
}

/// What the programs tell of the nodes: one line each, their states and roles as in these words.
fn nodes(ground: &Ground) -> Vec<String> {
    let told = ground.pcp("pcp_node_info", &["--all"]).unwrap_or_else(|said| panic!("{said}"));
    let state = |line: &str| {
        let words: Vec<&str> = line.split_whitespace().collect();
        words.get(4..8).unwrap_or_default().join(" ")
    };
    told.lines().map(state).collect()
}

/// Waits until each node is in one of two states.
fn wait_nodes(ground: &Ground, expected: impl Fn(usize) -> [&'static str; 2]) {
    let mut told = Vec::new();
    let is_so = poll(LIMIT, || {
        told = nodes(ground);
        told.len() == HOSTS.len()
            && told.iter().enumerate().all(|(node, state)| expected(node).contains(&state.as_str()))
    });
    let expected: Vec<_> = (0..HOSTS.len()).map(expected).collect();
    assert!(is_so, "waited in vain for {expected:?}, and have {told:?}");
}

/// Waits until one node is the primary, some are down, and all others follow the primary.
fn wait_herd(ground: &Ground, primary: usize, down: &[usize]) {
    wait_nodes(ground, |node| match node {
        _ if node == primary => ["waiting up primary primary", "up up primary primary"],
        _ if down.contains(&node) => ["down down standby unknown"; 2],
        _ => ["waiting up standby standby", "up up standby standby"],
    });
    let follows = "select conninfo from pg_stat_wal_receiver where status = 'streaming'";
    for node in (0..HOSTS.len()).filter(|node| *node != primary && !down.contains(node)) {
        let mut said = Ok(String::new());
        let host = format!("host={} ", HOSTS[primary]);
        let is_so = poll(LIMIT, || {
            said = ground.on(node, "postgres", follows);
            said.as_ref().is_ok_and(|conninfo| conninfo.contains(&host))
        });
        assert!(is_so, "node {node} does not stream from {host}: {said:?}");
    }
}

/// A database that the nodes have once they are recovered, one after the other.
fn recoveries(ground: &Ground) {
    good(ground.on(0, "postgres", "create database foobar owner foobar"));
    for node in 1..HOSTS.len() {
        let told = good(ground.pcp("pcp_recovery_node", &["-n", &node.to_string()]));
        assert!(told.contains("Command Successful"), "{told}");
        let has = "select count(*) from pg_database where datname = 'foobar'";
        assert_eq!(ground.on(node, "postgres", has), Ok("1\n".to_owned()), "node {node}");
    }
    wait_herd(ground, 0, &[]);
}

/// What administrators can ask, with Pgpool-II's programs and with pgherd by their names.
fn questions(ground: &Ground) {
    for ask in [Ground::pcp, Ground::own_pcp] {
        ask_all(|name, args| ask(ground, name, args), ground.server_port);
    }
}

fn ask_all(ask: impl Fn(&str, &[&str]) -> Result<String, String>, server_port: u16) {
    assert_eq!(good(ask("pcp_node_count", &[])), "4\n");
    for (node, host) in HOSTS.iter().enumerate() {
        let checks = good(ask("pcp_health_check_stats", &["-n", &node.to_string()]));
        assert!(checks.starts_with(&format!("{node} {host} ")), "{checks}");
        let info = good(ask("pcp_node_info", &["-n", &node.to_string()]));
        assert!(info.starts_with(&format!("{host} {} ", server_port)), "{info}");
    }
    let status = good(ask("pcp_pool_status", &[]));
    for name in ["backend_hostname3", "failover_command", "follow_primary_command"] {
        assert!(status.contains(name), "no {name} in {status}");
    }
    good(ask("pcp_proc_count", &[]));
    good(ask("pcp_proc_info", &["--all"]));
    let dog = ask("pcp_watchdog_info", &[]).expect_err("there is none");
    assert!(dog.contains("watchdog is not enabled"), "{dog}");
}

/// What they can have done without a new primary, by pgherd's own programs.
fn orders(ground: &Ground) {
    good(ground.own_pcp("pcp_detach_node", &["-n", "3"]));
    wait_nodes(ground, |node| match node {
        0 => ["waiting up primary primary", "up up primary primary"],
        3 => ["down up standby standby"; 2],
        _ => ["waiting up standby standby", "up up standby standby"],
    });
    good(ground.own_pcp("pcp_attach_node", &["-n", "3"]));
    wait_herd(ground, 0, &[]);
    good(ground.own_pcp("pcp_reload_config", &[]));
    wait_herd(ground, 0, &[]);
}

/// What any client can ask.
fn shows(ground: &Ground) {
    let nodes = good(ground.through("postgres", "show pool_nodes"));
    for (node, host) in HOSTS.iter().enumerate() {
        let role = if node == 0 { "primary|primary" } else { "standby|standby" };
        let begin = format!("{node}|{host}|{}|", ground.server_port);
        let line = nodes.lines().find(|line| line.starts_with(&begin)).expect("one a node");
        assert!(line.contains(&format!("|up|0.250000|{role}|")), "{nodes}");
    }
    let status = good(ground.through("postgres", "show pool_status"));
    assert!(status.contains("backend_data_directory3"), "{status}");
    let checks = good(ground.through("postgres", "show pool_health_check_stats"));
    assert_eq!(checks.lines().count(), HOSTS.len(), "{checks}");
    let processes = good(ground.through("postgres", "show pool_processes"));
    assert!(processes.contains("|postgres|postgres|"), "{processes}");
}

/// Node 1 becomes the primary by the scripts, and all others follow it, the old primary too.
fn a_switchover(ground: &Ground) {
    good(ground.through("foobar", "create table t as select 1 as n"));
    let told = good(ground.pcp("pcp_promote_node", &["-n", "1", "-s"]));
    assert!(told.contains("Command Successful"), "{told}");
    wait_herd(ground, 1, &[]);
    wait_rows(ground, 2, &[]);
}

/// The primary dies; the scripts promote another and bring the others along, and what has died is
/// recovered.
fn a_failover(ground: &Ground) {
    ground.kill(1);
    let mut heir = None;
    let is_so = poll(LIMIT, || {
        let is_heir =
            |(node, state): &(usize, String)| *node != 1 && state.ends_with(" primary primary");
        heir = nodes(ground).into_iter().enumerate().find(is_heir);
        heir.is_some()
    });
    assert!(is_so, "nobody takes over: {:?}", nodes(ground));
    let (heir, _) = heir.expect("there is one");
    wait_herd(ground, heir, &[1]);
    wait_rows(ground, 3, &[1]);
    good(ground.pcp("pcp_recovery_node", &["-n", "1"]));
    wait_herd(ground, heir, &[]);
    wait_rows(ground, 4, &[]);
}

/// Adds a row through pgherd, and waits until all nodes have this many but those that are down.
fn wait_rows(ground: &Ground, count: usize, down: &[usize]) {
    good(ground.through("foobar", "insert into t values (1)"));
    for node in (0..HOSTS.len()).filter(|node| !down.contains(node)) {
        let mut rows = Ok(String::new());
        let is_so = poll(LIMIT, || {
            rows = ground.on(node, "foobar", "select count(*) from t");
            rows == Ok(format!("{count}\n"))
        });
        assert!(is_so, "node {node} has {rows:?} rows, and not {count}");
    }
}

/// It leaves nothing that listens.
fn a_stop(ground: &Ground) {
    let pid_file = ground.path("pgpool.pid");
    let pid = fs::read_to_string(&pid_file).expect("it runs");
    let conf = ground.place("etc/pgpool.conf");
    let mut command = ground.command(ground.path("bin/pgpool"));
    finish("pgpool stop", command.args(["-f", &conf, "-m", "fast", "stop"]));
    let process = std::path::Path::new("/proc").join(pid.trim());
    assert!(poll(LIMIT, || !process.exists() && !pid_file.exists()), "it still runs");
    let said = ground.through("postgres", "select 1").expect_err("nobody is there");
    assert!(said.contains("refused"), "{said}");
}

fn good(result: Result<String, String>) -> String {
    result.unwrap_or_else(|said| panic!("{said}"))
}
