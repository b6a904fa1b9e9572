//! How server connections are pooled: the defaults, and the rules for databases and users that
//! differ from them.

use super::findings::Findings;
use super::mistake::Pools;
use super::settings::Settings;
use super::value::Value;
use crate::limits;
use crate::time::Duration;
use std::collections::BTreeSet;

/// `pool_mode`: when a server connection goes back to its pool.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum PoolMode {
    /// When the client leaves.
    #[default]
    Session,
    /// When its transaction has ended.
    Transaction,
    /// When its statement has ended: there are no transactions of several statements.
    Statement,
}

impl PoolMode {
    /// As written in a file.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Session => "session",
            Self::Transaction => "transaction",
            Self::Statement => "statement",
        }
    }
}

/// How the connections of one database and user are pooled.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Pooling {
    /// `pool_mode`.
    pub mode: PoolMode,
    /// `pool_size_min`: connections that are kept open although nobody uses them.
    pub size_min: usize,
    /// `pool_size_max`: connections to one server, all shards together; `size_min <= size_max`.
    pub size_max: usize,
    /// `pool_reserve_size`: connections beyond `size_max` for those who have waited for long.
    pub reserve_size: usize,
}

/// What `[[pools]]`, or `pool_database0` and so on, say about some databases and users.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PoolRule {
    /// The database; none is any.
    pub database: Option<String>,
    /// The user; none is any.
    pub user: Option<String>,
    /// How their connections are pooled.
    pub pooling: Pooling,
}

impl PoolRule {
    fn covers(&self, database: &[u8], user: &[u8]) -> bool {
        let meets = |wanted: &Option<String>, name: &[u8]| {
            wanted.as_ref().is_none_or(|wanted| wanted.as_bytes() == name)
        };
        meets(&self.database, database) && meets(&self.user, user)
    }

    /// Tells whether nothing is left for `other` to match.
    fn eclipses(&self, other: &Self) -> bool {
        let wider = |mine: &Option<String>, its: &Option<String>| mine.is_none() || mine == its;
        wider(&self.database, &other.database) && wider(&self.user, &other.user)
    }
}

/// How server connections are pooled.
#[derive(Clone, Debug, PartialEq)]
pub struct PoolPolicy {
    /// What holds where no rule says otherwise.
    pub defaults: Pooling,
    /// What holds for some databases and users; the first rule that matches counts.
    pub rules: Vec<PoolRule>,
    /// `backend_connections_max`: connections to one server, all pools together.
    pub backend_connections_max: usize,
    /// `user_connections_max`: connections of one user to one server; none is no limit.
    pub user_connections_max: Option<usize>,
    /// `database_connections_max`: connections to one database of one server; none is no limit.
    pub database_connections_max: Option<usize>,
    /// `pool_wait_timeout`: how long a client waits for a connection.
    pub wait_timeout: Duration,
    /// `pool_reserve_timeout`: who has waited for so long may have a connection of the reserve.
    pub reserve_timeout: Duration,
    /// `pool_queue_max`: clients that wait for a connection of one pool.
    pub queue_max: usize,
    /// `connection_life_time`: an idle connection is closed after it; none is never.
    pub life_time: Option<Duration>,
    /// `pool_connection_age_max`: an older connection is closed when it is given back; none is
    /// never.
    pub age_max: Option<Duration>,
    /// `reset_query_list`: what is run before a connection goes to the next client.
    pub reset_query_list: Vec<String>,
    /// `connection_cache`: whether connections are kept at all after the client leaves.
    pub cache: bool,
}

impl Default for PoolPolicy {
    /// Makes the policy of a file that says nothing about pools.
    fn default() -> Self {
        Self {
            defaults: Pooling { size_max: 32, ..Pooling::default() },
            rules: Vec::new(),
            backend_connections_max: 90,
            user_connections_max: None,
            database_connections_max: None,
            wait_timeout: Duration::from_secs(30),
            reserve_timeout: Duration::from_secs(5),
            queue_max: limits::WAITERS_MAX,
            life_time: None,
            age_max: Some(Duration::from_secs(3600)),
            reset_query_list: vec!["ABORT".to_owned(), "DISCARD ALL".to_owned()],
            cache: true,
        }
    }
}

