//! Rules about pools, in both formats.

use super::*;
use crate::config::check::tests::load_one;

const TOML: &str = "sr_check_user = \"pgherd\"\nsr_check_password = \"secret\"\n";
const BACKEND: &str = "[[backends]]\nhostname = \"a\"\nport = 5432\n";
const CONF: &str = "backend_hostname0 = 'a'\nbackend_port0 = 5432\nbackend_weight0 = 1\n\
                    sr_check_user = pgherd\nsr_check_password = 'secret'\n";

/// Loads a `pgherd.toml`: parameters at the top, and sections.
fn toml(top: &str, sections: &str) -> Result<PoolPolicy, Vec<String>> {
    loaded("pgherd.toml", &format!("{TOML}{top}\n{BACKEND}{sections}"))
}

fn conf(lines: &str) -> Result<PoolPolicy, Vec<String>> {
    loaded("pgpool.conf", &format!("{CONF}{lines}\n"))
}

fn loaded(path: &str, text: &str) -> Result<PoolPolicy, Vec<String>> {
    match load_one(path, text) {
        Ok(loaded) => Ok(loaded.config.pool),
        Err(mistakes) => Err(mistakes.iter().map(ToString::to_string).collect()),
    }
}

#[test]
fn a_file_that_says_nothing_means_the_default_policy() {
    assert_eq!(toml("", "").unwrap(), PoolPolicy::default());
    assert_eq!(conf("").unwrap(), PoolPolicy::default());
}

#[test]
fn both_formats_say_the_same() {
    let one = toml(
        "pool_mode = \"transaction\"\npool_size_max = 20\npool_size_min = 1\n\
         pool_reserve_size = 2\npool_reserve_timeout = 3\nuser_connections_max = 30\n\
         database_connections_max = 40\npool_queue_max = 50\npool_connection_age_max = \"10min\"",
        "[[pools]]\ndatabase = \"shop\"\nuser = \"app\"\nmode = \"session\"\nsize_min = 4\n\
         [[pools]]\ndatabase = \"*\"\nuser = \"batch\"\nmode = \"statement\"\nsize_max = 2\n\
         reserve_size = 0\n",
    );
    let other = conf(
        "pool_mode = transaction\npool_size_max = 20\npool_size_min = 1\npool_reserve_size = 2\n\
         pool_reserve_timeout = 3s\nuser_connections_max = 30\ndatabase_connections_max = 40\n\
         pool_queue_max = 50\npool_connection_age_max = 10min\n\
         pool_database0 = 'shop'\npool_user0 = 'app'\npool_mode0 = 'session'\npool_size_min0 = 4\n\
         pool_user7 = 'batch'\npool_mode7 = statement\npool_size_max7 = 2\n\
         pool_reserve_size7 = 0\n",
    );
    let policy = one.unwrap();
    assert_eq!(policy, other.unwrap());
    let defaults =
        Pooling { mode: PoolMode::Transaction, size_min: 1, size_max: 20, reserve_size: 2 };
    assert_eq!(policy.defaults, defaults);
    assert_eq!(policy.reserve_timeout, Duration::from_secs(3));
    assert_eq!(
        (policy.user_connections_max, policy.database_connections_max),
        (Some(30), Some(40))
    );
    assert_eq!((policy.queue_max, policy.age_max), (50, Some(Duration::from_secs(600))));
    let of = |database: &str, user: &str| policy.of(database.as_bytes(), user.as_bytes());
    let app = Pooling { mode: PoolMode::Session, size_min: 4, ..defaults };
    assert_eq!(of("shop", "app"), app);
    assert_eq!(of("Shop", "app"), defaults, "names are exact");
    let batch = Pooling { mode: PoolMode::Statement, size_max: 2, reserve_size: 0, ..defaults };
    assert_eq!((of("shop", "batch"), of("other", "batch")), (batch, batch));
}

#[test]
fn the_first_rule_that_matches_counts() {
    let policy = conf(
        "pool_database3 = shop\npool_user3 = app\npool_size_max3 = 3\n\
         pool_database5 = shop\npool_size_max5 = 5\n\
         pool_user9 = '*'\npool_size_max9 = 9",
    )
    .unwrap();
    let size =
        |database: &str, user: &str| policy.of(database.as_bytes(), user.as_bytes()).size_max;
    assert_eq!((size("shop", "app"), size("shop", "a"), size("b", "app")), (3, 5, 9));
}

