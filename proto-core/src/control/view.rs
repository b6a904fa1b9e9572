//! From what was seen of the servers to one view of the cluster: functions of facts.

use crate::config::Backend;
use crate::health::probe::Sighting;
use crate::id::{BackendId, Epoch};
use crate::time::{Duration, WallTime};
use crate::topology::{Intake, Node, Role, Seen, Status, Topology};

/// What is known of one node.
#[derive(Clone, Debug, PartialEq)]
pub struct Fact {
    /// What pgherd makes of it.
    pub status: Status,
    /// Whether its last look succeeded.
    pub seen: Seen,
    /// What it said at its last look, or at the last one before those at which it refused to tell.
    pub sighting: Option<Sighting>,
    /// Whether it has refused to tell since.
    pub sight: Sight,
    /// When `status` last changed.
    pub changed: WallTime,
}

impl Fact {
    /// Nothing is known.
    #[must_use]
    pub const fn new(changed: WallTime) -> Self {
        Self {
            status: Status::Down,
            seen: Seen::Unknown,
            sighting: None,
            sight: Sight::Clear,
            changed,
        }
    }
}

/// Whether what is known of a node is as fresh as its last look.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Sight {
    /// It is.
    #[default]
    Clear,
    /// It lives, and refuses to tell how it is: it is taken for what it was.
    Blind,
}

/// Whether every node has been looked at since the start.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Looks {
    /// Not yet: nobody is taken for the primary.
    Begun,
    /// It has been waited for long enough: who is the primary is decided anew with each node that
    /// answers.
    Some,
    /// It has.
    Done,
}

/// Makes the next view of the cluster. Its epoch is the previous one's, unless something has
/// changed that could let a statement go astray: the primary, whether new work may begin there, or
/// a node's fitness or role.
#[must_use]
pub fn derive(
    previous: &Topology,
    facts: &[(&Backend, &Fact)],
    cluster: Option<u64>,
    looks: Looks,
    intake: Intake,
) -> Topology {
    let primary = match looks {
        Looks::Begun => None,
        Looks::Some => primary(None, facts, cluster),
        Looks::Done => primary(previous.primary, facts, cluster),
    };
    let primary_fact = facts.iter().find(|(backend, _)| Some(backend.id) == primary);
    let sighting = primary_fact.and_then(|(_, fact)| fact.sighting.as_ref());
    let nodes: Vec<Node> =
        facts.iter().map(|(backend, fact)| node(backend, fact, primary, sighting)).collect();
    let fitness = |topology: &Topology| {
        let nodes = topology.nodes.iter();
        nodes.map(|node| (node.id, node.status.is_usable(), node.role)).collect::<Vec<_>>()
    };
    let mut next = Topology { epoch: previous.epoch, primary, intake, nodes };
    let authority = |topology: &Topology| (topology.primary, topology.intake);
    if authority(&next) != authority(previous) || fitness(&next) != fitness(previous) {
        next.epoch = Epoch(previous.epoch.0 + 1);
    }
    next
}

/// Decides which node is the primary.
///
/// The one that says so. If several do, the one that was the primary before stays it, unless it
/// refuses to tell and another one is on a later timeline; else the one on the latest timeline;
/// else, because two servers that take writes on one timeline cannot be told apart safely, none.
/// One of another cluster than the one that is served is none; while it is not known which one that
/// is, servers of several clusters make it undecided.
#[must_use]
pub fn primary(
    previous: Option<BackendId>,
    facts: &[(&Backend, &Fact)],
    cluster: Option<u64>,
) -> Option<BackendId> {
    let mut claims: Vec<(u32, BackendId)> = facts
        .iter()
        .filter(|(_, fact)| fact.status.is_usable())
        .filter_map(|(backend, fact)| Some((backend.id, fact.sighting.as_ref()?)))
        // One whose writes pgherd has stopped is none until it takes them again.
        .filter(|(_, sighting)| sighting.role == Role::Primary && !sighting.is_fenced)
        .filter(|(_, sighting)| cluster.is_none_or(|cluster| cluster == sighting.system))
        .map(|(id, sighting)| (sighting.timeline, id))
        .collect();
    claims.sort_unstable();
    if let Some((own, previous)) = claims.iter().find(|(_, id)| Some(*id) == previous) {
        let mut nodes = facts.iter().filter(|(backend, _)| backend.id == *previous);
        let is_blind = nodes.any(|(_, fact)| fact.sight == Sight::Blind);
        if !is_blind || claims.last().is_none_or(|(latest, _)| latest == own) {
            return Some(*previous);
        }
    }
    let (timeline, id) = claims.pop()?;
    if cluster.is_none()
        && let Some((one, other)) = strangers(facts)
    {
        log::error!(
            "nodes {one} and {other} are servers of different clusters, and it is not known which of \
             them is to be served: nobody is used as primary until one is stopped, made a standby or \
             taken out of the configuration"
        );
        return None;
    }
    match claims.last() {
        Some((other, rival)) if *other == timeline => {
            log::error!(
                "nodes {rival} and {id} both take writes on timeline {timeline}: neither is used \
                 as primary until one of them is stopped or made a standby"
            );
            None
        }
        Some(_) | None => Some(id),
    }
}

