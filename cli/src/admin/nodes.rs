//! `pgherd nodes`: every server as pgherd sees it.

use pgherd_core::admin::answer::Node;
use pgherd_core::admin::client::Row;
use pgherd_core::admin::reply::Delay;
use pgherd_core::admin::request::Request;
use pgherd_core::topology::Status;
use serde_json::{Value, json};

use super::Lack;
use super::table::table;
use crate::pcp::Session;
use crate::{moment, terminal};

/// Asks for the servers and puts them into words.
pub(super) fn nodes(session: &mut Session<'_>, is_json: bool) -> Result<String, Lack> {
    let rows = session.ask(Request::NodeInfo(None))?;
    let nodes = read(&rows)?;
    Ok(if is_json {
        let nodes: Vec<Value> =
            nodes.iter().enumerate().map(|(id, node)| object(id, node)).collect();
        format!("{:#}\n", Value::from(nodes))
    } else {
        let rows: Vec<Row> = nodes.iter().enumerate().map(|(id, node)| cells(id, node)).collect();
        table(&HEADER, &rows, terminal::width())
    })
}

/// Reads the answer about all nodes, which come in the order of their numbers.
pub(super) fn read(rows: &[Row]) -> Result<Vec<Node<'_>>, Lack> {
    let nodes: Option<Vec<_>> = rows.iter().map(|row| Node::read(row)).collect();
    nodes.ok_or(Lack::Form("the servers"))
}

const HEADER: [&str; 8] =
    ["id", "host", "port", "status", "role", "lag", "replication", "last change"];

fn cells(id: usize, node: &Node<'_>) -> Row {
    let replication = [node.replication_state, node.sync_state];
    let replication: Vec<&str> = replication.into_iter().filter(|text| !text.is_empty()).collect();
    let replication = if replication.is_empty() { "-".to_owned() } else { replication.join(", ") };
    // What it is used as and what its server says should be the same; where not, somebody must know.
    let status = differing(node.status_word, node.actual_status, &["waiting", "up"]);
    let role = differing(node.role, node.actual_role, &[]);
    let changed = moment::local(node.changed).unwrap_or_else(|| "-".to_owned());
    if node.status == Status::Unused.number() {
        let none = || "-".to_owned();
        return vec![id.to_string(), none(), none(), status, none(), none(), none(), none()];
    }
    vec![
        id.to_string(),
        node.host.to_owned(),
        node.port.to_string(),
        status,
        role,
        lag(node.delay),
        replication,
        changed,
    ]
}

/// A word, with the server's own in parentheses where that says something else. The words `alike`
/// all agree with `up`.
fn differing(word: &str, actual: &str, alike: &[&str]) -> String {
    let agrees = word == actual || actual == "up" && alike.contains(&word);
    if agrees || actual == "unknown" {
        word.to_owned()
    } else {
        format!("{word} (server: {actual})")
    }
}

/// How far behind, rounded down, in the units that PostgreSQL's `pg_size_pretty` uses.
fn lag(delay: Delay) -> String {
    match delay {
        Delay::Bytes(bytes) => {
            let units = ["B", "kB", "MB", "GB", "TB"];
            let mut count = bytes;
            let mut unit = 0;
            while count >= 10 * 1024 && unit + 1 < units.len() {
                count /= 1024;
                unit += 1;
            }
            format!("{count} {}", units.get(unit).copied().unwrap_or_default())
        }
        Delay::Time(micros) => format!("{}.{:03} s", micros / 1_000_000, micros / 1000 % 1000),
    }
}

fn object(id: usize, node: &Node<'_>) -> Value {
    let (bytes, seconds) = match node.delay {
        Delay::Bytes(bytes) => (Value::from(bytes), Value::Null),
        // Microseconds of a century are counted exactly.
        #[expect(clippy::cast_precision_loss, reason = "a delay is shorter than 285 years")]
        Delay::Time(micros) => (Value::Null, Value::from(micros as f64 / 1e6)),
    };
    let text = |text: &str| if text.is_empty() { Value::Null } else { Value::from(text) };
    json!({
        "id": id,
        "host": text(node.host),
        "port": (node.port > 0).then_some(node.port),
        "status": node.status_word,
        "server_status": node.actual_status,
        "role": node.role,
        "server_role": node.actual_role,
        "weight": node.weight,
        "lag_bytes": bytes,
        "lag_seconds": seconds,
        "replication_state": text(node.replication_state),
        "sync_state": text(node.sync_state),
        "last_change": node.changed,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const NODE: Node<'_> = Node {
        host: "db1",
        port: 5432,
        status: 1,
        status_word: "waiting",
        actual_status: "up",
        weight: 0.5,
        role: "standby",
        actual_role: "standby",
        delay: Delay::Bytes(20_480),
        replication_state: "streaming",
        sync_state: "async",
        changed: 0,
    };

    #[test]
    fn a_node_is_a_row_and_an_object() {
        let row = cells(1, &NODE);
        let expected = ["1", "db1", "5432", "waiting", "standby", "20 kB", "streaming, async"];
        assert_eq!(row[..7], expected);
        let lost = Node {
            status_word: "down",
            actual_role: "primary",
            replication_state: "",
            sync_state: "",
            delay: Delay::Time(1_234_567),
            ..NODE
        };
        let row = cells(2, &lost);
        let expected = ["down (server: up)", "standby (server: primary)", "1.234 s", "-"];
        assert_eq!(row[3..7], expected);
        let unused = Node {
            host: "",
            port: 0,
            status: 0,
            status_word: "unused",
            actual_status: "unknown",
            ..NODE
        };
        assert_eq!(cells(1, &unused), ["1", "-", "-", "unused", "-", "-", "-", "-"]);
        let value = object(1, &unused);
        assert_eq!((&value["host"], &value["port"]), (&Value::Null, &Value::Null));
        let value = object(1, &NODE);
        assert_eq!(value["lag_bytes"], 20_480);
        assert_eq!((&value["id"], &value["status"]), (&json!(1), &json!("waiting")));
        let value = object(2, &lost);
        assert_eq!((&value["lag_bytes"], &value["sync_state"]), (&Value::Null, &Value::Null));
        assert_eq!(value["lag_seconds"], 1.234_567);
    }

    #[test]
    fn a_lag_has_a_unit_in_which_it_is_short() {
        for (bytes, text) in [
            (0, "0 B"),
            (10_239, "10239 B"),
            (10_240, "10 kB"),
            (10 << 20, "10 MB"),
            (u64::MAX, "16777215 TB"),
        ] {
            assert_eq!(lag(Delay::Bytes(bytes)), text);
        }
    }

    #[test]
    fn an_answer_of_another_form_is_none() {
        assert!(read(&[vec!["db1".to_owned()]]).is_err());
        assert!(read(&[]).is_ok_and(|nodes| nodes.is_empty()));
    }
}
