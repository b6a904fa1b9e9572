//! How servers are watched: one policy for all nodes, and one for each of which a file says more.
//!
//! Pgpool-II looks at a server twice, for its health and for its lag, each with a login of its own.
//! pgherd looks once. What a file says of either kind of look holds for that one: the shorter pause,
//! and the login that can tell more, which is the one of the lag.

use std::collections::BTreeMap;

use super::CheckPolicy;
use super::findings::Findings;
use super::mistake::Herd;
use super::note::NoteKind;
use super::secrets::Vault;
use super::settings::{Settings, numbered};
use crate::auth::passwd::Users;
use crate::auth::secret::Secret;
use crate::id::BackendId;
use crate::time::Duration;

/// What stands for a period of zero: pgherd must look at its servers to know the primary.
const PERIOD: Duration = Duration::from_secs(10);

/// What stands for a timeout of zero, after which a silent server would never count as lost.
const TIMEOUT: Duration = Duration::from_secs(20);

/// By whom it is looked for lag.
const LAG_LOGIN: Login =
    Login { user: "sr_check_user", password: "sr_check_password", database: "sr_check_database" };

/// By whom it is looked for health.
const HEALTH_LOGIN: Login = Login {
    user: "health_check_user",
    password: "health_check_password",
    database: "health_check_database",
};

/// The parameters that say when to look.
const PATIENCE: [&str; 4] = [
    "health_check_period",
    "health_check_timeout",
    "health_check_max_retries",
    "health_check_retry_delay",
];

/// The parameters that say who logs in.
#[derive(Clone, Copy, PartialEq, Eq)]
struct Login {
    user: &'static str,
    password: &'static str,
    database: &'static str,
}

impl Login {
    fn is_named(self, settings: &Settings, node: Option<u8>) -> bool {
        !settings.text(self.user, node).is_empty()
    }

    /// Whether a file says anything about it for this node alone.
    fn is_given(self, settings: &Settings, node: u8) -> bool {
        let parameters = [self.user, self.password, self.database];
        parameters.into_iter().any(|name| settings.given(name, Some(node)).is_some())
    }
}

/// Makes the policy of looking at servers; none if nobody is named to log in.
pub(super) fn policy(
    settings: &Settings,
    users: &Users,
    vault: &mut Vault<'_>,
    findings: &mut Findings,
) -> Option<CheckPolicy> {
    let logins = [LAG_LOGIN, HEALTH_LOGIN];
    let Some(login) = logins.into_iter().find(|login| login.is_named(settings, None)) else {
        if !findings.is_blind() && !logins.iter().any(|login| findings.blames(login.user)) {
            findings.mistake(&settings.path, None, Some(LAG_LOGIN.user), Herd::NoCheckUser);
        }
        return None;
    };
    if login == LAG_LOGIN {
        note_overruled(settings, findings);
    }
    let policy = paced(settings, None, CheckPolicy::default(), findings);
    Some(logging_in(settings, None, login, policy, &mut Keys { users, vault }, findings))
}

/// Notes who is named for the look for health where the one for lag stands for both, unless a node
/// is looked at by that login.
fn note_overruled(settings: &Settings, findings: &mut Findings) {
    let pairs = [
        (HEALTH_LOGIN.user, LAG_LOGIN.user),
        (HEALTH_LOGIN.password, LAG_LOGIN.password),
        (HEALTH_LOGIN.database, LAG_LOGIN.database),
    ];
    if pairs.iter().any(|(name, _)| settings.nodes(name).next().is_some()) {
        return;
    }
    for (name, by) in pairs {
        let Some(setting) = settings.setting(name, None) else { continue };
        let (named, used) = (settings.text(name, None), settings.text(by, None));
        let used = if by == LAG_LOGIN.database { or_postgres(used) } else { used };
        if !named.is_empty() && named != used {
            let kind = NoteKind::Overruled;
            findings.note(&setting.file, setting.line, Some(&setting.key), kind);
        }
    }
}

/// Makes the policies of nodes for which a file has numbered parameters; whatever else there is to
/// say is as for `all`.
pub(super) fn of_nodes(
    settings: &Settings,
    nodes: impl Iterator<Item = BackendId>,
    all: &CheckPolicy,
    users: &Users,
    vault: &mut Vault<'_>,
    findings: &mut Findings,
) -> BTreeMap<BackendId, CheckPolicy> {
    let mut keys = Keys { users, vault };
    let mut policies = BTreeMap::new();
    for id in nodes {
        let node = Some(id.0);
        let mut policy = paced(settings, node, all.clone(), findings);
        // Whoever names a login for one node means it, although the other one could tell more.
        if HEALTH_LOGIN.is_given(settings, id.0) {
            policy = logging_in(settings, node, HEALTH_LOGIN, policy, &mut keys, findings);
        } else if !PATIENCE.iter().any(|name| settings.given(name, node).is_some()) {
            continue;
        }
        policies.insert(id, policy);
    }
    policies
}