impl PoolPolicy {
    /// Returns how the connections of a database and user are pooled.
    #[must_use]
    pub fn of(&self, database: &[u8], user: &[u8]) -> Pooling {
        let rule = self.rules.iter().find(|rule| rule.covers(database, user));
        rule.map_or(self.defaults, |rule| rule.pooling)
    }

    /// Tells whether some pools are to be kept ready before anybody asks.
    #[must_use]
    pub fn has_minimum(&self) -> bool {
        let is_kept = |rule: &PoolRule| {
            rule.database.is_some() && rule.user.is_some() && rule.pooling.size_min > 0
        };
        self.rules.iter().any(is_kept)
    }

    /// Returns the narrowest of the limits that a pool shares with others, and its name.
    fn limit_of_a_pool(&self) -> (&'static str, usize) {
        let all = ("backend_connections_max", self.backend_connections_max);
        let user = self.user_connections_max.map(|max| ("user_connections_max", max));
        let database = self.database_connections_max.map(|max| ("database_connections_max", max));
        let narrower = |narrowest: (&'static str, usize), other: (&'static str, usize)| {
            if other.1 < narrowest.1 { other } else { narrowest }
        };
        [user, database].into_iter().flatten().fold(all, narrower)
    }
}

/// Makes the policy of the pools.
pub(super) fn assemble(settings: &Settings, findings: &mut Findings) -> PoolPolicy {
    // Pgpool-II opens as many connections for one database and user as it has processes.
    let size_max = match settings.given("pool_size_max", None) {
        Some(_) => "pool_size_max",
        None => "num_init_children",
    };
    let some = |name| Some(settings.count(name)).filter(|max| *max > 0);
    let mut policy = PoolPolicy {
        defaults: Pooling {
            mode: mode(settings.choice("pool_mode")),
            size_min: settings.count("pool_size_min"),
            size_max: settings.count(size_max),
            reserve_size: settings.count("pool_reserve_size"),
        },
        rules: Vec::new(),
        backend_connections_max: settings.count("backend_connections_max"),
        user_connections_max: some("user_connections_max"),
        database_connections_max: some("database_connections_max"),
        wait_timeout: settings.seconds("pool_wait_timeout"),
        reserve_timeout: settings.seconds("pool_reserve_timeout"),
        queue_max: settings.count("pool_queue_max"),
        life_time: settings.limit("connection_life_time"),
        age_max: settings.limit("pool_connection_age_max"),
        reset_query_list: settings.list("reset_query_list", None),
        cache: settings.flag("connection_cache"),
    };
    check_sizes(settings, &policy, policy.defaults, None, findings);
    let numbers: BTreeSet<u8> = OF_A_RULE.iter().flat_map(|name| settings.nodes(name)).collect();
    let mut rules: Vec<(u8, PoolRule)> = Vec::new();
    for number in numbers {
        let rule = assemble_rule(settings, policy.defaults, number, findings);
        check_rule(settings, &policy, &rules, (number, &rule), findings);
        rules.push((number, rule));
    }
    policy.rules = rules.into_iter().map(|(_, rule)| rule).collect();
    check_reserve(settings, &policy, findings);
    policy
}

/// Returns how long facts of the catalog are used before they are looked up again. Pgpool-II's
/// parameter for it counts where pgherd's own is not given; its zero is "for ever", which would
/// miss what others change, and means the default here.
pub(super) fn refresh_period(settings: &Settings) -> Duration {
    let own = "catalog_refresh_period";
    match (settings.given(own, None), settings.limit("relcache_expire")) {
        (None, Some(period)) => period,
        (_, _) => settings.seconds(own),
    }
}

fn mode(word: Option<&str>) -> PoolMode {
    match word {
        Some("transaction") => PoolMode::Transaction,
        Some("statement") => PoolMode::Statement,
        _ => PoolMode::Session,
    }
}

