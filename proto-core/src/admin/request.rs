//! What a packet of PCP asks for, once somebody is logged in.

use super::packet::{Composer, Packet, Payload, Report};
use crate::message::Shutdown;
use crate::wire;
use bytes::Bytes;

/// A request, its argument read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Request {
    /// `L`: how many nodes there are.
    NodeCount,
    /// `I`: what is known of a node, or of all.
    NodeInfo(Option<usize>),
    /// `H`: how the health checks of a node went.
    HealthStats(usize),
    /// `N`: which processes serve clients.
    ProcessCount,
    /// `P`: what a process serves, or all of them.
    ProcessInfo(Option<u64>),
    /// `B`: the settings.
    PoolStatus,
    /// `W`: the watchdog, of a member or of all.
    Watchdog(Option<usize>),
    /// `D`, or `d` where the sessions may end first: use a node no more.
    Detach {
        /// The node's number.
        node: usize,
        /// The sessions on it may end first.
        gracefully: bool,
    },
    /// `C`: use a node again.
    Attach(usize),
    /// `J`, or `j` where the sessions may end first: make a node the primary.
    Promote {
        /// The node's number.
        node: usize,
        /// The sessions may end first.
        gracefully: bool,
        /// The server itself is to be promoted too, not only taken for the primary.
        switchover: bool,
    },
    /// `O`: rebuild a node from the primary.
    Recover {
        /// The node's number.
        node: usize,
        /// Only what would be done is told. The text `dry-run` behind the number asks for that; it
        /// is pgherd's own.
        is_dry_run: bool,
    },
    /// `F`: nothing, and nothing is answered.
    StopRecovery,
    /// `T`, or `t` for the whole cluster: end.
    Stop(Shutdown, Scope),
    /// `Z`: read the configuration again.
    Reload(Scope),
    /// `V`: begin another log file.
    RotateLog(Scope),
    /// `G`: forget all cached results.
    InvalidateCache,
    /// `A client_min_messages`: which notices are wanted. pgherd sends none.
    Notices,
    /// `X`: end of the session.
    Goodbye,
}

/// Whom a request is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Scope {
    /// The pgherd that was asked.
    Local,
    /// Every member of its watchdog cluster.
    Cluster,
}

/// Levels that `client_min_messages` takes (PostgreSQL docs, "Runtime Config: Client").
const LEVELS: [&[u8]; 9] = [
    b"debug5", b"debug4", b"debug3", b"debug2", b"debug1", b"log", b"notice", b"warning", b"error",
];

/// What asks for no more of a recovery than what it would do.
const DRY_RUN: &str = "dry-run";

/// What a request is answered with, if all goes well.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Expected {
    /// The type byte of every packet of the answer.
    pub tag: u8,
    /// What packets that are rows begin with, where an answer has rows.
    pub row: Option<&'static str>,
}

impl Request {
    /// Composes the packet that asks for it.
    #[must_use]
    pub fn compose(self) -> Bytes {
        Composer::default().packet(self.tag(), |payload| self.write(payload)).finish()
    }

    /// Returns what it is answered with; none if it is not answered.
    #[must_use]
    pub const fn expected(self) -> Option<Expected> {
        let (tag, row) = match self {
            Self::NodeCount => (b'l', None),
            Self::NodeInfo(_) => (b'i', Some("NodeInfo")),
            Self::HealthStats(_) => (b'h', None),
            Self::ProcessCount => (b'n', None),
            Self::ProcessInfo(_) => (b'p', Some("ProcessInfo")),
            Self::PoolStatus => (b'b', Some("ProcessConfig")),
            Self::Watchdog(_) => (b'w', None),
            Self::Detach { .. } | Self::Promote { .. } => (b'd', None),
            Self::Attach(_) | Self::Recover { .. } => (b'c', None),
            Self::Stop(..) => (b't', None),
            Self::Reload(_) => (b'z', None),
            Self::RotateLog(_) => (b'v', None),
            Self::InvalidateCache => (b'g', None),
            Self::Notices => (b'a', None),
            Self::StopRecovery | Self::Goodbye => return None,
        };
        Some(Expected { tag, row })
    }

    /// Tells whether the answer may take as long as it takes: what is asked is work on servers, or
    /// waits for sessions.
    #[must_use]
    pub const fn is_slow(self) -> bool {
        matches!(self, Self::Detach { .. } | Self::Promote { .. } | Self::Recover { .. })
    }

