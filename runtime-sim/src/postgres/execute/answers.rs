//! Questions that pgherd asks of servers, recognised by their text and answered from the server's
//! own state: a planner for them would be most of PostgreSQL.

use pgherd_core::backend::audit;
use pgherd_core::failover::{fence, privileges, slot};
use pgherd_core::recovery::extension;
use pgherd_core::route::catalog;

use crate::postgres::context::Context;
use crate::postgres::engine::{Deed, Engine, Follower, Nature, Receiver, print_lsn};
use crate::postgres::row_set::RowSet;
use crate::postgres::syntax::{Access, Volatility};
use crate::postgres::value::{Type, Value, print_interval};

/// Answers a question that is known by its text.
pub(in crate::postgres) fn known(
    sql: &str,
    context: &Context,
    engine: &mut Engine,
) -> Option<RowSet> {
    match sql {
        fence::EMPTY => Some(empty(context, engine)),
        privileges::VERSION => {
            Some(rows([("server_version_num", Type::Text)], [vec![text("150000")]]))
        }
        _ if sql == privileges::query(VERSION) => Some(privileged()),
        _ if sql == fence::RAISE[0] => {
            let is_new = engine.slots.insert(fence::SLOT.to_owned());
            let made = is_new.then(|| vec![text("(pgherd_fence,)")]);
            Some(rows([("pg_create_physical_replication_slot", Type::Text)], made))
        }
        _ if sql == fence::LIFT[2] => {
            let may = engine.access == Access::ReadWrite;
            let dropped = (may && engine.slots.remove(fence::SLOT)).then(|| vec![text("")]);
            Some(rows([("pg_drop_replication_slot", Type::Text)], dropped))
        }
        audit::QUERY => Some(held(context, engine)),
        catalog::QUERY => Some(catalog(context, engine)),
        extension::QUERY => Some(offer(context, engine)),
        _ if !engine.probe.is_empty() && sql == engine.probe => Some(probe(engine)),
        _ => slots(sql, engine),
    }
}

/// Makes, drops and counts replication slots. All of them keep WAL, and none is in use.
fn slots(sql: &str, engine: &mut Engine) -> Option<RowSet> {
    let (_, rest) = sql.split_once("slot_name = '")?;
    let (name, _) = rest.split_once('\'')?;
    let ([clear, make], [drop, seek]) = (slot::make(name), slot::drop(name));
    let counted = format!("select count(*) from pg_replication_slots where slot_name = '{name}'");
    if sql == clear {
        Some(rows([("pg_drop_replication_slot", Type::Text)], None))
    } else if sql == make {
        let made = engine.slots.insert(name.to_owned()).then(|| vec![text(name)]);
        Some(rows([("pg_create_physical_replication_slot", Type::Text)], made))
    } else if sql == seek {
        let found = engine.slots.contains(name).then(|| vec![text(name)]);
        Some(rows([("slot_name", Type::Text)], found))
    } else if sql == drop {
        let dropped = engine.slots.remove(name).then(|| vec![text("")]);
        Some(rows([("pg_drop_replication_slot", Type::Text)], dropped))
    } else if sql == counted {
        let count = i64::from(engine.slots.contains(name));
        Some(rows([("count", Type::Int8)], [vec![Value::Int(count)]]))
    } else {
        None
    }
}

/// The version that a server says to have.
const VERSION: u32 = 150_000;

/// Every user may do everything.
fn privileged() -> RowSet {
    let header = ["promote", "reload", "point", "replicate", "stop", "signal"];
    rows(header.map(|name| (name, Type::Bool)), [vec![Value::Bool(true); header.len()]])
}

/// Ends the sessions of others, and tells how far the server is with it.
fn empty(context: &Context, engine: &mut Engine) -> RowSet {
    let looker = context.settings.show(fence::LOOKER).unwrap_or_default();
    let is_other = |(process, [user, _, name]): &(&u32, &[String; 3])| {
        let is_pgherd = name == "pgherd" && [&context.user, &looker].contains(&user);
        **process != context.process && !is_pgherd
    };
    let others: Vec<u32> = engine.activity.iter().filter(is_other).map(|(id, _)| *id).collect();
    engine.deeds.extend(others.iter().map(|process| Deed::Terminate(*process)));
    let access = match engine.access {
        Access::ReadOnly => "on",
        Access::ReadWrite => "off",
    };
    let row = vec![
        text(access),
        Value::Int(i64::try_from(others.len()).unwrap_or(i64::MAX)),
        text(&print_lsn(engine.lsn_received())),
        text("8192"),
        Value::Int(16 << 20),
    ];
    let header = [
        ("current_setting", Type::Text),
        ("count", Type::Int8),
        ("pg_current_wal_insert_lsn", Type::Text),
        ("current_setting", Type::Text),
        ("pg_size_bytes", Type::Int8),
    ];
    rows(header, [row])
}

