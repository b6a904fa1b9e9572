//! `pgherd stats`: how the checks of every server went, and which connections there are.

use std::collections::BTreeMap;

use pgherd_core::admin::client::Row;
use pgherd_core::admin::nodes::CHECKS;
use pgherd_core::admin::request::Request;
use serde_json::{Map, Value, json};

use super::table::table;
use super::{Lack, one};
use crate::pcp::Session;
use crate::terminal;

/// Asks for everything and puts it into words.
pub(super) fn stats(session: &mut Session<'_>, is_json: bool) -> Result<String, Lack> {
    let count = one(session.ask(Request::NodeCount)?, "the number of servers")?;
    let count = count.first().and_then(|count| count.parse().ok());
    let count: usize = count.ok_or(Lack::Form("the number of servers"))?;
    let mut checks = Vec::new();
    for node in 0..count {
        let row = one(session.ask(Request::HealthStats(node))?, "checks")?;
        if row.len() != CHECKS.len() {
            return Err(Lack::Form("checks"));
        }
        checks.push(row);
    }
    let sessions = one(session.ask(Request::ProcessCount)?, "sessions")?;
    let sessions = sessions.first().and_then(|count| count.parse().ok());
    let sessions: usize = sessions.ok_or(Lack::Form("sessions"))?;
    let pools = pools(&session.ask(Request::ProcessInfo(None))?)?;
    Ok(if is_json {
        format!("{:#}\n", object(sessions, &checks, &pools))
    } else {
        words(sessions, &checks, &pools, terminal::width())
    })
}

/// Which of them people are shown, and under which title. Durations are in milliseconds.
const SHOWN: [(usize, &str); 11] = [
    (0, "id"),
    (1, "host"),
    (2, "port"),
    (3, "status"),
    (4, "role"),
    (6, "checks"),
    (8, "failed"),
    (10, "retries"),
    (15, "average ms"),
    (13, "longest ms"),
    (19, "last failure"),
];

/// Connections to a server for the same database and user.
type Pools = BTreeMap<(u64, String, String), Connections>;

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Connections {
    open: u64,
    /// A client uses it, or keeps it. `in_use <= open`
    in_use: u64,
}

/// Counts the connections that rows are about.
fn pools(rows: &[Row]) -> Result<Pools, Lack> {
    let mut pools = Pools::new();
    for row in rows {
        let [_, _, _, _, node, database, user, _, _, _, _, _, _, _, _, in_use, _, ..] =
            row.as_slice()
        else {
            return Err(Lack::Form("connections"));
        };
        // A place without a connection.
        if database.is_empty() {
            continue;
        }
        let node = node.parse().map_err(|_| Lack::Form("connections"))?;
        let connections = pools.entry((node, database.clone(), user.clone())).or_default();
        connections.open += 1;
        connections.in_use += u64::from(in_use == "1");
    }
    Ok(pools)
}

fn words(sessions: usize, checks: &[Row], pools: &Pools, width: Option<usize>) -> String {
    let titles = SHOWN.map(|(_, title)| title);
    let cell = |row: &Row, at: usize| match row.get(at).map(String::as_str) {
        None | Some("") => "-".to_owned(),
        // Thousandths of a millisecond tell nobody anything.
        Some(text) if at == 15 => text.strip_suffix("000").unwrap_or(text).to_owned(),
        // Whose number nobody has.
        Some("0") if at == 2 => "-".to_owned(),
        Some(text) => text.to_owned(),
    };
    let rows: Vec<Row> =
        checks.iter().map(|row| SHOWN.iter().map(|(at, _)| cell(row, *at)).collect()).collect();
    let checks = table(&titles, &rows, width);
    let rows: Vec<Row> = pools
        .iter()
        .map(|((node, database, user), connections)| {
            let Connections { open, in_use } = connections;
            let numbers = [open.to_string(), in_use.to_string()];
            let names = [node.to_string(), database.clone(), user.clone()];
            names.into_iter().chain(numbers).collect()
        })
        .collect();
    let pools = table(&["id", "database", "user", "connections", "in use"], &rows, width);
    format!(
        "Health checks\n{checks}\nConnections to servers\n{pools}\nSessions of clients: {sessions}\n"
    )
}

fn object(sessions: usize, checks: &[Row], pools: &Pools) -> Value {
    let checks: Vec<Value> = checks
        .iter()
        .map(|row| {
            let cells = CHECKS.iter().zip(row);
            Value::Object(
                cells.map(|(name, text)| ((*name).to_owned(), scalar(text))).collect::<Map<_, _>>(),
            )
        })
        .collect();
    let pools: Vec<Value> = pools
        .iter()
        .map(|((node, database, user), connections)| {
            json!({
                "node_id": node,
                "database": database,
                "user": user,
                "connections": connections.open,
                "in_use": connections.in_use,
            })
        })
        .collect();
    json!({ "health_checks": checks, "pools": pools, "sessions": sessions })
}

/// What a text is in JSON: a number if it is one, nothing if it is empty.
fn scalar(text: &str) -> Value {
    if text.is_empty() {
        Value::Null
    } else if let Ok(number) = text.parse::<i64>() {
        number.into()
    } else {
        let number = text.parse::<f64>().ok().and_then(serde_json::Number::from_f64);
        number.map_or_else(|| text.into(), Value::Number)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check() -> Row {
        let row = "0,db1,5432,up,primary,2026-01-01 10:00:00,10,8,2,0,3,0.300000,2,7,1,3.500000,\
                   2026-01-01 10:00:01,2026-01-01 10:00:02,,";
        row.split(',').map(str::to_owned).collect()
    }

    fn connection(node: &str, database: &str, in_use: &str) -> Row {
        let row = format!("70,start,3,0,{node},{database},bob,b,c,d,i,3,0,4,71,{in_use},Idle");
        row.split(',').map(str::to_owned).collect()
    }

    #[test]
    fn people_are_shown_two_tables() {
        let rows =
            [connection("0", "app", "1"), connection("0", "app", "0"), connection("1", "", "0")];
        let pools = pools(&rows).ok().unwrap();
        let told = words(4, &[check()], &pools, None);
        let expected = "\
Health checks
id  host  port  status  role     checks  failed  retries  average ms  longest ms  last failure
0   db1   5432  up      primary  10      2       3        3.500       7           -

Connections to servers
id  database  user  connections  in use
0   app       bob   2            1

Sessions of clients: 4
";
        assert_eq!(told, expected);
    }

    #[test]
    fn programs_are_told_everything() {
        let pools = pools(&[connection("1", "app", "1")]).ok().unwrap();
        let told = object(1, &[check()], &pools);
        let check = &told["health_checks"][0];
        assert_eq!((&check["total_count"], &check["average_duration"]), (&json!(10), &json!(3.5)));
        assert_eq!(check["last_failed_health_check"], Value::Null);
        assert_eq!(check["hostname"], "db1");
        let pool = json!({
            "node_id": 1, "database": "app", "user": "bob", "connections": 1, "in_use": 1
        });
        assert_eq!((&told["pools"][0], &told["sessions"]), (&pool, &json!(1)));
    }

    #[test]
    fn an_answer_of_another_form_is_none() {
        assert!(pools(&[vec!["70".to_owned()]]).is_err());
        assert!(pools(&[connection("x", "app", "1")]).is_err());
        assert!(one(vec![], "").is_err());
        assert!(one(vec![vec![], vec![]], "").is_err());
    }
}