    /// Its type byte.
    #[must_use]
    pub const fn tag(self) -> u8 {
        match self {
            Self::NodeCount => b'L',
            Self::NodeInfo(_) => b'I',
            Self::HealthStats(_) => b'H',
            Self::ProcessCount => b'N',
            Self::ProcessInfo(_) => b'P',
            Self::PoolStatus => b'B',
            Self::Watchdog(_) => b'W',
            Self::Detach { gracefully: false, .. } => b'D',
            Self::Detach { gracefully: true, .. } => b'd',
            Self::Attach(_) => b'C',
            Self::Promote { gracefully: false, .. } => b'J',
            Self::Promote { gracefully: true, .. } => b'j',
            Self::Recover { .. } => b'O',
            Self::StopRecovery => b'F',
            Self::Stop(_, Scope::Local) => b'T',
            Self::Stop(_, Scope::Cluster) => b't',
            Self::Reload(_) => b'Z',
            Self::RotateLog(_) => b'V',
            Self::InvalidateCache => b'G',
            Self::Notices => b'A',
            Self::Goodbye => b'X',
        }
    }

    fn write(self, payload: &mut Payload<'_>) {
        match self {
            Self::NodeInfo(node) | Self::Watchdog(node) => match node {
                Some(node) => payload.text(node),
                None => payload.text(-1),
            },
            Self::HealthStats(node) | Self::Detach { node, .. } | Self::Attach(node) => {
                payload.text(node);
            }
            Self::ProcessInfo(pid) => payload.text(pid.unwrap_or(0)),
            Self::Promote { node, switchover, .. } => {
                payload.text(format_args!("{node} "));
                payload.raw(if switchover { b"s" } else { b"n" });
            }
            Self::Recover { node, is_dry_run } => {
                payload.text(node);
                if is_dry_run {
                    payload.text(DRY_RUN);
                }
            }
            Self::Stop(how, _) => payload.raw(match how {
                Shutdown::Smart => b"s",
                Shutdown::Fast => b"f",
                Shutdown::Immediate => b"i",
            }),
            Self::Reload(scope) | Self::RotateLog(scope) => payload.raw(match scope {
                Scope::Local => b"l",
                Scope::Cluster => b"c",
            }),
            Self::Notices => {
                payload.text("client_min_messages");
                payload.text("notice");
            }
            Self::NodeCount
            | Self::ProcessCount
            | Self::PoolStatus
            | Self::StopRecovery
            | Self::InvalidateCache
            | Self::Goodbye => {}
        }
    }
}

/// Reads a request.
///
/// # Errors
/// What to answer instead: an argument that is missing or makes no sense, which the session
/// survives, or a type that does not exist, which ends it.
pub fn read(packet: Packet<'_>) -> Result<Request, Report> {
    let argument = packet.payload;
    Ok(match packet.tag {
        b'L' => Request::NodeCount,
        b'I' => Request::NodeInfo(one_or_all(argument, "informing node info failed")?),
        b'H' => Request::HealthStats(node(argument, "informing health check stats info failed")?),
        b'N' => Request::ProcessCount,
        b'P' => Request::ProcessInfo(process(argument)?),
        b'B' => Request::PoolStatus,
        b'W' => Request::Watchdog(one_or_all(argument, "PCP: informing watchdog info failed")?),
        b'D' | b'd' => Request::Detach {
            node: node(argument, "PCP: detach node failed")?,
            gracefully: packet.tag == b'd',
        },
        b'C' => Request::Attach(node(argument, "PCP: attach node failed")?),
        b'J' | b'j' => promote(argument, packet.tag == b'j')?,
        b'O' => recover(argument)?,
        b'F' => Request::StopRecovery,
        b'T' => Request::Stop(shutdown(argument)?, Scope::Local),
        b't' => Request::Stop(shutdown(argument)?, Scope::Cluster),
        b'Z' => Request::Reload(scope(argument, "PCP: reload failed")?),
        b'V' => Request::RotateLog(scope(argument, "PCP: log rotation failed")?),
        b'G' => Request::InvalidateCache,
        b'A' => parameter(argument)?,
        b'X' => Request::Goodbye,
        tag => return Err(unknown(tag)),
    })
}

/// What a type that does not exist is answered.
#[must_use]
pub fn unknown(tag: u8) -> Report {
    Report::fatal(format!("unknown PCP packet type \"{}\"", tag.escape_ascii()))
}

fn node(argument: &[u8], message: &str) -> Result<usize, Report> {
    number(argument)
        .and_then(|id| usize::try_from(id).ok())
        .ok_or_else(|| no_node(argument, message))
}

fn one_or_all(argument: &[u8], message: &str) -> Result<Option<usize>, Report> {
    match number(argument) {
        Some(-1) => Ok(None),
        _ => node(argument, message).map(Some),
    }
}

