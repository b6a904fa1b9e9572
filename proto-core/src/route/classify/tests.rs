//! The table of statements, and what holds for any text.

use proptest::prelude::*;

use std::sync::LazyLock;

use super::super::class::Access;
use super::super::examples::examples;
use super::super::rules::Rules;
use super::super::{Facts, Freedom, Route, Side, Transaction, decide};
use super::*;

static NO_RULES: LazyLock<Rules> = LazyLock::new(Rules::default);

fn classify(text: &[u8], allow_sql_comments: bool) -> Class {
    let comments = if allow_sql_comments { Comments::Ignored } else { Comments::Bind };
    super::classify(text, &Lore { comments, ..Lore::bare(&NO_RULES) })
}

const fn word(kind: Kind) -> &'static str {
    match kind {
        Kind::Read => "read",
        Kind::Write => "write",
        Kind::Begin { access: Access::ReadOnly, .. } => "begin-ro",
        Kind::Begin { access: Access::ReadWrite, .. } => "begin-rw",
        Kind::Begin { access: Access::Unstated, .. } => "begin",
        Kind::End => "end",
        Kind::Transaction => "transaction",
        Kind::Setting => "setting",
        Kind::Empty => "empty",
        Kind::Show => "show",
        Kind::Pgherd(_) => "pgherd",
        Kind::DiscardAll => "discard",
    }
}

const fn state_word(state: StateChange) -> &'static str {
    match state {
        StateChange::None => "-",
        StateChange::Undoes => "undoes",
        StateChange::Unknown => "unknown",
        StateChange::Holds(Hold::Listen) => "listen",
        StateChange::Holds(Hold::TemporaryTable) => "temporary",
        StateChange::Holds(Hold::HeldCursor) => "cursor",
        StateChange::Holds(Hold::AdvisoryLock) => "lock",
        StateChange::Holds(Hold::Prepared) => "prepared",
        StateChange::Holds(Hold::Setting) => "setting",
    }
}

#[test]
fn statements_are_classified_and_routed() {
    let mut wrong = Vec::new();
    let mut count = 0;
    for example in examples() {
        count += 1;
        let class = classify(example.text.as_bytes(), false);
        let side = match decide(&Facts::new(&class, Transaction::None, Freedom::Free)) {
            _ if matches!(class.kind, Kind::Pgherd(_)) => "pgherd",
            Route::Send { side: Side::Replica, .. } => "replica",
            Route::Send { side: Side::Primary, .. } => "primary",
            Route::Defer { .. } | Route::Refuse { .. } => "nowhere",
        };
        let found = [side, class.reason.word(), word(class.kind), state_word(class.state)];
        if found != [example.side, example.word, example.kind, example.state] {
            wrong.push(format!("{}\n    is {}", example.text, found.join(" | ")));
        }
    }
    assert!(count >= 500, "{count} statements");
    assert!(wrong.is_empty(), "{} of {count}:\n{}", wrong.len(), wrong.join("\n"));
}

#[test]
fn parameters_have_one_name() {
    let cases: &[(&str, &str)] = &[
        ("set time zone 'UTC'", "timezone"),
        ("SET TimeZone TO 'UTC'", "timezone"),
        ("set \"DateStyle\" = iso", "datestyle"),
        ("set names 'utf8'", "client_encoding"),
        ("set schema 'a'", "search_path"),
        ("set xml option document", "xmloption"),
        ("set session my.Var = 1", "my.var"),
        ("set a.b.c = 1", "a.b.c"),
        ("set sort_mem = 1", "work_mem"),
        ("set session = 1", "session"),
        ("reset all", "all"),
        ("reset time zone", "timezone"),
        ("reset my.var", "my.var"),
        ("set session characteristics as transaction read only", "default_transaction_read_only"),
        (
            "set session characteristics as transaction isolation level read committed, read only",
            "default_transaction_isolation,default_transaction_read_only",
        ),
    ];
    for (text, name) in cases {
        let reason = Reason::SetsParameter { name: (*name).into() };
        assert_eq!(classify(text.as_bytes(), false), Class::new(Kind::Setting, reason), "{text}");
    }
}