fn assemble_rule(
    settings: &Settings,
    defaults: Pooling,
    number: u8,
    findings: &mut Findings,
) -> PoolRule {
    let number = Some(number);
    let size = |name, default| match settings.given(name, number) {
        Some(Value::Integer(size)) => usize::try_from(*size).unwrap_or(default),
        _ => default,
    };
    let mode = match settings.given("pool_mode", number) {
        Some(Value::Choice(word)) => mode(Some(word)),
        _ => defaults.mode,
    };
    let mut named = |name| {
        let Some(Value::Text(text)) = settings.given(name, number) else { return None };
        if text.is_empty() {
            blame(settings, &[name], number, Pools::EmptyName, findings);
        }
        Some(text.clone()).filter(|text| text != ANY)
    };
    PoolRule {
        database: named("pool_database"),
        user: named("pool_user"),
        pooling: Pooling {
            mode,
            size_min: size("pool_size_min", defaults.size_min),
            size_max: size("pool_size_max", defaults.size_max),
            reserve_size: size("pool_reserve_size", defaults.reserve_size),
        },
    }
}

/// Reports what a rule cannot mean.
fn check_rule(
    settings: &Settings,
    policy: &PoolPolicy,
    others: &[(u8, PoolRule)],
    (number, rule): (u8, &PoolRule),
    findings: &mut Findings,
) {
    let of_rule = Some(number);
    let names = ["pool_database", "pool_user"];
    // A name that could not be read is in a mistake already.
    let is_blamed = |name: &&'static str| {
        let short = name.trim_start_matches("pool_");
        findings.blames(&format!("{name}{number}"))
            || findings.blames(&format!("pools[{number}].{short}"))
    };
    if names.iter().any(is_blamed) {
        return;
    }
    if names.iter().all(|name| settings.given(name, of_rule).is_none()) {
        return blame(settings, &OF_A_RULE, of_rule, Pools::Nobody, findings);
    }
    if let Some((other, _)) = others.iter().find(|(_, other)| other.eclipses(rule)) {
        let other = *other;
        return blame(settings, &names, of_rule, Pools::Eclipsed { other }, findings);
    }
    check_sizes(settings, policy, rule.pooling, of_rule, findings);
}

/// Reports sizes that contradict one another, where the first of them is set.
fn check_sizes(
    settings: &Settings,
    policy: &PoolPolicy,
    pooling: Pooling,
    number: Option<u8>,
    findings: &mut Findings,
) {
    let Pooling { size_min, size_max, .. } = pooling;
    let (limit, max) = policy.limit_of_a_pool();
    if size_min > size_max {
        let names = ["pool_size_min", "pool_size_max"];
        blame(settings, &names, number, Pools::MinimumAboveSize { size_min, size_max }, findings);
    } else if size_min > max {
        let names = ["pool_size_min", limit];
        let mistake = Pools::MinimumAboveLimit { size_min, limit, max };
        blame(settings, &names, number, mistake, findings);
    }
}

/// Reports a reserve that nobody would wait for.
fn check_reserve(settings: &Settings, policy: &PoolPolicy, findings: &mut Findings) {
    let mut poolings = policy.rules.iter().map(|rule| rule.pooling).chain([policy.defaults]);
    let has_reserve = poolings.any(|pooling| pooling.reserve_size > 0);
    if has_reserve && policy.reserve_timeout >= policy.wait_timeout {
        let names = ["pool_reserve_timeout", "pool_wait_timeout", "pool_reserve_size"];
        blame(settings, &names, None, Pools::ReserveTooLate, findings);
    }
}

/// Reports a mistake at the first of some parameters that the file sets.
fn blame(
    settings: &Settings,
    names: &[&'static str],
    number: Option<u8>,
    mistake: Pools,
    findings: &mut Findings,
) {
    let own = names.iter().find_map(|name| settings.setting(name, number));
    match own.or_else(|| names.iter().find_map(|name| settings.setting(name, None))) {
        Some(setting) => {
            let key = Some(setting.key.as_str());
            findings.mistake(&setting.file, setting.line, key, mistake);
        }
        None => {
            let key = names.first().copied();
            findings.mistake(&settings.path, None, key, mistake);
        }
    }
}

/// The parameters of a rule.
const OF_A_RULE: [&str; 6] = [
    "pool_database",
    "pool_user",
    "pool_mode",
    "pool_size_min",
    "pool_size_max",
    "pool_reserve_size",
];

/// What stands for any database or user.
const ANY: &str = "*";

#[cfg(test)]
mod tests;
