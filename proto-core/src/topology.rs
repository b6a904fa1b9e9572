//! The cluster as agreed: which node is the primary, which can serve reads, and since when.
//!
//! `Control` publishes a [`Topology`]; shards only read it. Whatever could let a write go astray
//! changes the epoch.

use crate::id::{BackendId, Epoch};
use crate::time::{Duration, WallTime};

/// One agreed view of the cluster.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Topology {
    /// Number of this view; changes with the primary and with any node that comes or goes.
    pub epoch: Epoch,
    /// The one node that takes writes; none while there is no such node.
    pub primary: Option<BackendId>,
    /// Where new work may begin.
    pub intake: Intake,
    /// Every configured node, in the order of their numbers.
    pub nodes: Vec<Node>,
}

/// Where new work may begin.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Intake {
    /// Wherever it belongs.
    #[default]
    Open,
    /// Not on the primary. A switchover is under way: what has begun goes on, what has not waits until it is over, which
    /// it is by its own deadline.
    Held,
    /// This node is to be taken out of service: what has begun there goes on, nothing new begins. If
    /// it is the primary, new work waits for the next one.
    Leaving(BackendId),
}

/// One node as last seen.
#[derive(Clone, Debug, PartialEq)]
pub struct Node {
    /// Its number.
    pub id: BackendId,
    /// What pgherd makes of it.
    pub status: Status,
    /// What pgherd takes it for.
    pub role: Role,
    /// Whether its last look succeeded.
    pub seen: Seen,
    /// What the server said that it is.
    pub server_role: Role,
    /// Bytes of WAL that it lacks, as far as is known; 0 for the primary.
    pub lag: Option<u64>,
    /// How long the primary has waited for it to replay what it wrote; zero for the primary.
    pub lag_time: Option<Duration>,
    /// `pg_stat_replication.state` on the primary, or empty.
    pub replication_state: String,
    /// `pg_stat_replication.sync_state` on the primary, or empty.
    pub sync_state: String,
    /// When `status` last changed.
    pub changed: WallTime,
}

impl Node {
    /// What is told of a number that no node has, as in Pgpool-II since the start.
    #[must_use]
    pub const fn unused(id: BackendId, start: WallTime) -> Self {
        Self {
            id,
            status: Status::Unused,
            role: Role::Unknown,
            seen: Seen::Unknown,
            server_role: Role::Unknown,
            lag: None,
            lag_time: None,
            replication_state: String::new(),
            sync_state: String::new(),
            changed: start,
        }
    }
}

/// States of a node, with Pgpool-II's words.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Status {
    /// There is no such node: its number is less than the last one's, and not configured.
    Unused,
    /// Usable; no session has used it since it came up.
    Waiting,
    /// Usable and used.
    Up,
    /// Not usable.
    #[default]
    Down,
    /// It answers and is kept out of service: it may have writes that the cluster does not know of,
    /// or is not proved to follow the primary.
    Quarantine,
}

impl Status {
    /// Tells whether sessions may use the node.
    #[must_use]
    pub const fn is_usable(self) -> bool {
        match self {
            Self::Waiting | Self::Up => true,
            Self::Unused | Self::Down | Self::Quarantine => false,
        }
    }

    /// Pgpool-II's number for it, which has none of its own for the quarantine.
    #[must_use]
    pub const fn number(self) -> u8 {
        match self {
            Self::Unused => 0,
            Self::Waiting => 1,
            Self::Up => 2,
            Self::Down | Self::Quarantine => 3,
        }
    }

    /// Pgpool-II's word for it.
    #[must_use]
    pub const fn word(self) -> &'static str {
        match self {
            Self::Unused => "unused",
            Self::Waiting => "waiting",
            Self::Up => "up",
            Self::Down => "down",
            Self::Quarantine => "quarantine",
        }
    }
}

/// What a server is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Role {
    /// Not in recovery: takes writes.
    Primary,
    /// In recovery: follows a primary.
    Standby,
    /// Not known.
    #[default]
    Unknown,
}

impl Role {
    /// Pgpool-II's word for it.
    #[must_use]
    pub const fn word(self) -> &'static str {
        match self {
            Self::Primary => "primary",
            Self::Standby => "standby",
            Self::Unknown => "unknown",
        }
    }
}

/// Whether a server answers.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Seen {
    /// It answered its last look.
    Up,
    /// It did not.
    Down,
    /// It has not been looked at.
    #[default]
    Unknown,
}

impl Seen {
    /// Pgpool-II's word for it.
    #[must_use]
    pub const fn word(self) -> &'static str {
        match self {
            Self::Up => "up",
            Self::Down => "down",
            Self::Unknown => "unknown",
        }
    }
}

impl Topology {
    /// Tells whether new work for the primary waits for the end of what the operator asked for.
    #[must_use]
    pub fn is_held(&self) -> bool {
        match self.intake {
            Intake::Open => false,
            Intake::Held => true,
            Intake::Leaving(id) => self.primary == Some(id),
        }
    }

    /// The node where nothing new begins, while what runs there ends.
    #[must_use]
    pub fn closing(&self) -> Option<BackendId> {
        match self.intake {
            Intake::Open => None,
            Intake::Held => self.primary,
            Intake::Leaving(id) => Some(id),
        }
    }

    /// Finds a node.
    #[must_use]
    pub fn node(&self, id: BackendId) -> Option<&Node> {
        self.nodes.iter().find(|node| node.id == id)
    }

    /// Tells whether reads may go to a node: a live standby, or the primary.
    #[must_use]
    pub fn serves_reads(&self, id: BackendId) -> bool {
        self.node(id).is_some_and(|node| self.allows_reads(node))
    }

    /// As [`Topology::serves_reads`], of a node that is at hand.
    #[must_use]
    pub fn allows_reads(&self, node: &Node) -> bool {
        node.status.is_usable() && (node.role == Role::Standby || self.primary == Some(node.id))
    }
}