fn process(argument: &[u8]) -> Result<Option<u64>, Report> {
    match number(argument).and_then(|pid| u64::try_from(pid).ok()) {
        Some(0) => Ok(None),
        Some(pid) => Ok(Some(pid)),
        None => Err(Report::error("informing process info failed")
            .because(format!("invalid process ID : {}", shown(argument)))),
    }
}

/// The argument of a promotion is odd: the number, a blank, a NUL, and a letter without a NUL.
fn promote(argument: &[u8], gracefully: bool) -> Result<Request, Report> {
    let message = "PCP: promote node failed";
    let (text, option) = wire::text(argument).ok_or_else(|| no_node(argument, message))?;
    let text = text.strip_suffix(b" ").unwrap_or(text);
    let node = node(text, message)?;
    let switchover = match option {
        b"s" => true,
        b"n" | b"" => false,
        other => {
            return Err(Report::error(message)
                .because(format!("invalid option \"{}\": it is n or s", shown(other))));
        }
    };
    Ok(Request::Promote { node, gracefully, switchover })
}

fn recover(argument: &[u8]) -> Result<Request, Report> {
    let message = "PCP: node recovery failed";
    let node = node(argument, message)?;
    let option = wire::text(argument).map_or(&[][..], |(_, rest)| rest);
    let is_dry_run = match wire::text(option).map_or(option, |(text, _)| text) {
        b"" => false,
        option if option == DRY_RUN.as_bytes() => true,
        other => {
            return Err(Report::error(message)
                .because(format!("invalid option \"{}\": it is {DRY_RUN}", shown(other))));
        }
    };
    Ok(Request::Recover { node, is_dry_run })
}

fn shutdown(argument: &[u8]) -> Result<Shutdown, Report> {
    match argument.first() {
        Some(b's') => Ok(Shutdown::Smart),
        Some(b'f') => Ok(Shutdown::Fast),
        Some(b'i') => Ok(Shutdown::Immediate),
        _ => Err(Report::error(format!("invalid shutdown mode \"{}\"", shown(argument)))),
    }
}

fn scope(argument: &[u8], message: &str) -> Result<Scope, Report> {
    match argument.first() {
        Some(b'l') => Ok(Scope::Local),
        Some(b'c') => Ok(Scope::Cluster),
        _ => Err(Report::error(message)
            .because(format!("invalid scope \"{}\": it is l or c", shown(argument)))),
    }
}

fn parameter(argument: &[u8]) -> Result<Request, Report> {
    let refused = |detail: String| {
        Err(Report::error("PCP: set configuration parameter failed").because(detail))
    };
    let Some((name, rest)) = wire::text(argument) else {
        return refused("there is no parameter name".to_owned());
    };
    if name != b"client_min_messages" {
        return refused(format!("parameter \"{}\" cannot be set over PCP", shown(name)));
    }
    let value = wire::text(rest).map_or(rest, |(value, _)| value);
    if LEVELS.iter().any(|level| value.eq_ignore_ascii_case(level)) {
        Ok(Request::Notices)
    } else {
        refused(format!("\"{}\" is no level of client_min_messages", shown(value)))
    }
}

/// Reads a decimal number that a NUL or the packet ends.
fn number(argument: &[u8]) -> Option<i64> {
    let text = wire::text(argument).map_or(argument, |(text, _)| text);
    std::str::from_utf8(text).ok()?.parse().ok()
}

fn no_node(argument: &[u8], message: &str) -> Report {
    Report::error(message).because(format!("invalid node ID : {}", shown(argument)))
}