#[test]
fn nonsense_is_a_mistake_with_its_place_and_a_way_out() {
    for (top, sections, expected) in NONSENSE {
        assert_eq!(toml(top, sections).unwrap_err(), [*expected], "{top} {sections}");
    }
    let cases: &[(&str, &str)] = &[
        (
            "pool_database = 'a'",
            "pgpool.conf:6: pool_database: the number behind the name is missing; write \
             pool_database0 for the first, pool_database1 for the next",
        ),
        (
            "pool_mode12 = transaction",
            "pgpool.conf:6: pool_mode12: it is not said whose pools this is about; name them with \
             pool_database12 or pool_user12, of which '*' is any",
        ),
        ("pool_user256 = a", "pgpool.conf:6: pool_user256: the number is above 255; number them"),
    ];
    for (lines, expected) in cases {
        let said = conf(lines).unwrap_err();
        assert!(said.len() == 1 && said[0].starts_with(expected), "{lines}: {said:?}");
    }
}

#[test]
fn facts_of_the_catalog_are_refreshed_as_either_parameter_says() {
    let cases: &[(&str, u64)] = &[
        ("", 60),
        ("relcache_expire = 0", 60),
        ("relcache_expire = 600", 600),
        ("relcache_expire = 600\ncatalog_refresh_period = 5", 5),
        ("catalog_refresh_period = 2min", 120),
    ];
    for (lines, expected) in cases {
        let loaded = load_one("pgpool.conf", &format!("{CONF}{lines}\n")).unwrap();
        let period = loaded.config.catalog_refresh_period;
        assert_eq!(period, Duration::from_secs(*expected), "{lines}");
    }
}

/// Lines at the top, sections, and what is said of them.
const NONSENSE: &[(&str, &str, &str)] = &[
    (
        "pool_mode = \"transction\"",
        "",
        "pgherd.toml:3: pool_mode: transction is none of session, transaction, statement; did \
             you mean transaction?",
    ),
    (
        "pool_size_min = 33",
        "",
        "pgherd.toml:3: pool_size_min: 33 connections to keep are more than the 32 of a pool; \
             lower pool_size_min, or raise pool_size_max",
    ),
    (
        "pool_size_min = 3",
        "[[pools]]\nuser = \"a\"\nsize_max = 2",
        "pgherd.toml:9: pools[0].size_max: 3 connections to keep are more than the 2 of a \
             pool; lower pool_size_min, or raise pool_size_max",
    ),
    (
        "user_connections_max = 5",
        "[[pools]]\nuser = \"a\"\nsize_min = 6",
        "pgherd.toml:9: pools[0].size_min: 6 connections to keep are more than the 5 of \
             user_connections_max; lower pool_size_min, or raise user_connections_max",
    ),
    (
        "",
        "[[pools]]\nmode = \"session\"",
        "pgherd.toml:8: pools[0].mode: it is not said whose pools this is about; name them \
             with database or user, of which \"*\" is any",
    ),
    (
        "",
        "[[pools]]",
        "pgherd.toml:7: pools[0]: it is not said whose pools this is about; name them with \
             database or user, of which \"*\" is any",
    ),
    (
        "",
        "[[pools]]\nuser = \"\"",
        "pgherd.toml:8: pools[0].user: nothing has an empty name; write '*' for any, or leave \
             pools[0].user out",
    ),
    (
        "",
        "[[pools]]\nuser = 7",
        "pgherd.toml:8: pools[0].user: a whole number does not fit; write a text in quotes",
    ),
    (
        "",
        "[[pools]]\nuser = \"*\"\n[[pools]]\ndatabase = \"a\"\nuser = \"b\"\nsize_max = 3",
        "pgherd.toml:10: pools[1].database: the pools of number 0 come first and leave \
             nothing for these; give the more particular ones the lower number, or remove these",
    ),
    (
        "pool_reserve_timeout = 30\npool_reserve_size = 1",
        "",
        "pgherd.toml:3: pool_reserve_timeout: a client gives up waiting before it may use the \
             reserve; set pool_reserve_timeout below pool_wait_timeout",
    ),
    (
        "",
        "[[pools]]\nuser = \"a\"\nsize = 3",
        "pgherd.toml:9: pools[0].size: there is no such parameter; remove it, or look its \
             name up",
    ),
    (
        "",
        "[[pools]]\nuser = \"a\"\npool_mode = \"session\"",
        "pgherd.toml:9: pools[0].pool_mode: there is no such parameter; did you mean mode?",
    ),
    (
        "",
        "[[pools]]\nuser = \"a\"\nport = 1",
        "pgherd.toml:9: pools[0].port: this is no key of this section; move it to the top of \
             the file, above the first section",
    ),
    (
        "pools = 7",
        "",
        "pgherd.toml:3: pools: a whole number does not fit; write [[pools]] sections",
    ),
];
