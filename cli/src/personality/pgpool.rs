//! `pgpool`: Pgpool-II's command line for pgherd.
//!
//! Options, messages and exit codes are Pgpool-II 4.3's, but that a start that fails keeps pgherd's
//! own exit codes.

use std::ffi::{OsStr, OsString};
use std::path::{Path, PathBuf};

use super::options::{Fault, Known, Line, flag, valued};
use super::{Stop, VERSION, daemon, key, other, place};
use crate::args::Runtime;
use crate::ending::Ending;
use crate::files;
use crate::run::{self, Name, Past, Start};

const KNOWN: [Known; 13] = [
    valued('a', "hba-file"),
    valued('f', "config-file"),
    valued('F', "pcp-file"),
    valued('k', "key-file"),
    valued('m', "mode"),
    flag('h', "help"),
    flag('v', "version"),
    flag('C', "clear-oidmaps"),
    flag('n', "dont-detach"),
    flag('x', "debug-assertions"),
    flag('D', "discard-status"),
    flag('d', "debug"),
    flag(DETACHED, daemon::OPTION),
];

/// Stands for the option that a detached child is started with, and which has no letter.
const DETACHED: char = '\0';

/// What the command line says.
#[derive(Debug, PartialEq, Eq)]
struct Order {
    config: String,
    key_file: Option<PathBuf>,
    pcp_file: Option<PathBuf>,
    is_debug: bool,
    past: Past,
    what: What,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum What {
    Start(Place),
    Stop(other::Mode),
    Reload,
    Help,
    Version,
}

/// Where it serves.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Place {
    /// In a child that outlives the terminal.
    Background,
    /// Here, as told with `-n`.
    Foreground,
    /// Here, in that child.
    Detached,
}

/// Does what the command line says.
pub(super) fn run(program: &OsStr, args: &[OsString]) -> Result<(), Stop> {
    let order = Order::read(program, args)?;
    match order.what {
        What::Help => eprint!("{}", usage()),
        What::Version => eprintln!("{VERSION}"),
        What::Stop(mode) => other::stop(&order.config, mode)?,
        What::Reload => other::reload(&order.config)?,
        What::Start(place) => {
            other::refuse_second(&order.config)?;
            match place {
                Place::Background => daemon::spawn(program, args)?,
                Place::Foreground => order.serve(None, || Ok(()))?,
                Place::Detached => {
                    let directory = daemon::detach()?;
                    order.found_from(&directory).serve(Some(&directory), daemon::tell_started)?;
                }
            }
        }
    }
    Ok(())
}

impl Order {
    fn read(program: &OsStr, args: &[OsString]) -> Result<Self, Stop> {
        let line = Line::read(&KNOWN, args);
        let (mut place_, mut mode) = (Place::Background, other::Mode::Smart);
        let mut order = Self {
            config: place("pgpool.conf"),
            key_file: None,
            pcp_file: None,
            is_debug: false,
            past: Past::Recalled,
            what: What::Help,
        };
        for (letter, argument) in &line.options {
            let argument = argument.to_string_lossy().into_owned();
            match *letter {
                'f' => order.config = argument,
                'k' => order.key_file = Some(argument.into()),
                'F' => order.pcp_file = Some(argument.into()),
                'm' => mode = other::Mode::read(&argument).ok_or_else(misuse)?,
                'd' => order.is_debug = true,
                'D' => order.past = Past::Discarded,
                'n' => place_ = Place::Foreground,
                DETACHED => place_ = Place::Detached,
                'h' => return Ok(order),
                'v' => return Ok(Self { what: What::Version, ..order }),
                // `-a` names a file that nothing is read from yet; `-C` and `-x` have nothing to
                // discard or to check here.
                _ => {}
            }
        }
        if let Some(fault) = line.fault {
            let program = program.display();
            return Err(Stop::new(format!("{program}: {}\n{}", told(&fault), usage())));
        }
        let operands: Vec<_> = line.operands.iter().map(|word| word.to_str()).collect();
        order.what = match operands.as_slice() {
            [] => What::Start(place_),
            [Some("stop")] => What::Stop(mode),
            [Some("reload")] => What::Reload,
            _ => return Err(misuse()),
        };
        Ok(order)
    }

    /// The same with files that are found from elsewhere, too.
    fn found_from(self, directory: &Path) -> Self {
        let key_file = files::key_file(self.key_file.as_deref());
        Self {
            config: directory.join(self.config).display().to_string(),
            key_file: key_file.map(|file| directory.join(file)),
            pcp_file: self.pcp_file.map(|file| directory.join(file)),
            ..self
        }
    }