/// An argument as it may stand in an error, without the NUL that ends it.
fn shown(argument: &[u8]) -> String {
    let text = wire::text(argument).map_or(argument, |(text, _)| text);
    text.escape_ascii().to_string()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::admin::packet::{HEADER_LEN, Severity};
    use proptest::prelude::*;

    /// What stock clients send, and `dry-run`, which is pgherd's own.
    const STOCK: [(u8, &[u8], Request); 27] = [
        (b'L', b"", Request::NodeCount),
        (b'I', b"1\0", Request::NodeInfo(Some(1))),
        (b'I', b"-1\0", Request::NodeInfo(None)),
        (b'H', b"0\0", Request::HealthStats(0)),
        (b'N', b"", Request::ProcessCount),
        (b'P', b"0\0", Request::ProcessInfo(None)),
        (b'P', b"4711\0", Request::ProcessInfo(Some(4711))),
        (b'B', b"", Request::PoolStatus),
        (b'W', b"-1\0", Request::Watchdog(None)),
        (b'D', b"1\0", Request::Detach { node: 1, gracefully: false }),
        (b'd', b"1\0", Request::Detach { node: 1, gracefully: true }),
        (b'C', b"7\0", Request::Attach(7)),
        (b'J', b"1 \0n", Request::Promote { node: 1, gracefully: false, switchover: false }),
        (b'J', b"1 \0s", Request::Promote { node: 1, gracefully: false, switchover: true }),
        (b'j', b"1 \0s", Request::Promote { node: 1, gracefully: true, switchover: true }),
        (b'O', b"1\0", Request::Recover { node: 1, is_dry_run: false }),
        (b'O', b"1\0dry-run\0", Request::Recover { node: 1, is_dry_run: true }),
        (b'F', b"", Request::StopRecovery),
        (b'T', b"s", Request::Stop(Shutdown::Smart, Scope::Local)),
        (b'T', b"f", Request::Stop(Shutdown::Fast, Scope::Local)),
        (b't', b"i", Request::Stop(Shutdown::Immediate, Scope::Cluster)),
        (b'Z', b"l", Request::Reload(Scope::Local)),
        (b'Z', b"c", Request::Reload(Scope::Cluster)),
        (b'V', b"l", Request::RotateLog(Scope::Local)),
        (b'G', b"", Request::InvalidateCache),
        (b'A', b"client_min_messages\0debug1\0", Request::Notices),
        (b'X', b"", Request::Goodbye),
    ];

    fn asked(tag: u8, payload: &[u8]) -> Result<Request, Report> {
        read(Packet { tag, payload })
    }

    #[test]
    fn what_stock_clients_send_is_read() {
        for (tag, payload, request) in STOCK {
            assert_eq!(asked(tag, payload), Ok(request), "{}", tag.escape_ascii());
        }
    }

    /// What is composed is what stock clients send, but for the level of notices, of which there are
    /// several.
    #[test]
    fn what_is_composed_is_what_stock_clients_send() {
        for (tag, payload, request) in STOCK {
            let length = u32::try_from(payload.len() + 4).unwrap().to_be_bytes();
            let sent = [&[tag], &length[..], payload].concat();
            if request == Request::Notices {
                assert_eq!(asked(tag, &request.compose()[HEADER_LEN..]), Ok(request));
            } else {
                assert_eq!(request.compose(), sent, "{}", tag.escape_ascii());
            }
        }
    }

    #[test]
    fn an_argument_that_makes_no_sense_is_an_error_that_the_session_survives() {
        let node = "invalid node ID : ";
        let table: [(u8, &[u8], &str, &str); 9] = [
            (b'I', b"-2\0", "informing node info failed", &format!("{node}-2")),
            (b'H', b"", "informing health check stats info failed", node),
            (b'D', b"x\0", "PCP: detach node failed", &format!("{node}x")),
            (b'J', b"1 ", "PCP: promote node failed", &format!("{node}1 ")),
            (
                b'O',
                b"1\0wet\0",
                "PCP: node recovery failed",
                "invalid option \"wet\": it is dry-run",
            ),
            (b'P', b"-1\0", "informing process info failed", "invalid process ID : -1"),
            (b'Z', b"", "PCP: reload failed", "invalid scope \"\": it is l or c"),
            (
                b'A',
                b"port\x001\0",
                "PCP: set configuration parameter failed",
                "parameter \"port\" cannot be set over PCP",
            ),
            (
                b'A',
                b"client_min_messages\0loud\0",
                "PCP: set configuration parameter failed",
                "\"loud\" is no level of client_min_messages",
            ),
        ];
        for (tag, payload, message, detail) in table {
            let report = asked(tag, payload).unwrap_err();
            assert_eq!(report.severity, Severity::Error);
            assert_eq!(
                (report.message.as_str(), report.detail.as_deref()),
                (message, Some(detail))
            );
        }
        assert_eq!(asked(b'T', b"x").unwrap_err().message, "invalid shutdown mode \"x\"");
    }

    #[test]
    fn a_type_that_does_not_exist_ends_the_session() {
        let report = asked(b'?', b"").unwrap_err();
        assert_eq!(report.severity, Severity::Fatal);
        assert_eq!(report.message, "unknown PCP packet type \"?\"");
    }

    proptest! {
        /// Whatever is asked is read or refused.
        #[test]
        fn any_packet_is_read_or_refused(tag in any::<u8>(), payload in "[-0-9 nsx\0]{0,9}") {
            if let Err(report) = asked(tag, payload.as_bytes()) {
                prop_assert!(!report.message.is_empty());
            }
        }
    }
}