/// Where passwords come from.
struct Keys<'a, 'b> {
    users: &'a Users,
    vault: &'a mut Vault<'b>,
}

/// The same policy with what is said about when to look.
fn paced(
    settings: &Settings,
    node: Option<u8>,
    policy: CheckPolicy,
    findings: &mut Findings,
) -> CheckPolicy {
    let retries = settings.number("health_check_max_retries", node);
    CheckPolicy {
        period: period(settings, node, findings),
        timeout: or_instead(settings, "health_check_timeout", node, (TIMEOUT, "20s"), findings),
        max_retries: u32::try_from(retries).unwrap_or(u32::MAX),
        retry_delay: Duration::from_secs(settings.number("health_check_retry_delay", node)),
        ..policy
    }
}

/// The same policy with what is said about who logs in.
fn logging_in(
    settings: &Settings,
    node: Option<u8>,
    login: Login,
    policy: CheckPolicy,
    keys: &mut Keys<'_, '_>,
    findings: &mut Findings,
) -> CheckPolicy {
    // A node that names but a password or a database has it for the user of all.
    let user_key = if login.is_named(settings, node) { login.user } else { LAG_LOGIN.user };
    let user = settings.text(user_key, node);
    CheckPolicy {
        password: password(settings, node, &user, login.password, keys, findings),
        user,
        database: or_postgres(settings.text(login.database, node)),
        ..policy
    }
}

/// Returns the pause between two looks: the shorter one of those for lag and for health.
fn period(settings: &Settings, node: Option<u8>, findings: &mut Findings) -> Duration {
    let lag = settings.limit("sr_check_period");
    let health = limit(settings, "health_check_period", node);
    match (lag, health) {
        (Some(lag), Some(health)) => lag.min(health),
        (Some(period), None) | (None, Some(period)) => period,
        (None, None) => or_instead(settings, "sr_check_period", node, (PERIOD, "10s"), findings),
    }
}

/// Returns a time in seconds, of which zero is none.
fn limit(settings: &Settings, name: &'static str, node: Option<u8>) -> Option<Duration> {
    let seconds = settings.number(name, node);
    (seconds > 0).then(|| Duration::from_secs(seconds))
}

