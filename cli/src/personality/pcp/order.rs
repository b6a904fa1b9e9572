//! What the command line of one of the programs asks for.

use std::ffi::OsString;

use pgherd_core::admin::request::{Request, Scope};
use pgherd_core::limits;
use pgherd_core::message::Shutdown;

use super::{SOCKET_DIRECTORY, Tool};
use crate::personality::Stop;
use crate::personality::options::{Known, Line, flag, valued};

/// What every program knows by its name, in the order in which ambiguous beginnings are told. Which
/// letters one knows is [`Tool::knows`].
const KNOWN: [Known; 17] = [
    flag('?', "help").by_name(),
    flag('d', "debug"),
    valued('h', "host"),
    valued('p', "port"),
    valued('P', "process-id"),
    valued('U', "username"),
    flag('w', "no-password"),
    flag('W', "password"),
    valued('m', "mode"),
    valued('s', "scope"),
    flag('g', "gracefully"),
    flag('s', "switchover"),
    flag('V', "version").by_name(),
    flag('v', "verbose"),
    flag('a', "all"),
    valued('n', "node-id"),
    valued('n', "watchdog-id"),
];

/// Where PCP is if no port is given.
const PORT: u16 = 9898;

/// What is asked, of whom and as whom.
#[derive(Debug)]
pub(super) struct Order {
    /// A host, or the directory of a socket.
    pub(super) host: String,
    pub(super) port: u16,
    /// The administrator; none for whoever runs the program.
    pub(super) user: Option<String>,
    /// The password is asked for.
    pub(super) is_asked: bool,
    /// The letters of the options without an argument that were given.
    letters: Vec<char>,
    pub(super) request: Request,
    /// Words that nothing is done about.
    pub(super) ignored: Vec<String>,
}

impl Order {
    /// Reads a command line. `program` is what it calls the program, `name` the last of that.
    pub(super) fn read(
        tool: Tool,
        program: &str,
        name: &str,
        args: &[OsString],
    ) -> Result<Self, Stop> {
        let line = Line::read(&known(tool), args);
        let mut reader = Reader {
            tool,
            name,
            host: String::new(),
            port: PORT,
            user: None,
            is_asked: true,
            letters: Vec::new(),
            node: None,
            process: None,
            mode: Shutdown::Smart,
            scope: Scope::Local,
        };
        for (letter, argument) in &line.options {
            reader.option(*letter, &argument.to_string_lossy())?;
        }
        if let Some(fault) = line.fault {
            return Err(Stop::new(format!("{program}: {fault}\n{}", try_help(name))));
        }
        let words = line.operands.iter().map(|word| word.to_string_lossy().into_owned());
        reader.finish(words.collect())
    }

    /// Tells whether an option without an argument was given.
    pub(super) fn has(&self, letter: char) -> bool {
        self.letters.contains(&letter)
    }
}

/// The options of a program. By its name it takes every one.
fn known(tool: Tool) -> Vec<Known> {
    // `-s` has an argument for all but one.
    let other_s = if tool == Tool::PromoteNode { "scope" } else { "switchover" };
    let known = KNOWN.into_iter().map(|known| {
        let is_short = tool.knows(known.letter()) && known.name() != other_s;
        if is_short { known } else { known.by_name() }
    });
    known.collect()
}

fn try_help(name: &str) -> String {
    format!("Try \"{name} --help\" for more information.\n\n")
}

struct Reader<'a> {
    tool: Tool,
    name: &'a str,
    host: String,
    port: u16,
    user: Option<String>,
    is_asked: bool,
    letters: Vec<char>,
    node: Option<usize>,
    process: Option<u64>,
    mode: Shutdown,
    scope: Scope,
}

/// What is no word of the command line is told of like this by Pgpool-II's programs.
const NO_ARGUMENT: &str = "(null)";

