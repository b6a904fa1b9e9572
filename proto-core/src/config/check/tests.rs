//! Whole files: what they load as, and what is said about them.

use super::*;
use crate::auth::secret::Secret;
use crate::config::files::beside;
use crate::config::{
    Backend, Command, CpuAffinity, FailoverFlag, FailoverMode, KeyFault, KeyFile, LogFiles,
    LogPolicy, LogSessions, Method,
};
use crate::id::BackendId;
use crate::time::Duration;
use proptest::prelude::*;
use std::collections::BTreeMap;

mod tutorial;

/// Files in memory, and a key file.
#[derive(Default)]
pub(in crate::config) struct Texts {
    files: BTreeMap<String, String>,
    key: Option<KeyFile>,
}

impl Texts {
    pub(in crate::config) fn new(files: &[(&str, &str)]) -> Self {
        let files = files.iter().map(|(p, t)| ((*p).to_owned(), (*t).to_owned())).collect();
        Self { files, key: None }
    }

    fn with_key(mut self, text: Result<&str, KeyFault>) -> Self {
        let path = "/home/pgherd/.pgpoolkey".to_owned();
        self.key = Some(KeyFile { path, text: text.map(str::to_owned) });
        self
    }
}

impl Files for Texts {
    fn read(&self, path: &str) -> Result<String, String> {
        self.files.get(path).cloned().ok_or_else(|| "No such file or directory".to_owned())
    }

    fn exists(&self, path: &str) -> bool {
        self.files.contains_key(path)
    }

    fn key_file(&self) -> Option<KeyFile> {
        self.key.clone()
    }

    fn pcp_file(&self, path: &str) -> Option<String> {
        Some(beside(path, "pcp.conf")).filter(|path| self.exists(path))
    }
}

/// The least that loads, in either format.
const TOML: &str = "sr_check_user = \"pgherd\"\nsr_check_password = \"secret\"\n\
                    [[backends]]\nhostname = \"a\"\nport = 5432\n";
const CONF: &str = "backend_hostname0 = 'a'\nbackend_port0 = 5432\nbackend_weight0 = 1\n\
                    sr_check_user = pgherd\nsr_check_password = 'secret'\n";

/// Loads one file; what is said about it comes without the file's name.
pub(in crate::config) fn load_one(path: &str, text: &str) -> Result<Loaded, Vec<Mistake>> {
    load(path, &Texts::new(&[(path, text)])).map_err(|rejected| rejected.mistakes)
}

fn mistakes(path: &str, text: &str) -> Vec<String> {
    let mistakes = load_one(path, text).err().unwrap_or_default();
    mistakes.iter().map(|m| m.to_string().replace(&format!("{path}:"), "")).collect()
}

fn notes(path: &str, text: &str) -> Vec<String> {
    match load_one(path, text) {
        Ok(loaded) => {
            loaded.notes.iter().map(|n| n.to_string().replace(&format!("{path}:"), "")).collect()
        }
        Err(mistakes) => panic!("{text}: {mistakes:#?}"),
    }
}

