//! `pgherd nodes`, `attach`, `recover` and their like: what a pgherd that serves is asked over PCP.

use std::cell::Cell;

use pgherd_core::admin::client::{Remark, Row};
use pgherd_core::admin::request::{Request, Scope};
use pgherd_core::message::Shutdown;
use serde_json::json;

use crate::args::{AdminCommand, AskArgs, Mode};
use crate::ending::Ending;
use crate::pcp::{Event, Session, Trouble};
use crate::say::say;

mod nodes;
mod stats;
mod table;
mod whom;

use whom::Whom;

/// Carries out a command.
pub(crate) fn admin(command: &AdminCommand) -> Result<(), Ending> {
    match command {
        AdminCommand::Nodes(args) => show(&args.ask, "the servers are not shown", |session| {
            nodes::nodes(session, args.ask.json)
        }),
        AdminCommand::Stats(args) => show(&args.ask, "the statistics are not shown", |session| {
            stats::stats(session, args.ask.json)
        }),
        AdminCommand::Attach(args) => {
            let request = Request::Attach(args.node.into());
            order(&args.ask, request, &Deed::to_node(args.node, "let in again"))
        }
        AdminCommand::Detach(args) => {
            let request = Request::Detach { node: args.node.into(), gracefully: args.graceful };
            order(&args.ask, request, &Deed::to_node(args.node, "taken out of service"))
        }
        AdminCommand::Promote(args) => {
            order(&args.ask, promote(args.node, false), &Deed::to_node(args.node, "promoted"))
        }
        AdminCommand::Switchover(args) => {
            let deed = Deed::to_node(args.node, "made the primary");
            order(&args.ask, promote(args.node, true), &deed)
        }
        AdminCommand::Recover(args) => {
            let request = Request::Recover { node: args.node.into(), is_dry_run: args.dry_run };
            let deed = if args.dry_run {
                Deed {
                    done: format!("node {} was left as it is: this was a dry run", args.node),
                    not_done: format!("a recovery of node {} was not tried out", args.node),
                }
            } else {
                Deed::to_node(args.node, "recovered")
            };
            order(&args.ask, request, &deed)
        }
        AdminCommand::Reload(args) => {
            let deed = Deed {
                done: "the configuration is being read again; the log tells how that went".into(),
                not_done: "the configuration was not read again".into(),
            };
            order(&args.ask, Request::Reload(Scope::Local), &deed)
        }
        AdminCommand::Stop(args) => stop(&args.ask, args.mode),
    }
}

fn promote(node: u8, switchover: bool) -> Request {
    Request::Promote { node: node.into(), gracefully: false, switchover }
}

fn stop(args: &AskArgs, mode: Mode) -> Result<(), Ending> {
    let (how, word) = match mode {
        Mode::Smart => (Shutdown::Smart, "once transactions have finished"),
        Mode::Fast => (Shutdown::Fast, "once every client has been told"),
        Mode::Immediate => (Shutdown::Immediate, "at once"),
    };
    let deed =
        Deed { done: format!("pgherd stops {word}"), not_done: "pgherd was not stopped".into() };
    order(args, Request::Stop(how, Scope::Local), &deed)
}

/// What is said of something that is done, and of something that is not.
struct Deed {
    done: String,
    not_done: String,
}

impl Deed {
    fn to_node(node: u8, done: &str) -> Self {
        Self {
            done: format!("node {node} was {done}"),
            not_done: format!("node {node} was not {done}"),
        }
    }
}

/// Asks for something and prints what is told.
fn show(
    args: &AskArgs,
    failure: &str,
    ask: impl FnOnce(&mut Session<'_>) -> Result<String, Lack>,
) -> Result<(), Ending> {
    let told = with_session(args, |_| failure.to_owned(), ask)?;
    say(&told);
    Ok(())
}

/// Has something done, and says so.
fn order(args: &AskArgs, request: Request, deed: &Deed) -> Result<(), Ending> {
    // Whoever was asked may do it all the same, unless it has refused.
    let is_sure = Cell::new(true);
    let failure = |lack: &Lack| {
        is_sure.set(matches!(lack, Lack::Trouble(Trouble::Refused(_))));
        if is_sure.get() {
            deed.not_done.clone()
        } else {
            format!("perhaps {}, which its log and `pgherd nodes` tell", deed.not_done)
        }
    };
    let ended = with_session(args, failure, |session| {
        session.ask(request)?;
        Ok(())
    });
    if args.json {
        let (done, told) = match &ended {
            Ok(()) => (Some(true), deed.done.clone()),
            Err(ending) => (is_sure.get().then_some(false), ending.to_string()),
        };
        say(&format!("{}\n", json!({ "done": done, "told": told })));
    } else if ended.is_ok() {
        say(&format!("{}\n", deed.done));
    }
    ended
}

/// Why something is not told.
enum Lack {
    /// There is no answer.
    Trouble(Trouble),
    /// The answer to a request of this name is of another form than is known here.
    Form(&'static str),
}

impl From<Trouble> for Lack {
    fn from(trouble: Trouble) -> Self {
        Self::Trouble(trouble)
    }
}

/// Logs in, does something with the session, and takes leave. If that fails, `failure` says what of
/// it was not done.
fn with_session<T>(
    args: &AskArgs,
    failure: impl FnOnce(&Lack) -> String,
    act: impl FnOnce(&mut Session<'_>) -> Result<T, Lack>,
) -> Result<T, Ending> {
    let whom = Whom::find(&args.peer)?;
    let password = whom.password()?;
    let mut watch = |event: Event<'_>| {
        if let Event::Told(remark) = event {
            eprintln!("{}", progress(remark));
        }
    };
    let opened = Session::open(&whom.peer, &whom.user, password, &mut watch);
    let mut session = opened.map_err(|trouble| whom.unreached(&trouble))?;
    let acted = act(&mut session);
    session.close();
    acted.map_err(|lack| {
        let failure = failure(&lack);
        let why = match lack {
            Lack::Trouble(trouble) => trouble.to_string(),
            Lack::Form(what) => {
                format!(
                    "what it tells of {what} is of a form not known here; is it of another release?"
                )
            }
        };
        Ending::NotDone(format!("{failure}: pgherd at {}: {why}", whom.peer))
    })
}

/// What is told along the way, on one line.
fn progress(remark: &Remark) -> String {
    match &remark.detail {
        Some(detail) => format!("{}: {detail}", remark.message),
        None => remark.message.clone(),
    }
}

/// Reads the one row of an answer that has one.
fn one(rows: Vec<Row>, what: &'static str) -> Result<Row, Lack> {
    let mut rows = rows.into_iter();
    match (rows.next(), rows.next()) {
        (Some(row), None) => Ok(row),
        _ => Err(Lack::Form(what)),
    }
}
