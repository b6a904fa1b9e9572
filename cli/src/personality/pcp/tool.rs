//! Which of the programs it is, and how it is used.

/// A program.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Tool {
    AttachNode,
    DetachNode,
    HealthCheckStats,
    InvalidateCache,
    NodeCount,
    NodeInfo,
    PoolStatus,
    ProcCount,
    ProcInfo,
    PromoteNode,
    RecoverNode,
    ReloadConfig,
    RotateLog,
    StopPgpool,
    WatchdogInfo,
}

/// What there is to say of a program: the letters of the options that not every one has, what its
/// operand is called where it is told of, and what it does.
struct About {
    letters: &'static str,
    operand: &'static str,
    does: &'static str,
}

impl Tool {
    /// Tells a program by its name.
    pub(crate) fn called(name: &str) -> Option<Self> {
        Some(match name {
            "pcp_attach_node" => Self::AttachNode,
            "pcp_detach_node" => Self::DetachNode,
            "pcp_health_check_stats" => Self::HealthCheckStats,
            "pcp_invalidate_query_cache" => Self::InvalidateCache,
            "pcp_node_count" => Self::NodeCount,
            "pcp_node_info" => Self::NodeInfo,
            "pcp_pool_status" => Self::PoolStatus,
            "pcp_proc_count" => Self::ProcCount,
            "pcp_proc_info" => Self::ProcInfo,
            "pcp_promote_node" => Self::PromoteNode,
            "pcp_recovery_node" => Self::RecoverNode,
            "pcp_reload_config" => Self::ReloadConfig,
            "pcp_log_rotate" => Self::RotateLog,
            "pcp_stop_pgpool" => Self::StopPgpool,
            "pcp_watchdog_info" => Self::WatchdogInfo,
            _ => return None,
        })
    }

    /// Tells whether an option of this letter may be given.
    pub(super) fn knows(self, letter: char) -> bool {
        "hpUwWvd".contains(letter) || self.about().letters.contains(letter)
    }

    /// Tells how it is used.
    pub(super) fn usage(self, name: &str) -> String {
        let About { operand, does, .. } = self.about();
        let mut usage =
            format!("{name} - {does}\nUsage:\n{name} [OPTION...] {operand}\nOptions:\n");
        for (of, text) in OPTIONS {
            if self.has(of) {
                usage.push_str(text);
            }
        }
        usage.push('\n');
        usage
    }

    /// Tells whether one of [`OPTIONS`] is told of.
    fn has(self, of: Of) -> bool {
        match of {
            Of::Every => true,
            Of::These(tools) => tools.contains(&self),
        }
    }

    const fn about(self) -> About {
        let (letters, operand, does) = match self {
            Self::AttachNode => ("n", "[node-id]", "attach a node from pgpool-II"),
            Self::DetachNode => ("ng", "[node-id]", "detach a node from pgpool-II"),
            Self::HealthCheckStats => {
                ("n", "[node-id]", "display a pgpool-II health check stats data")
            }
            Self::InvalidateCache => ("", "", "invalidate query cache"),
            Self::NodeCount => {
                ("", "", "display the total number of nodes under pgpool-II's control")
            }
            Self::NodeInfo => ("na", "", "display a pgpool-II node's information"),
            Self::PoolStatus => ("", "", "display pgpool configuration and status"),
            Self::ProcCount => ("", "", "display the list of pgpool-II child process PIDs"),
            Self::ProcInfo => {
                ("Pa", "[process-id]", "display a pgpool-II child process' information")
            }
            Self::PromoteNode => ("ngs", "[node-id]", "promote a node as new main from pgpool-II"),
            Self::RecoverNode => ("n", "[node-id]", "recover a node"),
            Self::ReloadConfig => ("s", "", "reload a pgpool-II config file"),
            Self::RotateLog => ("s", "", "rotate the log file of pgpool-II"),
            Self::StopPgpool => ("msa", "", "terminate pgpool-II"),
            Self::WatchdogInfo => {
                ("n", "[watchdog-id]", "display a pgpool-II watchdog's information")
            }
        };
        About { letters, operand, does }
    }
}

/// Which programs an option is told of for. Some know one of which they do not tell.
#[derive(Clone, Copy)]
enum Of {
    Every,
    These(&'static [Tool]),
}

/// The options in the order in which they are told of.
const OPTIONS: [(Of, &str); 16] = [
    (Of::Every, "  -U, --username=NAME    username for PCP authentication\n"),
    (Of::Every, "  -h, --host=HOSTNAME    pgpool-II host\n"),
    (Of::Every, "  -p, --port=PORT        PCP port number\n"),
    (Of::Every, "  -w, --no-password      never prompt for password\n"),
    (Of::Every, "  -W, --password         force password prompt (should happen automatically)\n"),
    (
        Of::These(&[
            Tool::AttachNode,
            Tool::DetachNode,
            Tool::HealthCheckStats,
            Tool::NodeInfo,
            Tool::PromoteNode,
            Tool::RecoverNode,
        ]),
        "  -n, --node-id=NODEID   ID of a backend node\n",
    ),
    (
        Of::These(&[Tool::NodeInfo]),
        "  -a, --all              display all backend nodes information\n",
    ),
    (
        Of::These(&[Tool::StopPgpool]),
        "  -m, --mode=MODE        MODE can be \"smart\", \"fast\", or \"immediate\"\n",
    ),
    (
        Of::These(&[Tool::StopPgpool, Tool::ReloadConfig, Tool::RotateLog]),
        "  -s, --scope=SCOPE      SCOPE can be \"cluster\", or \"local\"
                         cluster scope do operations on all Pgpool-II nodes
                         part of the watchdog cluster\n",
    ),
    (
        Of::These(&[Tool::DetachNode, Tool::PromoteNode]),
        "  -g, --gracefully       promote gracefully (optional)\n",
    ),
    (
        Of::These(&[Tool::PromoteNode]),
        "  -s, --switchover       switchover primary to specified node (optional)\n",
    ),
    (
        Of::These(&[Tool::WatchdogInfo]),
        "  -n, --watchdog-id=ID   ID of a other pgpool to get information for
                         ID 0 for the local watchdog
                         If omitted then get information of all watchdog nodes\n",
    ),
    (
        Of::These(&[Tool::ProcInfo]),
        "  -P, --process-id=PID   PID of the child process to get information for (optional)
  -a, --all              display all child processes and their available connection slots\n",
    ),
    (Of::Every, "  -d, --debug            enable debug message (optional)\n"),
    (Of::Every, "  -v, --verbose          output verbose messages\n"),
    (Of::Every, "  -?, --help             print this help\n"),
];