    /// Serves; if it has left a directory for that, it is this one.
    fn serve(
        &self,
        left: Option<&Path>,
        started: impl FnOnce() -> Result<(), Ending>,
    ) -> Result<(), Stop> {
        let start = Start {
            config: Path::new(&self.config),
            key_file: self.key_file.as_deref(),
            pcp_file: self.pcp_file.as_deref(),
            runtime: Runtime::Smol,
            level: self.is_debug.then_some(log::LevelFilter::Debug),
            name: Name::Pgpool { left },
            past: self.past,
        };
        run::serve(&start, started)
            .map_err(|ending| Stop { text: format!("pgpool: {ending}\n"), code: ending.number() })
    }
}

fn misuse() -> Stop {
    Stop::new(usage())
}

/// What Pgpool-II says of a fault: here it does not use glibc's reader.
fn told(fault: &Fault) -> String {
    match fault {
        Fault::Letter(letter) => format!("illegal option -- {letter}"),
        Fault::LetterAlone(letter) => format!("option requires an argument -- {letter}"),
        Fault::Name(word) => format!("illegal option -- {word}"),
        Fault::NameAlone(name) => format!("option requires an argument -- {name}"),
        Fault::Argument(_) | Fault::Ambiguous(..) => fault.to_string(),
    }
}

fn usage() -> String {
    let (hba, config, pcp) = (place("pool_hba.conf"), place("pgpool.conf"), place("pcp.conf"));
    let key_file = key::default();
    format!(
        "{VERSION},
  A generic connection pool/replication/load balance server for PostgreSQL

Usage:
  pgpool [ -c] [ -f CONFIG_FILE ] [ -F PCP_CONFIG_FILE ] [ -a HBA_CONFIG_FILE ]
         [ -n ] [ -D ] [ -d ]
  pgpool [ -f CONFIG_FILE ] [ -F PCP_CONFIG_FILE ] [ -a HBA_CONFIG_FILE ]
         [ -m SHUTDOWN-MODE ] stop
  pgpool [ -f CONFIG_FILE ] [ -F PCP_CONFIG_FILE ] [ -a HBA_CONFIG_FILE ] reload

Common options:
  -a, --hba-file=HBA_CONFIG_FILE
                      Set the path to the pool_hba.conf configuration file
                      (default: {hba})
  -f, --config-file=CONFIG_FILE
                      Set the path to the pgpool.conf configuration file
                      (default: {config})
  -k, --key-file=KEY_FILE
                      Set the path to the pgpool key file
                      (default: {key_file})
                      can be over ridden by PGPOOLKEYFILE environment variable
  -F, --pcp-file=PCP_CONFIG_FILE
                      Set the path to the pcp.conf configuration file
                      (default: {pcp})
  -h, --help          Print this help

Start options:
  -C, --clear-oidmaps Clear query cache oidmaps when memqcache_method is memcached
                      (If shmem, discards whenever pgpool starts.)
  -n, --dont-detach   Don't run in daemon mode, does not detach control tty
  -x, --debug-assertions   Turns on various assertion checks, This is a debugging aid
  -D, --discard-status Discard pgpool_status file and do not restore previous status
  -d, --debug         Debug mode

Stop options:
  -m, --mode=SHUTDOWN-MODE
                      Can be \"smart\", \"fast\", or \"immediate\"

Shutdown modes are:
  smart       quit after all clients have disconnected
  fast        quit directly, with proper shutdown
  immediate   the same mode as fast
"
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn orders_are_read() {
        use other::Mode::{Fast, Immediate, Smart};
        let program = OsStr::new("/usr/sbin/pgpool");
        let cases: &[(&str, Option<What>)] = &[
            ("", Some(What::Start(Place::Background))),
            ("-n -D -C -x -d -f a -F b -a c -k d", Some(What::Start(Place::Foreground))),
            ("--detached", Some(What::Start(Place::Detached))),
            ("-m fast", Some(What::Start(Place::Background))),
            ("stop", Some(What::Stop(Smart))),
            ("-m f stop", Some(What::Stop(Fast))),
            ("-f a stop -m immediate", Some(What::Stop(Immediate))),
            ("reload", Some(What::Reload)),
            ("stop -h", Some(What::Help)),
            ("--version", Some(What::Version)),
            ("-m x stop", None),
            ("stop stop", None),
            ("start", None),
            ("-z", None),
            ("-f", None),
        ];
        for (args, what) in cases {
            let args: Vec<OsString> = args.split_whitespace().map(OsString::from).collect();
            assert_eq!(Order::read(program, &args).ok().map(|order| order.what), *what, "{args:?}");
        }
        for (args, said) in [
            ("-z", "/usr/sbin/pgpool: illegal option -- z\n"),
            ("--bogus", "/usr/sbin/pgpool: illegal option -- bogus\n"),
            ("-f", "/usr/sbin/pgpool: option requires an argument -- f\n"),
        ] {
            let stop = Order::read(program, &[args.into()]).expect_err("it is not understood");
            assert!(stop.text.starts_with(said) && stop.code == 1, "{stop:?}");
        }
    }
}
