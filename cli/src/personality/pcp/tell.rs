//! How answers are told: as Pgpool-II's programs tell them, to the letter.

use std::fmt::Write as _;

use pgherd_core::admin::answer::Node;
use pgherd_core::admin::client::Row;

use super::order::Order;
use super::{Tool, watchdog};
use crate::moment;

/// Tells an answer; none if it is not one to what was asked.
pub(super) fn answer(tool: Tool, name: &str, order: &Order, rows: &[Row]) -> Option<String> {
    let is_verbose = order.has('v');
    let done = || Some(format!("{name} -- Command Successful\n"));
    let first = rows.first().map(Vec::as_slice);
    match tool {
        Tool::NodeCount => match first? {
            [count] if is_verbose => Some(format!("Node Count\n____________\n {count}\n")),
            [count] => Some(format!("{count}\n")),
            _ => None,
        },
        Tool::ProcCount => match first? {
            [_] => done(),
            [_, pids @ ..] => Some(processes(pids, is_verbose)),
            [] => None,
        },
        Tool::HealthCheckStats => checks(first?, is_verbose),
        Tool::WatchdogInfo => match first? {
            [text] => watchdog::told(text, is_verbose),
            _ => None,
        },
        Tool::NodeInfo | Tool::ProcInfo | Tool::PoolStatus if rows.is_empty() => done(),
        Tool::NodeInfo => nodes(rows, order.has('a'), is_verbose),
        Tool::ProcInfo => connections(rows, order.has('a'), is_verbose),
        Tool::PoolStatus => {
            rows.iter().enumerate().map(|(at, row)| setting(at, row, is_verbose)).collect()
        }
        Tool::AttachNode
        | Tool::DetachNode
        | Tool::InvalidateCache
        | Tool::PromoteNode
        | Tool::RecoverNode
        | Tool::ReloadConfig
        | Tool::RotateLog
        | Tool::StopPgpool => done(),
    }
}

/// The nodes. A number that no node has is told of only among all.
fn nodes(rows: &[Row], is_all: bool, is_verbose: bool) -> Option<String> {
    let nodes: Option<Vec<Node<'_>>> = rows.iter().map(|row| Node::read(row)).collect();
    let told = nodes?.into_iter().filter(|node| is_all || !node.host.is_empty());
    let text: String = told.map(|one| node(&one, is_verbose)).collect::<Option<_>>()?;
    Some(if text.is_empty() { "No node information available\n\n".to_owned() } else { text })
}

fn processes(pids: &[String], is_verbose: bool) -> String {
    let mut text = String::new();
    if !is_verbose {
        for pid in pids {
            text.push_str(pid);
            text.push(' ');
        }
        text.push('\n');
        return text;
    }
    text.push_str("No \t | \t PID\n_____________________\n");
    for (at, pid) in pids.iter().enumerate() {
        // Writing to a text does not fail.
        let _ = writeln!(text, "{at} \t | \t {pid}");
    }
    let _ = writeln!(text, "\nTotal Processes:{}", pids.len());
    text
}

/// A node's line, or its lines with labels.
fn node(node: &Node<'_>, is_verbose: bool) -> Option<String> {
    let none = |text: &str| if text.is_empty() { "none" } else { text }.to_owned();
    let delay = node.delay.to_string();
    let number = delay.split(' ').next().unwrap_or_default();
    let cells = [
        ("Hostname", node.host.to_owned()),
        ("Port", node.port.to_string()),
        ("Status", node.status.to_string()),
        ("Weight", format!("{:.6}", node.weight)),
        ("Status Name", node.status_word.to_owned()),
        ("Backend Status Name", node.actual_status.to_owned()),
        ("Role", node.role.to_owned()),
        ("Backend Role", node.actual_role.to_owned()),
        ("Replication Delay", if is_verbose { &delay } else { number }.to_owned()),
        ("Replication State", none(node.replication_state)),
        ("Replication Sync State", none(node.sync_state)),
        ("Last Status Change", moment::local(node.changed)?),
    ];
    Some(record(&cells, is_verbose))
}

