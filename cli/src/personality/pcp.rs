//! The programs called `pcp_…`: what administrators ask pgherd, or a Pgpool-II.
//!
//! Options, output and exit codes are Pgpool-II 4.3's, errors of its own making among them: once
//! somebody is logged in, the exit code is 0 whatever comes of the request. What releases since
//! then have added is there, too.

use std::ffi::OsString;
use std::path::Path;

use pgherd_core::admin::client::Fault;
use pgherd_core::admin::request::Request;
use pgherd_core::auth::pcppass::Place;
use pgherd_core::auth::secret::Secret;
use pgherd_core::limits;
use pgherd_core::wire::error::Violation;

use super::{Stop, VERSION_BEHIND};
use crate::account;
use crate::pcp::{Event, Peer, Session, Trouble, is_silence, passwords};
use crate::say::say;
use crate::stream::{Unreachable, cause};
use crate::terminal;

mod order;
mod tell;
mod tool;
mod watchdog;

use order::Order;
pub(crate) use tool::Tool;

/// The directory of the socket if no host is named.
const SOCKET_DIRECTORY: &str = "/tmp";

/// Does what the command line says; `program` is what it calls the program.
pub(super) fn run(tool: Tool, program: &str, args: &[OsString]) -> Result<(), Stop> {
    let name = Path::new(program).file_name().unwrap_or_default().to_string_lossy();
    // Only as the first word.
    match args.first().and_then(|first| first.to_str()) {
        Some("--help" | "-?") => return Err(Stop { text: tool.usage(&name), code: 0 }),
        Some("--version" | "-V") => {
            return Err(Stop { text: format!("{name} {VERSION_BEHIND}\n"), code: 0 });
        }
        _ => {}
    }
    let order = Order::read(tool, program, &name, args)?;
    for word in &order.ignored {
        eprintln!("{name}: Warning: extra command-line argument \"{word}\" ignored");
    }
    let typed = if order.is_asked { ask()? } else { Secret::new("") };
    carry_out(tool, &name, &order, typed)
}

fn carry_out(tool: Tool, name: &str, order: &Order, typed: Secret) -> Result<(), Stop> {
    let failed = |trouble: Trouble| Stop::new(format!("{}\n", told(&trouble, order)));
    let user = match &order.user {
        Some(user) => user.clone(),
        None => {
            account::own_name().map_err(|why| Stop::new(format!("{why}; give one with -U\n")))?
        }
    };
    if user.len() >= limits::ADMIN_NAME_LEN_MAX {
        return Err(Stop::new("ERROR: PCP authorization failed. username too long.\n"));
    }
    let password = if typed.expose().is_empty() { stored(order, &user) } else { typed };
    let is_debug = order.has('d');
    let mut watch = |event: Event<'_>| {
        if is_debug {
            say(&trace(&event));
        }
    };
    let peer = Peer { host: order.host.clone(), port: order.port };
    let mut session = Session::open(&peer, &user, password, &mut watch).map_err(failed)?;
    match session.ask(order.request) {
        Ok(rows) => match tell::answer(tool, name, order, &rows) {
            Some(text) => drop(say(&text)),
            None => {
                let malformed = Violation::Malformed { tag: 0 };
                let trouble = Trouble::Fault(Fault::Packet(malformed));
                eprintln!("{}", told(&trouble, order));
            }
        },
        Err(trouble) => eprintln!("{}", told(&trouble, order)),
    }
    session.close();
    Ok(())
}

fn ask() -> Result<Secret, Stop> {
    terminal::password().map_err(|error| Stop::new(format!("{}\n", cause(&error))))
}

/// Finds the password that is kept; the empty one if none is.
fn stored(order: &Order, user: &str) -> Secret {
    let host = if order.host == SOCKET_DIRECTORY { "localhost" } else { &order.host };
    let found = passwords::stored(Place { hosts: &[host], port: order.port, user });
    found
        .unwrap_or_else(|unfit| {
            if order.has('d') {
                say(&format!("WARNING: {unfit}\n"));
            }
            None
        })
        .unwrap_or_else(|| Secret::new(""))
}

/// What `-d` tells.
fn trace(event: &Event<'_>) -> String {
    match event {
        Event::Asked(request, length) => {
            // As Pgpool-II's programs have it, whatever letter has really left.
            let tag = match request {
                Request::PoolStatus => {
                    return format!("DEBUG pcp_pool_status: send: tos=\"B\", len={length}\n");
                }
                Request::HealthStats(_) => 'L',
                Request::Promote { .. } => 'E',
                Request::Recover { .. } | Request::Detach { .. } => 'D',
                Request::Stop(..) => 'T',
                Request::NodeCount
                | Request::NodeInfo(_)
                | Request::ProcessCount
                | Request::ProcessInfo(_)
                | Request::Watchdog(_)
                | Request::Attach(_)
                | Request::StopRecovery
                | Request::Reload(_)
                | Request::RotateLog(_)
                | Request::InvalidateCache
                | Request::Notices
                | Request::Goodbye => char::from(request.tag()),
            };
            format!("DEBUG: send: tos=\"{tag}\", len={length}\n")
        }
        Event::Received(tag, length) => {
            format!("DEBUG: recv: tos=\"{}\", len={length}\n", char::from(*tag))
        }
        Event::Told(remark) => {
            let detail = remark.detail.as_ref().map(|detail| format!("DETAIL:  {detail}\n"));
            let detail = detail.unwrap_or_default();
            format!("BACKEND {}:  {}\n{detail}", remark.severity, remark.message)
        }
    }
}

/// An error in the words of Pgpool-II's programs; they end it with another end of line.
fn told(trouble: &Trouble, order: &Order) -> String {
    match trouble {
        Trouble::Unreachable(Unreachable::Name(error)) => {
            let why = cause(error);
            format!("ERROR: could not retrieve hostname. gethostbyname failed with error \"{why}\"")
        }
        Trouble::Unreachable(Unreachable::Host(error)) => {
            let host = &order.host;
            format!("ERROR: connection to host \"{host}\" failed with error \"{}\"", cause(error))
        }
        Trouble::Unreachable(Unreachable::Socket(path, error)) => {
            format!("ERROR: connection to socket \"{path}\" failed with error \"{}\"", cause(error))
        }
        Trouble::Unsent(error) => {
            format!("ERROR: sending data to backend failed with error \"{}\"", cause(error))
        }
        Trouble::Unread(error) if is_silence(error) => format!("ERROR: {trouble}"),
        Trouble::Unread(_) => "ERROR: unable to read data from socket.".to_owned(),
        Trouble::Refused(remark) => {
            let detail = remark.detail.as_ref().map(|detail| format!("DETAIL:  {detail}\n"));
            format!("{}:  {}\n{}", remark.severity, remark.message, detail.unwrap_or_default())
        }
        Trouble::Fault(Fault::Packet(Violation::UnknownTag { tag })) => {
            format!("ERROR: invalid PCP packet type =\"{}\"", char::from(*tag))
        }
        Trouble::Fault(Fault::Welcome(text)) => {
            format!("ERROR: authentication failed. reason=\"{text}\"")
        }
        Trouble::Fault(Fault::TooLong) => format!("ERROR: {trouble}"),
        Trouble::Fault(Fault::Packet(_) | Fault::Answer(_)) => {
            // One of them ends it with an end of line more.
            let end = if matches!(order.request, Request::Watchdog(_)) { "\n" } else { "" };
            format!("command failed. invalid response{end}")
        }
    }
}