#[test]
fn the_least_loads_with_the_defaults_in_either_format() {
    for (path, text) in [("pgherd.toml", TOML), ("pgpool.conf", CONF)] {
        let Loaded { config, notes } = load_one(path, text).unwrap();
        assert_eq!(notes, [], "{path}");
        assert_eq!(config.listen_addresses, ["localhost"], "{path}");
        assert_eq!(config.port, 9999, "{path}");
        assert_eq!(config.unix_socket_directories, ["/tmp"], "{path}");
        let backend = Backend {
            id: BackendId(0),
            hostname: "a".into(),
            port: 5432,
            weight: 1.0,
            data_directory: String::new(),
            application_name: String::new(),
            failover: FailoverFlag::Allow,
            always_primary: false,
            priority: 1,
            connect_timeout: Duration::from_secs(10),
        };
        assert_eq!(config.backends, [backend], "{path}");
        assert_eq!(config.pool.defaults.size_max, 32, "{path}");
        assert_eq!(config.pool.backend_connections_max, 90, "{path}");
        assert_eq!(config.pool.wait_timeout, Duration::from_secs(30), "{path}");
        assert_eq!(config.pool.life_time, None, "{path}");
        assert_eq!(config.pool.reset_query_list, ["ABORT", "DISCARD ALL"], "{path}");
        assert!(config.pool.cache, "{path}");
        assert_eq!(config.auth.method, None, "{path}");
        assert_eq!(config.auth.timeout, Some(Duration::from_secs(60)), "{path}");
        assert!(config.routing.load_balance, "{path}");
        assert_eq!(config.checks.period, Duration::from_secs(10), "{path}");
        assert_eq!(config.checks.timeout, Duration::from_secs(20), "{path}");
        assert_eq!((config.checks.user.as_str(), config.checks.max_retries), ("pgherd", 0));
        assert_eq!(config.checks.password.as_ref().map(Secret::expose), Some("secret"));
        assert_eq!(config.checks.database, "postgres", "{path}");
        assert_eq!((config.client_max, config.worker_threads), (10_000, 0), "{path}");
        assert_eq!(config.cpu_affinity, CpuAffinity::Unset, "{path}");
        assert_eq!(config.client_idle_limit, None, "{path}");
        assert_eq!(config.shutdown_timeout, Duration::from_secs(60), "{path}");
        assert_eq!(config.failover_wait_timeout, Duration::from_secs(30), "{path}");
        assert_eq!(config.log_level, log::LevelFilter::Info, "{path}");
        assert_eq!(config.log_sessions, LogSessions::None, "{path}");
        assert_eq!(config.pid_file_name, None, "{path}");
        assert_eq!(config.not_yet, [], "{path}");
    }
}

#[test]
fn everything_in_effect_can_be_said_in_toml() {
    let text = r#"
        listen_addresses = ["10.0.0.1", "::1"]
        port = 6432
        unix_socket_directories = "/run/a, /run/b"
        pool_size_max = 7
        pool_wait_timeout = "2min"
        connection_life_time = 90
        connection_cache = false
        reset_query_list = ["DISCARD ALL"]
        auth_method = "scram-sha-256"
        authentication_timeout = 0
        delay_threshold = "64KiB"
        sr_check_period = 8
        health_check_period = "5s"
        health_check_user = "pgherd"
        health_check_max_retries = 3
        health_check_retry_delay = 2
        connect_timeout = 3000
        client_idle_limit = "1h"
        log_min_messages = "DEBUG1"
        log_connections = true
        pid_file_name = "/run/pgherd.pid"
        [users]
        pgherd = "TEXTsecret"
        [[backends]]
        hostname = "/run/postgresql"
        port = 5433
        weight = 0.5
        flag = "DISALLOW_TO_FAILOVER|ALWAYS_PRIMARY"
        connect_timeout = "500ms"
        [[backends]]
        hostname = "b"
        port = 5432
        weight = 2
        data_directory = "/data"
        application_name = "b1"
        flag = ["ALLOW_TO_FAILOVER"]
    "#;
    let Loaded { config, notes } = load_one("pgherd.toml", text).unwrap();
    assert!(notes.iter().all(|note| note.kind == NoteKind::NotYet), "{notes:?}");
    assert_eq!(config.listen_addresses, ["10.0.0.1", "::1"]);
    assert_eq!(config.unix_socket_directories, ["/run/a", "/run/b"]);
    assert_eq!((config.port, config.pool.defaults.size_max, config.pool.cache), (6432, 7, false));
    assert_eq!(config.pool.wait_timeout, Duration::from_secs(120));
    assert_eq!(config.pool.life_time, Some(Duration::from_secs(90)));
    assert_eq!(config.pool.reset_query_list, ["DISCARD ALL"]);
    assert_eq!((config.auth.method, config.auth.timeout), (Some(Method::Scram), None));
    assert_eq!(config.routing.delay.bytes, 65_536);
    assert_eq!(config.checks.period, Duration::from_secs(5));
    assert_eq!(config.checks.user, "pgherd");
    assert_eq!(config.checks.password.as_ref().map(Secret::expose), Some("secret"));
    assert_eq!(config.checks.max_retries, 3);
    assert_eq!(config.client_idle_limit, Some(Duration::from_secs(3600)));
    assert_eq!(config.log_level, log::LevelFilter::Debug);
    assert_eq!(config.log_sessions, LogSessions::Connections);
    assert_eq!(config.pid_file_name.as_deref(), Some("/run/pgherd.pid"));
    let [a, b] = config.backends.as_slice() else { panic!("two nodes") };
    assert_eq!((a.id, a.weight, a.failover), (BackendId(0), 0.5, FailoverFlag::Disallow));
    assert!(a.always_primary && !b.always_primary);
    assert_eq!(a.connect_timeout, Duration::from_millis(500));
    assert_eq!(b.connect_timeout, Duration::from_secs(3));
    assert_eq!((b.weight, b.data_directory.as_str()), (2.0, "/data"));
    assert_eq!(b.application_name, "b1");
}