/// The labels of a node's checks, in the order in which they come.
const CHECKS: [&str; 20] = [
    "Node Id",
    "Host Name",
    "Port",
    "Status",
    "Role",
    "Last Status Change",
    "Total Count",
    "Success Count",
    "Fail Count",
    "Skip Count",
    "Retry Count",
    "Average Retry Count",
    "Max Retry Count",
    "Max Health Check Duration",
    "Minimum Health Check Duration",
    "Average Health Check Duration",
    "Last Health Check",
    "Last Successful Health Check",
    "Last Skip Health Check",
    "Last Failed Health Check",
];

fn checks(row: &[String], is_verbose: bool) -> Option<String> {
    if row.len() != CHECKS.len() {
        return None;
    }
    let cells: Vec<_> = CHECKS.into_iter().zip(row.iter().cloned()).collect();
    Some(record(&cells, is_verbose))
}

/// What a row about a connection tells in which place, in the order in which it is shown. Releases
/// since 4.5 have the last ones.
const CONNECTION: [(usize, &str); 20] = [
    (DATABASE, "Database"),
    (6, "Username"),
    (1, "Start time"),
    (2, "Client connection count"),
    (11, "Major"),
    (12, "Minor"),
    (7, "Backend connection time"),
    (8, "Client connection time"),
    (10, "Client idle duration"),
    (9, "Client disconnection time"),
    (13, "Pool Counter"),
    (14, "Backend PID"),
    (15, "Connected"),
    (0, "PID"),
    (4, "Backend ID"),
    (16, "Status"),
    (17, "Load balance node"),
    (18, "client_host"),
    (19, "client_port"),
    (20, "statement"),
];

/// Where the database stands. Where there is none, there is no connection.
const DATABASE: usize = 5;

/// How many texts every row about a connection has.
const CONNECTION_LEN_MIN: usize = 17;

fn connections(rows: &[Row], is_all: bool, is_verbose: bool) -> Option<String> {
    if rows.iter().any(|row| row.len() < CONNECTION_LEN_MIN) {
        return None;
    }
    let is_shown =
        |row: &&Row| is_all || row.get(DATABASE).is_some_and(|database| !database.is_empty());
    let mut text = String::new();
    for row in rows.iter().filter(is_shown) {
        let cells = CONNECTION.into_iter().filter_map(|(at, label)| Some((label, row.get(at)?)));
        let cells: Vec<_> = cells.map(|(label, cell)| (label, cell.clone())).collect();
        text.push_str(&record(&cells, is_verbose));
    }
    let none = || "No process information available\n\n".to_owned();
    Some(if text.is_empty() { none() } else { text })
}

fn setting(at: usize, row: &[String], is_verbose: bool) -> Option<String> {
    let [name, value, about] = row else { return None };
    Some(if is_verbose {
        format!("Name [{at:3}]:\t{name}\nValue:      \t{value}\nDescription:\t{about}\n\n")
    } else {
        format!("name : {name}\nvalue: {value}\ndesc : {about}\n\n")
    })
}