fn text(text: &str) -> Value {
    Value::Text(text.to_owned())
}

fn rows<const N: usize>(
    header: [(&str, Type); N],
    rows: impl IntoIterator<Item = Vec<Value>>,
) -> RowSet {
    RowSet::ready(header.map(|(name, ty)| (name.to_owned(), ty)).into(), rows)
}

/// What the extension of recoveries has here. It is in no database but one.
fn offer(context: &Context, engine: &Engine) -> RowSet {
    let is_here = engine.folder.has_functions() && context.own.database == "template1";
    let busy = engine.folder.busy(context.process, engine.now).map_or(0, i64::from);
    let row = vec![
        Value::Int(if is_here { 7 } else { 0 }),
        Value::Bool(is_here),
        Value::Bool(true),
        Value::Int(busy),
    ];
    let header = [
        ("arguments", Type::Int4),
        ("can_start", Type::Bool),
        ("is_superuser", Type::Bool),
        ("busy", Type::Int4),
    ];
    rows(header, [row])
}

/// What the session holds.
fn held(context: &Context, engine: &Engine) -> RowSet {
    use crate::postgres::context::Origin;
    use crate::postgres::syntax::Hold;

    let count = |count: usize| Value::Int(i64::try_from(count).unwrap_or(i64::MAX));
    let cursors = context.cursors.values().filter(|cursor| cursor.hold == Hold::With);
    let prepared = context.prepared.values().filter(|one| one.origin == Origin::Sql);
    let changed = context.settings.changed();
    let setting = |name: &str| context.settings.show(name).unwrap_or_default();
    let user = setting("session_authorization");
    let schema = engine.database(&context.own.database);
    let role = schema.and_then(|schema| schema.roles.get(&user)).map_or("none", String::as_str);
    let row = vec![
        count(context.listening.len()),
        count(context.own.relations()),
        count(cursors.count()),
        count(engine.advised(context.process)),
        count(prepared.count()),
        if changed.is_empty() { Value::Null } else { text(&changed.join(",")) },
        Value::Bool(setting("role") != role),
        text(&user),
    ];
    let header = [
        ("count", Type::Int8),
        ("count", Type::Int8),
        ("count", Type::Int8),
        ("count", Type::Int8),
        ("count", Type::Int8),
        ("string_agg", Type::Text),
        ("?column?", Type::Bool),
        ("session_user", Type::Text),
    ];
    rows(header, [row])
}

/// What the database holds that texts do not tell.
fn catalog(context: &Context, engine: &Engine) -> RowSet {
    let mut found = Vec::new();
    if let Some(schema) = engine.database(&context.own.database) {
        for (name, function) in &schema.functions {
            let detail = if sets_parameters(&function.source) {
                "s"
            } else if function.volatility == Volatility::Volatile {
                "v"
            } else {
                ""
            };
            found.push(vec![text("f"), text(name), text(detail)]);
        }
        for (name, table) in &schema.tables {
            if table.nature == Nature::Unlogged {
                found.push(vec![text("u"), text(name), text("")]);
            }
        }
    }
    let isolation = context.settings.show("default_transaction_isolation").unwrap_or_default();
    found.push(vec![text("i"), text(&isolation), text("")]);
    rows([("?column?", Type::Text), ("proname", Type::Text), ("case", Type::Text)], found)
}

/// Tells whether a function's text has `set_config`, or `set` and a name with a dot.
fn sets_parameters(source: &str) -> bool {
    let lower = source.to_ascii_lowercase();
    let words: Vec<&str> = lower
        .split(|c: char| !(c.is_alphanumeric() || c == '_' || c == '.'))
        .filter(|word| !word.is_empty())
        .collect();
    words.contains(&"set_config")
        || words.windows(3).any(|three| {
            matches!(three, ["set", "session", name] if name.contains('.'))
                || matches!(three, ["set", name, _] if name.contains('.'))
        })
        || matches!(words.as_slice(), [.., "set", name] if name.contains('.'))
}