#[test]
fn all_mistakes_are_reported_at_once() {
    let toml = "prot = 9999\nport = 99999\nload_balance_mode = \"on\"\nssl = true\n\
                pool_mode = \"transation\"\nclient_max = 1 2\n\
                [[backends]]\nbackend_hostname = \"a\"\nport = 5432\nssl = true\nwieght = 1\n\
                [pool]\nsize = 3\n";
    assert_eq!(
        mistakes("pgherd.toml", toml),
        [
            "1: prot: there is no such parameter; did you mean port?",
            "2: port: 99999 is outside 1024 .. 65535; choose a value within the range",
            "3: load_balance_mode: a text does not fit; write true or false, without quotes",
            "4: ssl: pgherd does not speak TLS yet, so passwords and rows would travel in clear \
             text; remove the setting if that is acceptable, or wait for a later release",
            "5: pool_mode: transation is none of session, transaction, statement; did you mean \
             transaction?",
            "6: string values must be quoted, expected literal string; see https://toml.io for \
             how settings are written",
            "8: backends[0].backend_hostname: there is no such parameter; did you mean hostname?",
            "10: backends[0].ssl: this is no key of this section; move it to the top of the \
             file, above the first section",
            "11: backends[0].wieght: there is no such parameter; did you mean weight?",
            "12: pool: there is no such section; write its keys at the top of the file; the \
             sections are [[backends]], [[pools]] and [users]",
        ]
    );
    let conf = "port = 99999\nlog_connections = banana\nenable_pool_hba = on\n\
                backend_weight0 = abc\nbackend_hostname0 = 'a'\nchild_life_time = 5 min\n\
                backend_clustering_mode = 'native_replication'\n";
    assert_eq!(
        mistakes("pgpool.conf", conf),
        [
            "1: port: 99999 is outside 1024 .. 65535; choose a value within the range",
            "2: log_connections: banana is neither on nor off; write on or off",
            "3: enable_pool_hba: pgherd does not read pool_hba.conf yet, so clients that it \
             rejects could log in; remove the setting if that is acceptable, or wait for a later \
             release",
            "4: backend_weight0: abc is no number; write digits, with a unit right behind them \
             where there is one",
            "5: backend_hostname0: the node has a host name and no port; add backend_port0 = 5432",
            "6: child_life_time: 5 is cut off from its unit; write child_life_time = 5min",
            "7: backend_clustering_mode: pgherd will never serve native_replication: it leaves \
             replication to PostgreSQL; set up streaming replication between the servers",
            " sr_check_user: pgherd must log in to see which server is the primary, \
             and has no user for it; name a user with the role pg_monitor, and its password in \
             sr_check_password or the password file",
        ]
    );
}