/// One line with a blank between the cells, or a line for each, labelled.
fn record(cells: &[(&str, String)], is_verbose: bool) -> String {
    if !is_verbose {
        let cells: Vec<&str> = cells.iter().map(|(_, cell)| cell.as_str()).collect();
        return format!("{}\n", cells.join(" "));
    }
    let width = cells.iter().map(|(label, _)| label.len()).max().unwrap_or_default();
    let mut text = String::new();
    for (label, cell) in cells {
        // Writing to a text does not fail.
        let _ = writeln!(text, "{label:<width$} : {cell}");
    }
    text.push('\n');
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::ffi::OsString;

    fn told(tool: Tool, args: &str, rows: &[&str]) -> Option<String> {
        let args: Vec<OsString> = args.split_whitespace().map(OsString::from).collect();
        let order = Order::read(tool, "pcp", "pcp", &args).unwrap();
        let rows: Vec<Row> =
            rows.iter().map(|row| row.split(',').map(str::to_owned).collect()).collect();
        answer(tool, "pcp", &order, &rows)
    }

    /// A connection as Pgpool-II 4.3 tells of it.
    const IDLE: &str = "70,start,3,0,1,db,bob,bct,cct,cdt,cid,3,0,4,71,1,Idle";

    /// What Pgpool-II 4.3.5 says to the same answers.
    #[test]
    fn answers_are_told_in_pgpool_s_form() {
        let cases: &[(Tool, &str, &[&str], &str)] = &[
            (Tool::NodeCount, "", &["3"], "3\n"),
            (Tool::NodeCount, "-v", &["3"], "Node Count\n____________\n 3\n"),
            (Tool::ProcCount, "", &["2,70,71"], "70 71 \n"),
            (Tool::ProcCount, "", &["0"], "pcp -- Command Successful\n"),
            (
                Tool::ProcCount,
                "-v",
                &["2,70,71"],
                "No \t | \t PID\n_____________________\n0 \t | \t 70\n1 \t | \t 71\n\nTotal \
                 Processes:2\n",
            ),
            (Tool::ProcInfo, "", &[IDLE], "db bob start 3 3 0 bct cct cid cdt 4 71 1 70 1 Idle\n"),
            (Tool::ProcInfo, "", &[], "pcp -- Command Successful\n"),
            (Tool::PoolStatus, "", &["a,b,"], "name : a\nvalue: b\ndesc : \n\n"),
            (
                Tool::PoolStatus,
                "-v",
                &["a,b,c"],
                "Name [  0]:\ta\nValue:      \tb\nDescription:\tc\n\n",
            ),
            (Tool::DetachNode, "1", &[], "pcp -- Command Successful\n"),
        ];
        for (tool, args, rows, text) in cases {
            assert_eq!(told(*tool, args, rows).as_deref(), Some(*text), "{tool:?} {args}");
        }
        let empty = IDLE.replace("db", "");
        let none = "No process information available\n\n";
        assert_eq!(told(Tool::ProcInfo, "", &[&empty]).as_deref(), Some(none));
        assert!(told(Tool::ProcInfo, "-a", &[&empty]).unwrap().starts_with(" bob start"));
        let later = format!("{IDLE},0,127.0.0.1,5433,select 1");
        assert!(
            told(Tool::ProcInfo, "", &[&later])
                .unwrap()
                .ends_with("Idle 0 127.0.0.1 5433 select 1\n")
        );
        assert_eq!(told(Tool::ProcInfo, "", &["70,start"]), None);
        assert_eq!(told(Tool::NodeInfo, "", &["h"]), None);
        assert_eq!(told(Tool::HealthCheckStats, "0", &["0,h"]), None);
    }

    #[test]
    fn nodes_are_told_with_and_without_labels() {
        let start = "h,5432,2,0,up,1073741823.500000,2,primary";
        let (old, timed) =
            (format!("{start},7,,,0"), format!("{start},1,2500000,streaming,async,0"));
        let line = told(Tool::NodeInfo, "", &[&old]).unwrap();
        assert!(line.starts_with("h 5432 2 0.500000 up up primary primary 7 none none "), "{line}");
        let line = told(Tool::NodeInfo, "", &[&timed]).unwrap();
        assert!(line.contains(" primary 2.500000 streaming async "), "{line}");
        let lines = told(Tool::NodeInfo, "-v", &[&timed, &old]).unwrap();
        assert!(lines.contains("Replication Delay      : 2.500000 seconds\n"), "{lines}");
        assert!(lines.contains("\n\nHostname               : h\n"), "{lines}");
        assert!(lines.ends_with("\n\n"), "{lines}");
    }
}
