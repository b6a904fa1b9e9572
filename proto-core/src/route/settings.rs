//! `SET`, `RESET` and `SHOW`: which parameter, and whether it can be set on another connection too.

use super::class::{Ask, Class, Hold, Isolation, Kind, PoolShow, Reason, StateChange};
use super::statement::Statement;

/// Classifies a `SET` that is neither `SET TRANSACTION` nor `SET CONSTRAINTS`.
pub(super) fn set(statement: &Statement<'_>, words: &[&str]) -> Class {
    let at = match words {
        // A parameter may itself be called session or local.
        ["set", "local", "=" | "to", ..] | ["set", "session", "=" | "to", ..] => 1,
        ["set", "local", ..] => return Class::primary_read(Reason::LocalParameter),
        ["set", "session", "characteristics", "as", "transaction", modes @ ..] => {
            return characteristics(modes);
        }
        ["set", "session", ..] => 2,
        _ => 1,
    };
    let holds = StateChange::Holds(Hold::Setting);
    match words.get(at..).unwrap_or_default() {
        ["time", "zone", _, ..] => setting("timezone"),
        ["names", ..] => setting("client_encoding"),
        ["schema", "'"] => setting("search_path"),
        ["catalog", "'"] => setting("catalog"),
        ["xml", "option", ..] => setting("xmloption"),
        ["role", ..] => sticky("role", holds),
        ["authorization", ..] => sticky("session_authorization", holds),
        _ => {
            let (name, after) = statement.relation(at);
            match words.get(after..) {
                Some(["=" | "to", _, ..]) if !name.is_empty() => named(&name.join("."), holds),
                Some(_) | None => Class::unknown(Reason::Unparsable),
            }
        }
    }
}

/// Classifies a `RESET`.
pub(super) fn reset(statement: &Statement<'_>, words: &[&str]) -> Class {
    let undoes = StateChange::Undoes;
    match words {
        ["reset", "all"] => setting("all"),
        ["reset", "time", "zone"] => setting("timezone"),
        ["reset", "session", "authorization"] => sticky("session_authorization", undoes),
        ["reset", "transaction", "isolation", "level"] => sticky("transaction_isolation", undoes),
        _ => {
            let (name, after) = statement.relation(1);
            if name.is_empty() || after != statement.tokens.len() {
                return Class::unknown(Reason::Unparsable);
            }
            named(&name.join("."), undoes)
        }
    }
}

/// Classifies what acts on the parameter of a name: `otherwise` is what it does to the session if
/// it cannot be repeated.
fn named(name: &str, otherwise: StateChange) -> Class {
    // Parameter names do not mind case, even in double quotes.
    let name = name.to_ascii_lowercase();
    let name = match &*name {
        // PostgreSQL's `map_old_guc_names`.
        "sort_mem" => "work_mem",
        "vacuum_mem" => "maintenance_work_mem",
        name => name,
    };
    if name.starts_with("transaction_") || STICKY_PARAMETERS.contains(&name) {
        sticky(name, otherwise)
    } else {
        setting(name)
    }
}

fn setting(name: &str) -> Class {
    Class::new(Kind::Setting, Reason::SetsParameter { name: name.into() })
}

fn sticky(name: &str, state: StateChange) -> Class {
    Class::leaving(Reason::StickyParameter { name: name.into() }, state)
}

/// Reads the modes after `SET SESSION CHARACTERISTICS AS TRANSACTION`.
fn characteristics(modes: &[&str]) -> Class {
    let mut names: Vec<&str> = Vec::new();
    let mut level = None;
    let mut rest = modes;
    while !rest.is_empty() {
        let (name, left) = match rest {
            ["read", "only" | "write", rest @ ..] => ("default_transaction_read_only", rest),
            ["not", "deferrable", rest @ ..] | ["deferrable", rest @ ..] => {
                ("default_transaction_deferrable", rest)
            }
            ["isolation", "level", rest @ ..] => {
                let Some((named, rest)) = isolation_level(rest) else { break };
                level = Some(named);
                ("default_transaction_isolation", rest)
            }
            _ => break,
        };
        if !names.contains(&name) {
            names.push(name);
        }
        rest = match left {
            [",", rest @ ..] | rest => rest,
        };
    }
    if names.is_empty() || !rest.is_empty() {
        return Class::unknown(Reason::Unparsable);
    }
    match level {
        Some(Isolation::Serializable) => {
            sticky(&names.join(","), StateChange::Holds(Hold::Setting))
        }
        Some(Isolation::RepeatableRead | Isolation::ReadCommitted | Isolation::ReadUncommitted)
        | None => setting(&names.join(",")),
    }
}

/// Classifies a `SHOW`.
pub(super) fn show(statement: &Statement<'_>, words: &[&str]) -> Class {
    let (name, after) = statement.relation(1);
    let is_all = after == statement.tokens.len();
    let own = name.first().filter(|_| is_all && name.len() == 1);
    if let Some(show) = own.and_then(|name| PoolShow::from_name(name)) {
        return Class::new(Kind::Pgherd(Ask::Show(show)), Reason::AsksPgherd);
    }
    let name = match words {
        ["show", "transaction", "isolation", "level"] => "transaction_isolation".to_owned(),
        _ => name.join(".").to_ascii_lowercase(),
    };
    if PRIMARY_PARAMETERS.contains(&&*name) {
        return Class::primary_read(Reason::PrimaryParameter { name: name.into() });
    }
    Class::new(Kind::Show, Reason::ShowsParameter)
}

/// Parameters that decide what a connection may do, or how its texts are read, so that a session
/// that sets them stays on the one connection. With `default_transaction_isolation` at
/// `serializable`, a standby would refuse every statement.
const STICKY_PARAMETERS: &[&str] = &[
    "default_transaction_isolation",
    "role",
    "seed",
    "session_authorization",
    "session_replication_role",
    "standard_conforming_strings",
];

/// Parameters by which a program tells a primary from a standby, or one server from another, and
/// those of the transaction, which another connection does not have.
const PRIMARY_PARAMETERS: &[&str] = &[
    "all",
    "archive_mode",
    "cluster_name",
    "data_directory",
    "hot_standby",
    "in_hot_standby",
    "listen_addresses",
    "port",
    "primary_conninfo",
    "primary_slot_name",
    "synchronous_standby_names",
    "transaction_deferrable",
    "transaction_isolation",
    "transaction_read_only",
];

/// Reads an isolation level; returns it with the words behind it.
pub(super) fn isolation_level<'a, 'b>(words: &'a [&'b str]) -> Option<(Isolation, &'a [&'b str])> {
    match words {
        ["serializable", rest @ ..] => Some((Isolation::Serializable, rest)),
        ["repeatable", "read", rest @ ..] => Some((Isolation::RepeatableRead, rest)),
        ["read", "committed", rest @ ..] => Some((Isolation::ReadCommitted, rest)),
        ["read", "uncommitted", rest @ ..] => Some((Isolation::ReadUncommitted, rest)),
        _ => None,
    }
}