#[test]
fn a_herd_that_cannot_be_served_is_refused() {
    let cases: &[(&str, &str)] = &[
        ("port = 5433", ""),
        ("backend_hostname1 = b", "backend_hostname1: the node has a host name and no port"),
        ("backend_port1 = 5432", "backend_port1: the node has a port and no host name"),
        (
            "backend_port1 = 5432\nbackend_hostname1 = a",
            "backend_port1: the node has the host name and port of node 0",
        ),
        ("backend_port1 = 0", "backend_port1: 0 is outside 1024 .. 65535"),
        ("backend_port128 = 5432", "backend_port128: the number is above 127"),
        ("backend_port = 5432", "backend_port: the number behind the name is missing"),
        ("backend_flag0 = ALOW_TO_FAILOVER", "did you mean ALLOW_TO_FAILOVER?"),
        ("backend_flag0 = 'ALLOW_TO_FAILOVER|DISALLOW_TO_FAILOVER'", "contradict one another"),
        ("listen_addresses = ''\nunix_socket_directories = ''", "nowhere to connect"),
        ("listen_addresses = ''", ""),
        ("unix_socket_permissions = 0770", "open to everyone"),
        ("unix_socket_permissions = 0777", ""),
        ("replication_mode = true", "leaves replication to PostgreSQL"),
        ("ssl = off\nenable_pool_hba = off", ""),
        ("backend_clustering_mode = raw", "the mode raw comes with a later release"),
        ("pool_mode = statement", ""),
        ("sr_check_user = ''", "has no user for it"),
        ("sr_check_user = ''\nhealth_check_user = h", ""),
        ("sr_check_password = 'md55d41402abc4b2a76b9719d911017c592'", "a hash is not enough"),
        ("sr_check_user = 'a\0b'", "zero byte"),
    ];
    for (lines, expected) in cases {
        let found = mistakes("pgpool.conf", &format!("{CONF}{lines}\n"));
        match found.as_slice() {
            [] => assert_eq!(*expected, "", "{lines}"),
            [one] => assert!(!expected.is_empty() && one.contains(expected), "{lines}: {one}"),
            more => panic!("{lines}: {more:?}"),
        }
    }
    assert_eq!(mistakes("pgpool.conf", "sr_check_user = u\n").len(), 1);
    assert!(mistakes("pgpool.conf", "sr_check_user = u\n").concat().contains("no server"));
    let empty = mistakes("pgherd.toml", "sr_check_user = \"u\"\n[[backends]]\n");
    assert_eq!(empty, ["2: backends[0]: the section names no server; add hostname and port"]);
    // None of these hides another.
    assert_eq!(mistakes("pgherd.toml", "pool_passwd = \"gone\"\n").len(), 3);
    assert_eq!(mistakes("pgherd.toml", "").len(), 2);
    let unread = load("a.conf", &Texts::new(&[])).unwrap_err().mistakes;
    assert_eq!(
        unread.iter().map(ToString::to_string).collect::<Vec<_>>(),
        ["a.conf: cannot be read: No such file or directory; check the path and who may read \
             it"]
    );
}

#[test]
fn notes_say_what_a_line_does_not_do() {
    let cases: &[(&str, &[&str])] = &[
        ("max_pool = 4", &["6: max_pool: has no effect: pgherd has one pool for each server"]),
        ("socket_dir = '/run'", &["6: socket_dir: is called unix_socket_directories now"]),
        ("delegate_IP = ''", &["6: delegate_IP: is called delegate_ip", "6: delegate_IP: is not"]),
        ("follow_master_command = 'x'", &["6: follow_master_command: is called follow_primary"]),
        ("other_wd_port1 = 9000", &["6: other_wd_port1: has no effect: it named another proxy"]),
        ("replication_mode = off", &["6: replication_mode: has no effect: a leftover"]),
        ("backend_flag_x = 1", &["6: backend_flag_x: no parameter of this name exists"]),
        ("hostname_map = 1", &["6: hostname_map: no parameter of this name exists"]),
        ("lisen_addresses = a", &["did you mean listen_addresses?"]),
        ("backend_hostnme1 = a", &["did you mean backend_hostname1?"]),
        ("backend_port0 = 012470", &["the leading zero makes the number octal: it is 5432"]),
        ("use_watchdog = off", &[]),
        ("use_watchdog = on", &["6: use_watchdog: is not in effect yet"]),
        ("health_check_timeout0 = 0", &["6: health_check_timeout0: 0 would switch"]),
        ("health_check_timeout = 0", &["6: health_check_timeout: 0 would switch"]),
        ("sr_check_period = 0", &["6: sr_check_period: 0 would switch"]),
        ("sr_check_period = 0\nhealth_check_period = 3", &[]),
        ("connect_timeout0 = 0", &["6: connect_timeout0: 0 would switch"]),
        ("backend_weight7 = 1", &["6: backend_weight7: the node has neither port nor host name"]),
        ("backend_weight0 = 0", &["is also set on line 3", "so all reads go to the primary"]),
        ("port = 5433\nport = 5434\nport = 5433", &["8: port: is also set on line 6, line 7;"]),
        ("sr_check_password = ''", &["is also set on line 5", "no password is known for pgherd"]),
    ];
    for (lines, expected) in cases {
        let found = notes("pgpool.conf", &format!("{CONF}{lines}\n"));
        let found: Vec<&String> = found.iter().filter(|n| !n.contains("port0: is also")).collect();
        assert_eq!(found.len(), expected.len(), "{lines}: {found:?}");
        for (note, expected) in found.iter().zip(*expected) {
            assert!(note.contains(expected), "{lines}: {note}");
        }
    }
    let text = format!("{TOML}[users]\nport = \"9999\"\n");
    let found = notes("pgherd.toml", &text);
    assert!(found.len() == 1 && found[0].starts_with("7: users.port: this adds"), "{found:?}");
}