/// Answers a health check: what the server is, how far its log goes, and who follows it. Which of
/// this is asked for, the names of the question's columns tell.
fn probe(engine: &Engine) -> RowSet {
    let nobody = Follower::default();
    let followers: Vec<&Follower> = engine.followers.values().collect();
    let followers = if followers.is_empty() { vec![&nobody] } else { followers };
    let mut header = Vec::new();
    let mut columns: Vec<Column> = Vec::new();
    let mut rest = engine.probe.as_str();
    while let Some((expression, after)) = rest.split_once(" AS ") {
        let end = after.find(|c: char| !(c.is_alphanumeric() || c == '_')).unwrap_or(after.len());
        let name = after.get(..end).unwrap_or_default();
        if let Some((ty, column)) = column(name, expression) {
            header.push((name.to_owned(), ty));
            columns.push(column);
        }
        rest = after;
    }
    let rows = followers
        .into_iter()
        .map(|follower| columns.iter().map(|column| column(engine, follower)).collect());
    RowSet::ready(header, rows)
}

/// A word of what a standby connects by, while it receives anything.
fn sender(engine: &Engine, key: &str) -> Value {
    let mut words = engine.conninfo.split(' ').filter_map(|word| word.strip_prefix(key));
    let is_streaming = engine.receiver == Receiver::Streaming;
    words.next().filter(|_| is_streaming).map_or(Value::Null, text)
}

type Column = fn(&Engine, &Follower) -> Value;

/// Finds what a column of the health check's question asks for; none for the name of a table.
fn column(name: &str, expression: &str) -> Option<(Type, Column)> {
    let own = expression.rsplit(',').next().unwrap_or_default();
    let number = expression.contains("extract(epoch");
    let found: (Type, Column) = match name {
        "is_in_recovery" => (Type::Bool, |engine, _| Value::Bool(engine.is_standby())),
        "lsn" => (Type::Text, |engine, _| text(&print_lsn(engine.lsn()))),
        "timeline" => (Type::Int4, |engine, _| Value::Int(i64::from(engine.timeline))),
        "received" => (Type::Text, |engine, _| text(&print_lsn(engine.lsn_received()))),
        "receiver" => (Type::Text, |engine, _| {
            text(match engine.receiver {
                Receiver::None => "",
                Receiver::Streaming => "streaming",
            })
        }),
        "fenced" => (Type::Bool, |engine, _| Value::Bool(engine.slots.contains(fence::SLOT))),
        "system" => {
            (Type::Int8, |engine, _| Value::Int(i64::try_from(engine.system).unwrap_or(i64::MAX)))
        }
        "sender_host" => (Type::Text, |engine, _| sender(engine, "host=")),
        "sender_port" => (Type::Text, |engine, _| sender(engine, "port=")),
        "application_name" => (Type::Text, |_, follower| text(&follower.application_name)),
        "state" => (Type::Text, |_, follower| text(follower.state)),
        "sync_state" => (Type::Text, |_, follower| text(follower.sync_state)),
        "replay_lsn" => (Type::Text, |_, follower| match follower.replayed {
            0 => Value::Null,
            lsn => text(&print_lsn(lsn)),
        }),
        "replay_lag" | "lag" if number && own.contains("1000000") => {
            (Type::Int8, |engine, follower| {
                let lag = engine.lag(follower.replayed).map(|lag| lag.as_micros());
                lag.map_or(Value::Null, |lag| Value::Int(i64::try_from(lag).unwrap_or(i64::MAX)))
            })
        }
        "replay_lag" | "lag" if number => (Type::Text, |engine, follower| {
            engine
                .lag(follower.replayed)
                .map_or(Value::Null, |lag| text(&format!("{:.6}", lag.as_secs_f64())))
        }),
        "replay_lag" | "lag" => (Type::Text, |engine, follower| {
            engine.lag(follower.replayed).map_or(Value::Null, |lag| text(&print_interval(lag)))
        }),
        _ => return None,
    };
    Some(found)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn functions_that_set_parameters_are_known_by_their_text() {
        for (source, sets) in [
            ("select set_config('a.b', 'c', false)", true),
            ("begin SET SESSION app.x = 1; end", true),
            ("begin set app.x = 1; end", true),
            ("set app.x", true),
            ("update t set a = 1", false),
            ("select my_set_config(1)", false),
            ("set work_mem = 1", false),
        ] {
            assert_eq!(sets_parameters(source), sets, "{source}");
        }
    }
}