#[test]
fn comments_matter_only_when_not_allowed() {
    assert_eq!(classify(b"/* x */ select 1", true).kind, Kind::Read);
    assert_eq!(classify(b"/* x */ select 1", false).reason, Reason::CommentBefore);
    for allowed in [true, false] {
        let reason = classify(b"/* x */ /* no load balance */ select 1", allowed).reason;
        assert_eq!(reason, Reason::NoLoadBalance);
        assert_eq!(classify(b"select /*NO LOAD BALANCE*/ 1", allowed).kind, Kind::Read);
    }
    assert_eq!(classify(b"/* x */ begin", false).reason, Reason::TransactionControl);
}

#[test]
fn reasons_are_told() {
    let cases: &[(&str, &str)] = &[
        ("select 1", "it only reads"),
        ("select f()", "it calls f, which is not known to only read"),
        ("select set_config('a', 'b', false)", "it calls set_config, which changes the session"),
        ("select * from pg_class", "it reads the system catalog pg_class"),
        ("select * from t for update", "it locks the rows it reads"),
        ("select 1; select 2", "it has 2 statements"),
        ("listen c", "listen ties the session to its connection"),
        ("select random()", "it calls random, which only the primary answers"),
        ("select 'a\\'", "a backslash stands before a quote"),
    ];
    for (text, reason) in cases {
        assert_eq!(classify(text.as_bytes(), false).reason.to_string(), *reason, "{text}");
    }
}

#[test]
fn texts_beyond_the_bounds_are_the_primarys() {
    let long = format!("select '{}'", "x".repeat(QUERY_TEXT_LEN_MAX));
    assert_eq!(classify(long.as_bytes(), false).reason, Reason::TooLong { len: long.len() });
    let deep = format!("select 1{}", " + 1".repeat(QUERY_TERMS_MAX));
    let reason = classify(deep.as_bytes(), false).reason;
    assert!(matches!(reason, Reason::TooComplex { .. }), "{reason}");
    let nested = format!("select {}1{}", "(".repeat(500), ")".repeat(500));
    assert_eq!(classify(nested.as_bytes(), false).reason, Reason::Unparsable);
    let list = format!("select * from t where a in ({}1)", "1, ".repeat(15_000));
    assert_eq!(classify(list.as_bytes(), false).kind, Kind::Read);
}

/// Tells whether a plain read could hold these words outside of literals and quoted names.
fn is_clean(text: &[u8]) -> bool {
    let Ok(scan) = read(text) else { return false };
    let statement = Statement { text: &scan.text, tokens: &scan.tokens };
    let starts = ["select", "values", "table", "with", "copy"];
    let first = statement.tokens.iter().find(|token| token.shape == Shape::Word);
    first.is_some_and(|token| starts.iter().any(|word| token.is_word(statement.text, word)))
        && !statement.has_word("into")
        && !["nextval", "setval", "random", "f", "set_config", "pg_advisory_lock"]
            .iter()
            .any(|word| calls(&statement, word))
}

fn calls(statement: &Statement<'_>, name: &str) -> bool {
    statement
        .tokens
        .windows(2)
        .any(|pair| pair[0].is_word(statement.text, name) && pair[1].shape == Shape::Symbol(b'('))
}

fn all() -> Vec<String> {
    examples().map(|example| example.text.into_owned()).collect()
}

proptest! {
    /// Any bytes have a class.
    #[test]
    fn any_bytes_have_a_class(text in prop::collection::vec(any::<u8>(), 0..200)) {
        let _ = classify(&text, true);
    }

    /// However statements are cut and glued, what counts as a read holds no word that writes.
    #[test]
    fn a_read_holds_no_word_that_writes(
        one in prop::sample::select(all()),
        other in prop::sample::select(all()),
        cut in any::<prop::sample::Index>(),
        from in any::<prop::sample::Index>(),
        glue in prop::sample::select(vec!["", " ", ";", "(", ")", "'", "\"", "/*", "--", "\n", ",", "$$", "\\"]),
    ) {
        let (one, other) = (one.as_bytes(), other.as_bytes());
        let mut text = one[..cut.index(one.len() + 1)].to_vec();
        text.extend_from_slice(glue.as_bytes());
        text.extend_from_slice(&other[from.index(other.len() + 1)..]);
        let class = classify(&text, true);
        if class.kind == Kind::Read {
            prop_assert_eq!(class.state, StateChange::None);
            prop_assert!(is_clean(&text), "{}", String::from_utf8_lossy(&text));
        }
    }
}