#[test]
fn a_renamed_parameter_counts_under_its_new_name() {
    let text = format!("{CONF}socket_dir = '/run/x'\nfollow_master_command = 'run %d'\n");
    let config = load_one("pgpool.conf", &text).unwrap().config;
    assert_eq!(config.unix_socket_directories, ["/run/x"]);
    let follow = Command { line: "run %d".to_owned(), within: Duration::from_secs(3600) };
    assert_eq!(config.commands.follow_primary, Some(follow));
    assert_eq!(config.not_yet, []);
}

#[test]
fn the_same_parameter_under_two_spellings_is_a_mistake_in_toml() {
    let text = format!("backend_port0 = 5433\n{TOML}");
    assert_eq!(
        mistakes("pgherd.toml", &text),
        ["6: backends[0].port: it is also set on line 1; keep one of the two"]
    );
}

#[test]
fn pools_are_as_large_as_pgpools_children_are_many_unless_said_otherwise() {
    let size = |lines: &str| {
        load_one("pgpool.conf", &format!("{CONF}{lines}")).unwrap().config.pool.defaults.size_max
    };
    assert_eq!(size("num_init_children = 100"), 100);
    assert_eq!(size("num_init_children = 100\npool_size_max = 5"), 5);
}

#[test]
fn half_the_cores_serve_clients_unless_said_otherwise() {
    for (line, cores, threads) in [
        ("", 1, 1),
        ("", 2, 1),
        ("", 7, 3),
        ("worker_threads = 0", 8, 4),
        ("worker_threads = 3", 2, 3),
    ] {
        let text = format!("{line}\n{TOML}");
        let mut config = load_one("pgherd.toml", &text).unwrap().config;
        config.settle_threads(cores);
        assert_eq!(config.worker_threads, threads, "{line:?} on {cores} cores");
    }
}

#[test]
fn the_password_file_is_found_and_secrets_are_decoded() {
    let conf = CONF.replace("'secret'", "''");
    let path = "/etc/pgherd/pgpool.conf";
    let with = |lines: &str, files: &[(&str, &str)]| {
        let text = format!("{conf}{lines}\n");
        let mut all = vec![(path, text.as_str())];
        all.extend(files);
        load(path, &Texts::new(&all).with_key(Ok("key\n"))).map_err(|rejected| rejected.mistakes)
    };
    let password = |loaded: Result<Loaded, Vec<Mistake>>| {
        loaded.unwrap().config.checks.password.map(|secret| secret.expose().to_owned())
    };
    let file = ("/etc/pgherd/pool_passwd", "pgherd:TEXTfound\n");
    assert_eq!(password(with("", &[])), None, "a default file that is not there");
    assert_eq!(password(with("", &[file])).as_deref(), Some("found"));
    assert_eq!(password(with("pool_passwd = ''", &[file])), None, "switched off");
    let other = ("/etc/pgherd/sub/other", "pgherd:TEXTother\n");
    assert_eq!(password(with("pool_passwd = 'sub/other'", &[other])).as_deref(), Some("other"));
    let said = |loaded: Result<Loaded, Vec<Mistake>>| {
        loaded.err().unwrap_or_default().iter().map(ToString::to_string).collect::<Vec<_>>()
    };
    assert_eq!(
        said(with("pool_passwd = 'gone'", &[file])),
        ["/etc/pgherd/pgpool.conf:6: pool_passwd: /etc/pgherd/gone cannot be read: No such \
             file or directory; check the path and who may read it, or write '' for no password \
             file"]
    );
    let broken = ("/etc/pgherd/pool_passwd", "pgherd:TEXTfound\n\nnobody\n");
    let found = said(with("", &[broken]));
    assert!(found.concat().contains("/etc/pgherd/pool_passwd:"), "{found:?}");
}

