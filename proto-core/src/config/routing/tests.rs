//! The parameters of routing, in both formats.

use super::*;
use crate::config::check::tests::load_one;
use crate::route::redirect::List;
use crate::time::Duration;

const TOML: &str = "sr_check_user = \"pgherd\"\nsr_check_password = \"secret\"\n";
const BACKEND: &str = "[[backends]]\nhostname = \"a\"\nport = 5432\n";
const CONF: &str = "backend_hostname0 = 'a'\nbackend_port0 = 5432\nbackend_weight0 = 1\n\
                    sr_check_user = pgherd\nsr_check_password = 'secret'\n";

fn toml(top: &str) -> Result<RoutingPolicy, Vec<String>> {
    loaded("pgherd.toml", &format!("{TOML}{top}\n{BACKEND}"))
}

fn conf(lines: &str) -> Result<RoutingPolicy, Vec<String>> {
    loaded("pgpool.conf", &format!("{CONF}{lines}\n"))
}

fn loaded(path: &str, text: &str) -> Result<RoutingPolicy, Vec<String>> {
    match load_one(path, text) {
        Ok(loaded) => Ok(loaded.config.routing),
        Err(mistakes) => Err(mistakes.iter().map(ToString::to_string).collect()),
    }
}

#[test]
fn only_the_transaction_rule_depends_on_the_format() {
    let (own, other) = (toml("").unwrap(), conf("").unwrap());
    assert_eq!(own.balancing, Balancing::standard());
    assert_eq!(own.rules, Rules::default());
    assert_eq!(own.tracking.ttl_factor, 5.0);
    assert_eq!(own.tracking.cold_start, Duration::from_secs(2));
    assert_eq!(other.balancing.transaction_reads, TransactionReads::UntilWrite);
    let balancing = Balancing::standard();
    assert_eq!(RoutingPolicy { balancing, ..other }, own);
    let reads = |policy: Result<RoutingPolicy, _>| policy.unwrap().balancing.transaction_reads;
    assert_eq!(reads(conf("transaction_reads = primary")), TransactionReads::Primary);
    assert_eq!(reads(toml("transaction_reads = \"until_write\"")), TransactionReads::UntilWrite);
}

#[test]
fn parameters_become_policy() {
    let policy = conf(
        "statement_level_load_balance = on\nread_only_function_list = 'get_.*,public\\.sum'\n\
         write_function_list = 'put_.*'\nstateless_function_list = 'put_log'\n\
         primary_routing_query_pattern_list = '.*secret.*;select 1\\;select 2'\n\
         allow_sql_comments = on\ndisable_load_balance_on_write = 'dml_adaptive'\n\
         dml_adaptive_object_relationship_list = 't1:t2,f():t3'\n\
         database_redirect_preference_list = 'shop:standby(0.5)'\n\
         app_name_redirect_preference_list = 'psql:primary'\n\
         user_redirect_preference_list = 'bob:0'\n\
         delay_threshold = 10\ndelay_threshold_by_time = 1500\nprefer_lower_delay_standby = on\n\
         track_table_mutation_max_staleness = 0",
    )
    .unwrap();
    assert_eq!(policy.level, Level::Statement);
    let FunctionRule::ReadOnly(functions) = &policy.rules.functions else { panic!("{policy:?}") };
    assert_eq!(
        functions.iter().map(Pattern::written).collect::<Vec<_>>(),
        ["get_.*", "public\\.sum"]
    );
    let texts: Vec<_> = policy.rules.primary_texts.iter().map(Pattern::written).collect();
    assert_eq!(texts, [".*secret.*", "select 1;select 2"]);
    assert_eq!(policy.rules.stateless.len(), 1);
    assert_eq!(policy.rules.comments, Comments::Ignored);
    assert_eq!(policy.balancing.on_write, OnWrite::DmlAdaptive);
    assert_ne!(policy.balancing.dependents, Dependents::default());
    let list = |user, database, app| policy.redirects.wanted(user, database, app).map(|w| w.list);
    assert_eq!(list("bob", "shop", "psql"), Some(List::Application));
    assert_eq!(list("bob", "shop", "x"), Some(List::Database));
    assert_eq!(list("bob", "x", "x"), Some(List::User));
    assert_eq!(list("ann", "x", "x"), None);
    let time = Duration::from_millis(1500);
    assert_eq!(policy.delay, Delay { bytes: 10, time, instead: Instead::LeastDelayed });
    assert_eq!(policy.tracking.staleness_max, None);
}

#[test]
fn nonsense_is_a_mistake_with_its_place() {
    let cases: &[(&str, &str)] = &[
        ("read_only_function_list = ['get_(']", "read_only_function_list: get_( is no regular"),
        ("primary_routing_query_pattern_list = 'a{2'", "a{2 is no regular expression"),
        ("user_redirect_preference_list = 'bob'", "bob names no node"),
        ("database_redirect_preference_list = 'a:first'", "first is no node"),
        ("app_name_redirect_preference_list = 'a:1(2)'", "1(2) has no ratio between 0 and 1"),
        ("app_name_redirect_preference_list = '(:1'", "before the colon is no regular expression"),
        ("dml_adaptive_object_relationship_list = 't1'", "not of the form object:dependent"),
        ("transaction_reads = 'standby'", "standby is none of primary, until_write"),
    ];
    for (line, words) in cases {
        let mistakes = toml(line).unwrap_err();
        let [mistake] = mistakes.as_slice() else { panic!("{line}: {mistakes:?}") };
        assert!(mistake.starts_with("pgherd.toml:3: "), "{mistake}");
        assert!(mistake.contains(words), "{line}: {mistake}");
    }
}