#[test]
fn classes_name_what_they_touch() {
    let cases: &[(&str, &str, &str)] = &[
        // Text, what it reads, what it writes.
        ("select * from a join s.b using (id)", "a b", "-"),
        ("select * from (select * from \"A\") x where y in (select y from c)", "A c", "-"),
        ("select 1", "", "-"),
        ("table s.t", "t", "-"),
        ("copy t to stdout", "t", "-"),
        ("select * from pg_class", "pg_class", "-"),
        ("insert into s.t select * from u", "t u", "t"),
        ("insert into t values (1) on conflict (a) do update set b = 1", "t", "t"),
        ("update only t set a = f(1)", "t", "f() t"),
        ("delete from t using u where t.id = u.id", "t u", "t"),
        ("with a as (insert into t values (1) returning *) select * from a, u", "a t u", "t"),
        ("select f(a), nextval('s') from t", "t", "f()"),
        ("select * from t for update", "t", ""),
        ("select a into u from t", "t", "?"),
        ("truncate t", "-", "?"),
        ("create table t (a int)", "-", "?"),
        ("call p()", "-", "?"),
        ("select 1; select 2", "-", "?"),
        ("/* x */ select * from t", "t", "-"),
        ("begin", "-", "-"),
        ("savepoint a", "-", "-"),
        ("explain insert into t values (1)", "-", "-"),
        ("explain analyze insert into t values (1)", "t", "t"),
        ("show transaction_read_only", "-", "-"),
    ];
    let shown = |relations: &Relations| match relations {
        Relations::None => "-".to_owned(),
        Relations::Named(names) => names.join(" "),
        Relations::Unknown => "?".to_owned(),
    };
    for (text, reads, writes) in cases {
        let class = classify(text.as_bytes(), false);
        let found = (shown(&class.reads), shown(&class.writes));
        assert_eq!(found, ((*reads).to_owned(), (*writes).to_owned()), "{text}");
    }
    let many: Vec<String> = (0..40).map(|number| format!("t{number}")).collect();
    let class = classify(format!("select * from {}", many.join(", ")).as_bytes(), false);
    assert_eq!((class.kind, class.reads), (Kind::Read, Relations::Unknown));
}

#[test]
fn the_catalog_decides_where_the_text_does_not() {
    let mut reader = super::super::catalog::Reader::new();
    let facts = [["f", "total", ""], ["f", "buy", "v"], ["u", "scratch", ""], ["q", "ids", ""]];
    facts.iter().for_each(|fact| reader.fact(fact.map(str::as_bytes)));
    let catalog = reader.finish();
    let lore = Lore { catalog: &catalog, ..Lore::bare(&NO_RULES) };
    let cases: &[(&str, &str, StateChange)] = &[
        ("select total(1) from t", "read", StateChange::None),
        ("select * from shop.total(1)", "read", StateChange::None),
        ("copy (select total(1)) to stdout", "copy_out", StateChange::None),
        ("select buy(1)", "volatile_function", StateChange::Unknown),
        ("select total(buy(1))", "volatile_function", StateChange::Unknown),
        ("select \"Total\"(1)", "unknown_function", StateChange::Unknown),
        ("select * from only scratch", "unlogged_relation", StateChange::None),
        ("select * from t join only scratch s on true", "unlogged_relation", StateChange::None),
        ("select * from shop.scratch", "unlogged_relation", StateChange::None),
        ("table scratch", "unlogged_relation", StateChange::None),
        ("copy scratch to stdout", "unlogged_relation", StateChange::None),
        ("select last_value from ids", "sequence", StateChange::None),
        ("insert into scratch values (1)", "unlogged_relation", StateChange::None),
    ];
    for (text, word, state) in cases {
        let class = super::classify(text.as_bytes(), &lore);
        assert_eq!((class.reason.word(), class.state), (*word, *state), "{text}");
    }
}