#[test]
fn encrypted_secrets_need_a_key_that_only_its_owner_can_read() {
    // Encrypted for the key `mypoolkey`; the password is `secretpw`.
    let encrypted = "AES1soDBPtppom8N8KknAjANw==";
    let text = TOML.replace("secret", encrypted);
    let files = |text: &str| Texts::new(&[("pgherd.toml", text)]);
    let said = |files: Texts| {
        let found =
            load("pgherd.toml", &files).err().map(|rejected| rejected.mistakes).unwrap_or_default();
        found.iter().map(ToString::to_string).collect::<Vec<_>>()
    };
    assert_eq!(said(files(&text).with_key(Ok("mypoolkey\n"))), [] as [String; 0]);
    let none = said(files(&text));
    assert!(none.len() == 1 && none.concat().contains("there is no key file"), "{none:?}");
    let open = said(files(&text).with_key(Err(KeyFault::ReadableByOthers)));
    assert!(open.len() == 1 && open.concat().contains("others can read the key"), "{open:?}");
    let lost = said(files(&text).with_key(Err(KeyFault::Unreadable("denied".into()))));
    assert!(lost.len() == 1 && lost.concat().contains("cannot be read: denied"), "{lost:?}");
    let plain = said(files(TOML).with_key(Err(KeyFault::ReadableByOthers)));
    assert_eq!(plain, [] as [String; 0], "a key that nobody needs harms nobody");
    let users = format!("{text}[users]\na = \"{encrypted}\"\nb = \"{encrypted}\"\n");
    assert_eq!(said(files(&users)).len(), 1, "one missing key is one mistake");
}

#[test]
fn no_message_shows_a_secret() {
    let hidden = "hunter2";
    let texts = [
        format!("{CONF}recovery_password = '{hidden}'\nwd_authkey = '{hidden}''x'\n"),
        format!("{CONF}sr_check_password = {hidden} {hidden}\nrecovery_password = \"{hidden}\"\n"),
        format!("{TOML}\n[users]\na = [\"{hidden}\"]\n"),
        format!("recovery_password = [\"{hidden}\"]\n{TOML}[users]\nb = \"{hidden}\"\n"),
        format!("{CONF}recovery_password = '{hidden}'\nwd_lifecheck_password = {hidden}\n"),
    ];
    for text in texts {
        let said = format!("{:?}", load_one("conf", &text));
        assert!(!said.contains(hidden), "{said}");
    }
}

proptest! {
    /// Whatever a file holds, it is read or refused, and each mistake prints as one line.
    #[test]
    fn any_text_is_read_or_refused(text in "\\PC{0,200}|([a-z_]{1,9} ?=? ?['\"\\[{a-z0-9#\\\\\n]{0,9}\n?){0,9}") {
        for path in ["pgherd.toml", "pgpool.conf"] {
            for mistake in load_one(path, &text).err().unwrap_or_default() {
                prop_assert_eq!(mistake.to_string().lines().count(), 1);
            }
        }
    }

    /// Whatever a known parameter is set to, it is read or refused, in both formats.
    #[test]
    fn any_value_is_read_or_refused(index in 0..parameters::all().len(), value in "\\PC{0,20}|-?[0-9]{0,40}(\\.[0-9]{0,40})?[a-zA-Z]{0,3}") {
        let name = parameters::all()[index].name;
        for text in [format!("{name} = '{value}'\n"), format!("{name}0 = {value}\n[users]\n")] {
            prop_assert!(load_one("conf", &text).is_err());
        }
    }
}

#[test]
fn the_log_is_as_the_file_says() {
    let LogPolicy { line_prefix, is_collected, files } =
        load_one("pgpool.conf", CONF).unwrap().config.log;
    assert_eq!((line_prefix, is_collected), (None, false));
    assert_eq!((files.directory.as_str(), files.mode), ("/tmp/pgpool_logs", 0o600));
    assert_eq!((files.age, files.size), (Some(Duration::from_secs(86_400)), Some(10 << 20)));
    let lines = "logging_collector = on\nlog_line_prefix = ''\nlog_rotation_age = 0\n\
                 log_rotation_size = 0\nlog_file_mode = 0640\nlog_filename = 'a-%d.log'\n\
                 log_truncate_on_rotation = on\nlog_directory = '/l'\n";
    let log = load_one("pgpool.conf", &format!("{CONF}{lines}")).unwrap().config.log;
    let files = LogFiles {
        directory: "/l".into(),
        name: "a-%d.log".into(),
        mode: 0o640,
        is_truncated: true,
        age: None,
        size: None,
    };
    assert_eq!(log, LogPolicy { line_prefix: Some(String::new()), is_collected: true, files });
}