impl Reader<'_> {
    fn option(&mut self, letter: char, text: &str) -> Result<(), Stop> {
        match letter {
            'h' => text.clone_into(&mut self.host),
            'U' => self.user = Some(text.to_owned()),
            'p' => self.port = self.port(text)?,
            'P' => self.process = Some(self.process(text, text)?),
            'n' => self.node = Some(self.node(text, text)?),
            'w' => self.is_asked = false,
            'W' => self.is_asked = true,
            'm' => self.mode = self.mode(text)?,
            's' => self.switchover_or_scope(text)?,
            '?' | 'V' => return Err(Stop::new(try_help(self.name))),
            _ => self.letters.push(letter),
        }
        Ok(())
    }

    /// Makes the order of what was read and the words that are no options.
    fn finish(mut self, words: Vec<String>) -> Result<Order, Stop> {
        let mut words = words.into_iter().peekable();
        let wants_node = match self.tool {
            Tool::AttachNode
            | Tool::DetachNode
            | Tool::HealthCheckStats
            | Tool::PromoteNode
            | Tool::RecoverNode => true,
            Tool::NodeInfo | Tool::WatchdogInfo => words.peek().is_some(),
            Tool::InvalidateCache
            | Tool::NodeCount
            | Tool::PoolStatus
            | Tool::ProcCount
            | Tool::ProcInfo
            | Tool::ReloadConfig
            | Tool::RotateLog
            | Tool::StopPgpool => false,
        };
        if wants_node && self.node.is_none() {
            let Some(word) = words.next() else {
                let text = format!("{}: missing node-id\n{}", self.name, try_help(self.name));
                return Err(Stop::new(text));
            };
            self.node = Some(self.node(&word, NO_ARGUMENT)?);
        }
        if self.tool == Tool::ProcInfo
            && self.process.is_none()
            && let Some(word) = words.next()
        {
            self.process = Some(self.process(&word, NO_ARGUMENT)?);
        }
        let request = self.request();
        let host = if self.host.is_empty() { SOCKET_DIRECTORY.to_owned() } else { self.host };
        Ok(Order {
            host,
            port: self.port,
            user: self.user,
            is_asked: self.is_asked,
            letters: self.letters,
            request,
            ignored: words.collect(),
        })
    }

    fn request(&self) -> Request {
        // Where one is needed, there is one.
        let node = self.node.unwrap_or_default();
        let gracefully = self.letters.contains(&'g');
        match self.tool {
            Tool::AttachNode => Request::Attach(node),
            Tool::DetachNode => Request::Detach { node, gracefully },
            Tool::HealthCheckStats => Request::HealthStats(node),
            Tool::InvalidateCache => Request::InvalidateCache,
            Tool::NodeCount => Request::NodeCount,
            Tool::NodeInfo => Request::NodeInfo(self.node),
            Tool::PoolStatus => Request::PoolStatus,
            Tool::ProcCount => Request::ProcessCount,
            Tool::ProcInfo => Request::ProcessInfo(self.process),
            Tool::PromoteNode => {
                let switchover = self.letters.contains(&'s');
                Request::Promote { node, gracefully, switchover }
            }
            Tool::RecoverNode => Request::Recover { node, is_dry_run: false },
            Tool::ReloadConfig => Request::Reload(self.scope),
            Tool::RotateLog => Request::RotateLog(self.scope),
            Tool::StopPgpool => Request::Stop(self.mode, self.scope),
            Tool::WatchdogInfo => Request::Watchdog(self.node),
        }
    }

    fn port(&self, text: &str) -> Result<u16, Stop> {
        let port = text.parse().ok().filter(|port| *port > 1024);
        port.ok_or_else(|| Stop {
            text: format!(
                "{}: Invalid port number \"{text}\", must be between 1024 and 65535\n",
                self.name
            ),
            code: 0,
        })
    }

    fn process(&self, text: &str, shown: &str) -> Result<u64, Stop> {
        text.parse().ok().filter(|pid| *pid > 0).ok_or_else(|| Stop {
            text: format!(
                "{}: Invalid process-id \"{shown}\", must be greater than 0\n",
                self.name
            ),
            code: 0,
        })
    }

    fn node(&self, text: &str, shown: &str) -> Result<usize, Stop> {
        // Pgpool-II's programs take what is no number for zero, and would detach node 0 for a slip of
        // the finger. Such a word is an error, which a number out of range is not for them.
        let code = u8::from(text.parse::<i64>().is_err());
        let is_watchdog = self.tool == Tool::WatchdogInfo;
        let found = text.parse().ok();
        found.filter(|id| is_watchdog || *id <= limits::BACKENDS_MAX).ok_or_else(|| {
            let text = if is_watchdog {
                let a = if shown == NO_ARGUMENT { "" } else { "a " };
                format!(
                    "{}: Invalid watchdog-id \"{shown}\", must be a positive number or zero for \
                     {a}local watchdog node\n",
                    self.name
                )
            } else {
                let most = limits::BACKENDS_MAX;
                format!(
                    "{}: Invalid node-id \"{shown}\", must be between 0 and {most}\n",
                    self.name
                )
            };
            Stop { text, code }
        })
    }

    fn mode(&self, text: &str) -> Result<Shutdown, Stop> {
        if self.tool != Tool::StopPgpool {
            return Err(self.invalid(text));
        }
        match text {
            "s" | "smart" => Ok(Shutdown::Smart),
            "f" | "fast" => Ok(Shutdown::Fast),
            "i" | "immediate" => Ok(Shutdown::Immediate),
            _ => Err(Stop::new(format!(
                "{}: Invalid shutdown mode \"{text}\", must be either \"smart\" \"immediate\" or \
                 \"fast\" \n",
                self.name
            ))),
        }
    }

    /// `-s` is a scope for those that have one, and a switchover for one.
    fn switchover_or_scope(&mut self, text: &str) -> Result<(), Stop> {
        match self.tool {
            Tool::PromoteNode => self.letters.push('s'),
            Tool::ReloadConfig | Tool::RotateLog | Tool::StopPgpool => {
                self.scope = match text {
                    "c" | "cluster" => Scope::Cluster,
                    "l" | "local" => Scope::Local,
                    _ => {
                        return Err(Stop::new(format!(
                            "{}: Invalid command scope \"{text}\", must be either \"cluster\" or \
                             \"local\" \n",
                            self.name
                        )));
                    }
                };
            }
            Tool::AttachNode
            | Tool::DetachNode
            | Tool::HealthCheckStats
            | Tool::InvalidateCache
            | Tool::NodeCount
            | Tool::NodeInfo
            | Tool::PoolStatus
            | Tool::ProcCount
            | Tool::ProcInfo
            | Tool::RecoverNode
            | Tool::WatchdogInfo => {
                return Err(self.invalid(if text.is_empty() { NO_ARGUMENT } else { text }));
            }
        }
        Ok(())
    }

    fn invalid(&self, text: &str) -> Stop {
        let name = self.name;
        let more = format!("Try \"{name} --help\" for more information.\n");
        Stop::new(format!("Invalid argument \"{text}\", {more}"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(tool: Tool, args: &str) -> Result<Order, Stop> {
        let args: Vec<OsString> = args.split_whitespace().map(OsString::from).collect();
        Order::read(tool, "dir/pcp", "pcp", &args)
    }

    #[test]
    fn requests_are_what_pgpool_s_programs_send() {
        let (smart, local) = (Shutdown::Smart, Scope::Local);
        let promote = |gracefully, switchover| Request::Promote { node: 1, gracefully, switchover };
        let cases = [
            (Tool::NodeInfo, "", Request::NodeInfo(None)),
            (Tool::NodeInfo, "-a", Request::NodeInfo(None)),
            (Tool::NodeInfo, "2 -a", Request::NodeInfo(Some(2))),
            (Tool::NodeInfo, "-n 128", Request::NodeInfo(Some(128))),
            (Tool::DetachNode, "1", Request::Detach { node: 1, gracefully: false }),
            (Tool::DetachNode, "-g -n 1", Request::Detach { node: 1, gracefully: true }),
            (Tool::DetachNode, "--grace 1", Request::Detach { node: 1, gracefully: true }),
            (Tool::PromoteNode, "1", promote(false, false)),
            (Tool::PromoteNode, "-s 1", promote(false, true)),
            (Tool::PromoteNode, "-gs 1", promote(true, true)),
            (Tool::PromoteNode, "--switchover 1", promote(false, true)),
            (Tool::ProcInfo, "", Request::ProcessInfo(None)),
            (Tool::ProcInfo, "-P 70 71", Request::ProcessInfo(Some(70))),
            (Tool::ProcInfo, "70", Request::ProcessInfo(Some(70))),
            (Tool::RecoverNode, "1", Request::Recover { node: 1, is_dry_run: false }),
            (Tool::ReloadConfig, "", Request::Reload(local)),
            (Tool::ReloadConfig, "-s cluster", Request::Reload(Scope::Cluster)),
            (Tool::RotateLog, "--scope=l", Request::RotateLog(local)),
            (Tool::StopPgpool, "-a", Request::Stop(smart, local)),
            (Tool::StopPgpool, "-m f --scope c", Request::Stop(Shutdown::Fast, Scope::Cluster)),
            (Tool::WatchdogInfo, "", Request::Watchdog(None)),
            (Tool::WatchdogInfo, "200", Request::Watchdog(Some(200))),
        ];
        for (tool, args, request) in cases {
            let order = read(tool, args).unwrap_or_else(|stop| panic!("{args}: {stop:?}"));
            // What belongs to -s of others is not mistaken for an operand.
            let ignored: &[&str] = if args.ends_with(" 71") { &["71"] } else { &[] };
            assert_eq!((order.request, &*order.ignored == ignored), (request, true), "{args}");
        }
    }

    #[test]
    fn what_is_wrong_is_told_in_pgpool_s_words() {
        let more = "Try \"pcp --help\" for more information.\n";
        let cases: [(Tool, &str, u8, &str); 15] = [
            (Tool::AttachNode, "", 1, "pcp: missing node-id\n"),
            (Tool::NodeCount, "-z -p 80", 1, "dir/pcp: invalid option -- 'z'\n"),
            (Tool::NodeCount, "-n 1", 1, "dir/pcp: invalid option -- 'n'\n"),
            (Tool::NodeInfo, "-g", 1, "dir/pcp: invalid option -- 'g'\n"),
            (Tool::NodeCount, "-w --help", 1, more),
            (
                Tool::NodeCount,
                "--ver",
                1,
                "dir/pcp: option '--ver' is ambiguous; possibilities: \
              '--version' '--verbose'\n",
            ),
            (Tool::NodeInfo, "-p 80 -z", 0, "pcp: Invalid port number \"80\", must be "),
            (Tool::NodeInfo, "-p 70000", 0, "pcp: Invalid port number \"70000\", must be "),
            (
                Tool::NodeInfo,
                "-n 129",
                0,
                "pcp: Invalid node-id \"129\", must be between 0 and 128",
            ),
            (
                Tool::NodeInfo,
                "129",
                0,
                "pcp: Invalid node-id \"(null)\", must be between 0 and 128",
            ),
            (
                Tool::DetachNode,
                "x",
                1,
                "pcp: Invalid node-id \"(null)\", must be between 0 and 128",
            ),
            (
                Tool::ProcInfo,
                "-P -1",
                0,
                "pcp: Invalid process-id \"-1\", must be greater than 0\n",
            ),
            (Tool::StopPgpool, "-m x", 1, "pcp: Invalid shutdown mode \"x\", must be either "),
            (Tool::ReloadConfig, "-s x", 1, "pcp: Invalid command scope \"x\", must be either "),
            (Tool::NodeInfo, "--mode x", 1, "Invalid argument \"x\", Try \"pcp --help\" for more "),
        ];
        for (tool, args, code, text) in cases {
            let stop = read(tool, args).expect_err(args);
            assert_eq!(stop.code, code, "{args}: {stop:?}");
            assert!(stop.text.starts_with(text), "{args}: {stop:?}");
        }
    }

    #[test]
    fn the_last_word_on_the_password_counts() {
        for (args, is_asked) in [("", true), ("-w", false), ("-w -W", true), ("-W -w", false)] {
            assert_eq!(read(Tool::NodeCount, args).unwrap().is_asked, is_asked, "{args}");
        }
        let order = read(Tool::NodeCount, "-h a -U b -p 1025 -dv x").unwrap();
        assert_eq!((&*order.host, order.port, order.user.as_deref()), ("a", 1025, Some("b")));
        assert!(order.has('d') && order.has('v') && !order.has('a'));
        assert_eq!(order.ignored, ["x"]);
        assert_eq!(read(Tool::NodeCount, "").unwrap().host, "/tmp");
    }
}
