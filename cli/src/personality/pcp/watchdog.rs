//! What a watchdog tells of its members, which is JSON.

use std::fmt::Write as _;

use serde_json::Value;

/// Tells it as Pgpool-II's program does; none if it is not what a watchdog tells.
pub(super) fn told(text: &str, is_verbose: bool) -> Option<String> {
    let value: Value = serde_json::from_str(text).ok()?;
    let cluster = Facts(&value);
    let others = cluster.number("RemoteNodeCount")?;
    // What releases before 4.3 do not tell.
    let members = cluster.number("MemberRemoteNodeCount").unwrap_or(0);
    let is_escalated = cluster.number("Escalated")? > 0;
    let escalated = if is_escalated { "YES" } else { "NO" };
    let leader = [cluster.text("LeaderNodeName")?, cluster.text("LeaderHostName")?];
    let alive = cluster.number("AliveNodeCount")?;
    let quorum = quorum(cluster.number("QuorumStatus")?);
    let nodes = value.get("WatchdogNodes")?.as_array()?;
    let mut told = String::new();
    // Writing to a text does not fail.
    let _ = if is_verbose {
        write!(
            told,
            "Watchdog Cluster Information \n\
             Total Nodes              : {}\n\
             Remote Nodes             : {others}\n\
             Member Remote Nodes      : {members}\n\
             Alive Remote Nodes       : {alive}\n\
             Nodes required for quorum: {}\n\
             Quorum state             : {quorum}\n\
             Local node escalation    : {escalated}\n\
             Leader Node Name         : {}\n\
             Leader Host Name         : {}\n\n\
             Watchdog Node Information \n",
            others + 1,
            cluster.number("NodesRequireForQuorum").unwrap_or(0),
            leader[0],
            leader[1],
        )
    } else {
        let [name, host] = leader;
        write!(told, "{} {} {escalated} {name} {host}\n\n", others + 1, members + 1)
    };
    for node in nodes {
        told.push_str(&member(&Facts(node), is_verbose)?);
    }
    Some(told)
}

fn member(node: &Facts<'_>, is_verbose: bool) -> Option<String> {
    let (name, host) = (node.text("NodeName")?, node.text("HostName")?);
    let (port, watchdog_port) = (node.number("PgpoolPort")?, node.number("WdPort")?);
    let (state, state_name) = (node.number("State")?, node.text("StateName")?);
    let address = node.text("DelegateIP")?;
    let priority = node.number("Priority")?;
    let membership = node.number("Membership").unwrap_or(0);
    let membership_name = node.text("MembershipString").unwrap_or("NOT-Available");
    // Releases since 4.7 tell it.
    let lifecheck = node.number("LifecheckStarted").map(|is| if is > 0 { "YES" } else { "NO" });
    if !is_verbose {
        let lifecheck = lifecheck.map(|word| format!(" {word}")).unwrap_or_default();
        return Some(format!(
            "{name} {host} {port} {watchdog_port} {state} {state_name} {membership} \
             {membership_name}{lifecheck}\n"
        ));
    }
    let lifecheck = lifecheck.map(|word| format!("Lifecheck Started : {word}\n"));
    Some(format!(
        "Node Name         : {name}\n\
         Host Name         : {host}\n\
         Delegate IP       : {address}\n\
         Pgpool port       : {port}\n\
         Watchdog port     : {watchdog_port}\n\
         Node priority     : {priority}\n\
         Status            : {state}\n\
         Status Name       : {state_name}\n\
         Membership Status : {membership_name}\n{}\n",
        lifecheck.unwrap_or_default()
    ))
}

const fn quorum(number: i64) -> &'static str {
    match number {
        1 => "QUORUM EXIST",
        0 => "QUORUM IS ON THE EDGE",
        -1 => "QUORUM ABSENT",
        -2 => "NO LEADER NODE",
        _ => "UNKNOWN",
    }
}

/// The members of a JSON object.
struct Facts<'a>(&'a Value);

impl<'a> Facts<'a> {
    fn number(&self, name: &str) -> Option<i64> {
        self.0.get(name)?.as_i64()
    }

    fn text(&self, name: &str) -> Option<&'a str> {
        self.0.get(name)?.as_str()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const CLUSTER: &str = r#"{"RemoteNodeCount":1,"MemberRemoteNodeCount":1,
        "NodesRequireForQuorum":2,"QuorumStatus":1,"AliveNodeCount":1,"Escalated":1,
        "LeaderNodeName":"n0:9999 Linux x","LeaderHostName":"h0","NodeCount":2,"WatchdogNodes":[
        {"ID":0,"State":4,"Membership":0,"MembershipString":"MEMBER","NodeName":"n0:9999 Linux x",
        "HostName":"h0","StateName":"LEADER","DelegateIP":"10.0.0.9","WdPort":9000,
        "PgpoolPort":9999,"Priority":1}]}"#;

    /// As Pgpool-II 4.3.5 tells it.
    #[test]
    fn members_are_told_in_pgpool_s_form() {
        let lines =
            "2 2 YES n0:9999 Linux x h0\n\nn0:9999 Linux x h0 9999 9000 4 LEADER 0 MEMBER\n";
        assert_eq!(told(CLUSTER, false).as_deref(), Some(lines));
        let labelled = told(CLUSTER, true).unwrap();
        assert!(labelled.starts_with(
            "Watchdog Cluster Information \nTotal Nodes              : 2\n\
             Remote Nodes             : 1\nMember Remote Nodes      : 1\n"
        ));
        assert!(labelled.contains("\nQuorum state             : QUORUM EXIST\n"), "{labelled}");
        assert!(labelled.contains("\n\nWatchdog Node Information \nNode Name         : n0:9999"));
        assert!(labelled.ends_with("\nMembership Status : MEMBER\n\n"), "{labelled}");
    }

    #[test]
    fn what_is_missing_is_told_or_is_no_answer() {
        let older = CLUSTER.replace("\"MembershipString\":\"MEMBER\",", "");
        assert!(told(&older, false).unwrap().ends_with(" 0 NOT-Available\n"));
        let later = CLUSTER.replace("\"Priority\":1", "\"Priority\":1,\"LifecheckStarted\":0");
        assert!(told(&later, false).unwrap().ends_with(" MEMBER NO\n"));
        assert!(told(&later, true).unwrap().ends_with("MEMBER\nLifecheck Started : NO\n\n"));
        for absent in ["LeaderHostName", "PgpoolPort", "QuorumStatus", "WatchdogNodes"] {
            assert_eq!(told(&CLUSTER.replace(absent, "x"), false), None, "{absent}");
        }
        for text in ["{x", "{}", "[]", ""] {
            assert_eq!(told(text, true), None, "{text}");
        }
    }
}