/// Returns a time, or what stands for zero, with a note where the zero stands.
fn or_instead(
    settings: &Settings,
    name: &'static str,
    node: Option<u8>,
    (instead, used): (Duration, &'static str),
    findings: &mut Findings,
) -> Duration {
    if let Some(given) = limit(settings, name, node) {
        return given;
    }
    if let Some(setting) = settings.setting(name, node) {
        let kind = NoteKind::ZeroReplaced { used };
        findings.note(&setting.file, setting.line, Some(&setting.key), kind);
    }
    instead
}

/// Finds the password for looking at servers: the one in the setting, or the user's entry.
fn password(
    settings: &Settings,
    node: Option<u8>,
    user: &str,
    name: &'static str,
    keys: &mut Keys<'_, '_>,
    findings: &mut Findings,
) -> Option<Secret> {
    let stored = settings.text(name, node);
    let setting = settings.setting(name, node).or_else(|| settings.setting(name, None));
    if let Some(setting) = setting.filter(|_| !stored.is_empty()) {
        let place = (setting.file.as_str(), setting.line, setting.key.as_str());
        return keys.vault.decode(user, &stored, place, findings);
    }
    // Of a user that looks at servers for its own sake, the other kind of look may have it.
    if name == HEALTH_LOGIN.password && user == settings.text(LAG_LOGIN.user, None) {
        return password(settings, None, user, LAG_LOGIN.password, keys, findings);
    }
    let entry = keys.users.password(user).cloned();
    if entry.is_none() {
        let kind = NoteKind::NoCheckPassword { user: user.to_owned() };
        findings.note(&settings.path, None, Some(&numbered(name, node)), kind);
    }
    entry
}

/// Returns the database, of which Pgpool-II takes an empty name for `postgres`.
fn or_postgres(database: String) -> String {
    if database.is_empty() { "postgres".to_owned() } else { database }
}

#[cfg(test)]
mod tests {
    use crate::auth::secret::Secret;
    use crate::config::check::tests::load_one;
    use crate::id::BackendId;
    use crate::time::Duration;

    /// The same in both formats.
    const CONF: &str = "
        backend_hostname0 = 'a'
        backend_port0 = 5432
        backend_hostname1 = 'b'
        backend_port1 = 5432
        backend_hostname2 = 'c'
        backend_port2 = 5432
        sr_check_period = 10
        sr_check_user = 'lag'
        sr_check_password = 'of lag'
        health_check_timeout = 5
        health_check_max_retries = 3
        health_check_period1 = 2
        health_check_timeout1 = 0
        health_check_max_retries1 = 7
        health_check_retry_delay1 = 4
        health_check_user2 = 'health'
        health_check_password2 = 'of health'
        health_check_database2 = 'here'
        ";
    const TOML: &str = "
        sr_check_period = 10
        sr_check_user = 'lag'
        sr_check_password = 'of lag'
        health_check_timeout = 5
        health_check_max_retries = 3
        [[backends]]
        hostname = 'a'
        port = 5432
        [[backends]]
        hostname = 'b'
        port = 5432
        health_check_period = '2s'
        health_check_timeout = 0
        health_check_max_retries = 7
        health_check_retry_delay = 4
        [[backends]]
        hostname = 'c'
        port = 5432
        health_check_user = 'health'
        health_check_password = 'of health'
        health_check_database = 'here'
        ";

    #[test]
    fn a_node_has_what_is_said_of_it() {
        for (path, text) in [("pgpool.conf", CONF), ("pgherd.toml", TOML)] {
            let config = load_one(path, text).unwrap().config;
            let seconds = Duration::from_secs;
            // Node, period, timeout, retries, delay, user, password, database.
            let cases = [
                (0, 10, 5, 3, 1, "lag", "of lag", "postgres"),
                (1, 2, 20, 7, 4, "lag", "of lag", "postgres"),
                (2, 10, 5, 3, 1, "health", "of health", "here"),
            ];
            for (node, period, timeout, retries, delay, user, password, database) in cases {
                let checks = config.checks_of(BackendId(node));
                assert_eq!(
                    (checks.period, checks.timeout, checks.max_retries, checks.retry_delay),
                    (seconds(period), seconds(timeout), retries, seconds(delay)),
                    "{path}, node {node}"
                );
                let found = checks.password.as_ref().map(Secret::expose);
                assert_eq!(
                    (checks.user.as_str(), found, checks.database.as_str()),
                    (user, Some(password), database),
                    "{path}, node {node}"
                );
            }
            let shown = |name: &str| config.shown(name).map(|shown| shown.words.as_str());
            assert_eq!(shown("health_check_max_retries1"), Some("7"), "{path}");
            assert_eq!(shown("health_check_password2"), Some("*****"), "{path}");
            assert_eq!(shown("health_check_max_retries0"), Some("3"), "{path}");
        }
    }

    #[test]
    fn a_login_that_is_not_used_is_told_of() {
        let told = |conf: &str, lines: &str| {
            let loaded = load_one("pgpool.conf", &format!("{conf}\n{lines}\n")).unwrap();
            let told = loaded.notes.iter().map(ToString::to_string);
            told.filter(|note| note.contains("looks at a server once")).collect::<Vec<_>>()
        };
        let others = "health_check_user = 'h'\nhealth_check_password = 'p'\n\
                      health_check_database = 'd'";
        // One node is looked at by such a login.
        assert_eq!(told(CONF, others), <[&str; 0]>::default());
        let is_of_health =
            |line: &&str| ["user2", "password2", "database2"].iter().any(|it| line.contains(it));
        let conf: Vec<&str> = CONF.lines().filter(|line| !is_of_health(line)).collect();
        let conf = conf.join("\n");
        let notes = told(&conf, others);
        for (key, note) in ["user", "password", "database"].iter().zip(&notes) {
            let words = format!(
                "health_check_{key}: has no effect: pgherd looks at a server once, by \
                 sr_check_user; name another login for single nodes (health_check_user0), or leave \
                 sr_check_user out"
            );
            assert!(note.ends_with(&words), "{note}");
        }
        assert_eq!(notes.len(), 3, "{notes:?}");
        let same = "health_check_user = 'lag'\nhealth_check_password = 'of lag'\n\
                    health_check_database = 'postgres'";
        assert_eq!(told(&conf, same), <[&str; 0]>::default());
    }

    #[test]
    fn the_login_of_one_node_falls_back_on_that_of_all() {
        let one = |lines: &str| {
            let text = format!("{CONF}{lines}\n");
            load_one("pgpool.conf", &text).unwrap().config.checks_of(BackendId(0)).clone()
        };
        // Only a database: the user of all looks there.
        let checks = one("health_check_database0 = 'there'");
        let password = checks.password.as_ref().map(Secret::expose);
        assert_eq!(
            (checks.user.as_str(), password, checks.database.as_str()),
            ("lag", Some("of lag"), "there")
        );
        // Only a user: its password is the one of all nodes.
        let checks = one("health_check_user0 = 'u'\nhealth_check_password = 'for all'");
        let password = checks.password.as_ref().map(Secret::expose);
        assert_eq!((checks.user.as_str(), password), ("u", Some("for all")));
    }
}