/// Two nodes that are of different clusters, if there are any.
fn strangers(facts: &[(&Backend, &Fact)]) -> Option<(BackendId, BackendId)> {
    let mut systems = facts
        .iter()
        .filter_map(|(backend, fact)| Some((backend.id, fact.sighting.as_ref()?.system)));
    let (one, system) = systems.next()?;
    systems.find(|(_, other)| *other != system).map(|(other, _)| (one, other))
}

fn node(
    backend: &Backend,
    fact: &Fact,
    primary: Option<BackendId>,
    at_primary: Option<&Sighting>,
) -> Node {
    let server_role = fact.sighting.as_ref().map_or(Role::Unknown, |s| s.role);
    let is_primary = primary == Some(backend.id);
    let role = if is_primary { Role::Primary } else { server_role };
    // A second primary serves nobody.
    let role = if role == Role::Primary && !is_primary { Role::Unknown } else { role };
    let behind = || {
        let written = at_primary?.lsn?;
        let replayed = fact.sighting.as_ref()?.lsn?;
        Some(written.saturating_sub(replayed))
    };
    let standby = at_primary.and_then(|sighting| {
        let name = &backend.application_name;
        sighting.standbys.iter().find(|standby| !name.is_empty() && standby.name == *name)
    });
    Node {
        id: backend.id,
        status: fact.status,
        role,
        seen: fact.seen,
        server_role,
        lag: if is_primary { Some(0) } else { behind() },
        lag_time: match standby {
            _ if is_primary => Some(Duration::ZERO),
            standby => standby.map(|standby| standby.replay_lag),
        },
        replication_state: standby.map(|s| s.state.clone()).unwrap_or_default(),
        sync_state: standby.map(|s| s.sync_state.clone()).unwrap_or_default(),
        changed: fact.changed,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::FailoverFlag;

    fn backend(id: u8) -> Backend {
        Backend {
            id: BackendId(id),
            hostname: "h".into(),
            port: 1,
            weight: 1.0,
            data_directory: String::new(),
            application_name: format!("node{id}"),
            failover: FailoverFlag::Allow,
            always_primary: false,
            priority: 1,
            connect_timeout: Duration::from_secs(1),
        }
    }

    fn fact(status: Status, role: Role, timeline: u32, lsn: u64) -> Fact {
        let sighting = Sighting { role, lsn: Some(lsn), timeline, ..Sighting::default() };
        let (seen, sight) = (Seen::Up, Sight::Clear);
        Fact { status, seen, sighting: Some(sighting), sight, changed: WallTime(0) }
    }

    #[test]
    fn the_primary_is_found() {
        use Role::{Primary, Standby};
        use Status::{Down, Up};
        let p = |timeline| fact(Up, Primary, timeline, 100);
        let s = || fact(Up, Standby, 1, 90);
        let blind = |fact| Fact { sight: Sight::Blind, ..fact };
        let id = |n| Some(BackendId(n));
        type Case = (&'static str, Option<BackendId>, Vec<Fact>, Option<BackendId>);
        let cases: &[Case] = &[
            ("the one that says so", None, vec![s(), p(1)], id(1)),
            ("nobody says so", id(0), vec![s(), s()], None),
            (
                "the one that is down does not count",
                id(0),
                vec![fact(Down, Primary, 1, 1), s()],
                None,
            ),
            ("the old one stays", id(0), vec![p(1), p(2)], id(0)),
            ("the old one stays although it refuses to tell", id(0), vec![blind(p(1)), s()], id(0)),
            ("but not beside a later one", id(0), vec![blind(p(1)), p(2)], id(1)),
            ("the latest timeline", None, vec![p(1), p(2)], id(1)),
            ("two of a timeline", None, vec![p(2), p(2)], None),
            ("a new one when the old one steps down", id(0), vec![s(), p(2)], id(1)),
        ];
        for (name, previous, facts, expected) in cases {
            let backends: Vec<Backend> = (0..).take(facts.len()).map(backend).collect();
            let facts: Vec<_> = backends.iter().zip(facts).collect();
            assert_eq!(primary(*previous, &facts, None), *expected, "{name}");
        }
    }

    #[test]
    fn nobody_is_the_primary_before_everybody_has_been_looked_at() {
        let (one, two) = (backend(0), backend(1));
        let (old, new) = (
            fact(Status::Waiting, Role::Primary, 1, 9),
            fact(Status::Waiting, Role::Primary, 2, 9),
        );
        let unknown = Fact::new(WallTime(0));
        let first = derive(
            &Topology::default(),
            &[(&one, &old), (&two, &unknown)],
            None,
            Looks::Begun,
            Intake::Open,
        );
        assert_eq!(first.primary, None, "an old one may have answered first");
        let second = derive(&first, &[(&one, &old), (&two, &new)], None, Looks::Done, Intake::Open);
        assert_eq!(second.primary, Some(BackendId(1)));
    }

    #[test]
    fn an_old_primary_that_answered_first_makes_way_for_a_later_one() {
        let (one, two) = (backend(0), backend(1));
        let (old, new) =
            (fact(Status::Up, Role::Primary, 1, 9), fact(Status::Up, Role::Primary, 2, 9));
        let unknown = Fact::new(WallTime(0));
        let facts = [(&one, &old), (&two, &unknown)];
        let first = derive(&Topology::default(), &facts, None, Looks::Some, Intake::Open);
        assert_eq!(first.primary, Some(BackendId(0)));
        let facts = [(&one, &old), (&two, &new)];
        let second = derive(&first, &facts, None, Looks::Some, Intake::Open);
        assert_eq!(second.primary, Some(BackendId(1)));
    }

    #[test]
    fn the_epoch_changes_with_what_matters() {
        let (one, two) = (backend(0), backend(1));
        let primary = fact(Status::Waiting, Role::Primary, 1, 100);
        let standby = fact(Status::Waiting, Role::Standby, 1, 60);
        let first = derive(
            &Topology::default(),
            &[(&one, &primary), (&two, &standby)],
            None,
            Looks::Done,
            Intake::Open,
        );
        assert_eq!(first.epoch, Epoch(1));
        assert_eq!(first.nodes[1].lag, Some(40));

        let further = fact(Status::Up, Role::Standby, 1, 80);
        let second =
            derive(&first, &[(&one, &primary), (&two, &further)], None, Looks::Done, Intake::Open);
        assert_eq!((second.epoch, second.nodes[1].lag), (Epoch(1), Some(20)));

        let down = fact(Status::Down, Role::Standby, 1, 80);
        let third =
            derive(&second, &[(&one, &primary), (&two, &down)], None, Looks::Done, Intake::Open);
        assert_eq!(third.epoch, Epoch(2));
        assert!(!third.serves_reads(BackendId(1)));

        let rival = fact(Status::Up, Role::Primary, 1, 80);
        let fourth =
            derive(&third, &[(&one, &primary), (&two, &rival)], None, Looks::Done, Intake::Open);
        assert_eq!((fourth.epoch, fourth.primary), (Epoch(3), Some(BackendId(0))));
        assert!(!fourth.serves_reads(BackendId(1)), "a second primary serves nobody");
    }
}
