//! What the person at the terminal does to the herd: a letter and Enter.

use std::io::BufRead as _;
use std::sync::mpsc::{Receiver, channel};
use std::thread;

use pgherd_core::admin::request::Request;
use pgherd_core::auth::secret::Secret;
use pgherd_herd::{Herd, PASSWORD, Trouble, USER};

use crate::pcp::{Event, Peer, Session};

/// What can be done to the herd.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Deed {
    /// The primary is killed.
    Kill,
    /// The primary hands its part to a standby.
    Switch,
    /// Every node that is out of service is recovered.
    Recover,
}

/// What they are called.
pub(super) const LEGEND: &str = "k and Enter kills the primary, s and Enter has it hand over to a standby, r and \
     Enter recovers servers that are out of service, which makes them standbys of the primary.";

impl Deed {
    fn read(line: &str) -> Option<Self> {
        match line.trim() {
            "k" => Some(Self::Kill),
            "s" => Some(Self::Switch),
            "r" => Some(Self::Recover),
            _ => None,
        }
    }

    /// Listens to standard input, which may be closed, for as long as the demo lasts.
    pub(super) fn listen() -> Receiver<Self> {
        let (sender, receiver) = channel();
        thread::spawn(move || {
            let lines = std::io::stdin().lock().lines().map_while(Result::ok);
            // The demo may have ended meanwhile.
            lines.filter_map(|line| Self::read(&line)).all(|deed| sender.send(deed).is_ok());
        });
        receiver
    }

    /// Does it, to the nodes as `SHOW pool_nodes` has them; `progress` is told of each step.
    pub(super) fn carry_out(
        self,
        herd: &Herd,
        pcp: &Peer,
        rows: &[Vec<String>],
        progress: &dyn Fn(&str),
    ) -> Result<(), Trouble> {
        let Some(primary) = rows.iter().position(|row| super::role(row) == "primary") else {
            progress("there is no primary at the moment");
            return Ok(());
        };
        match self {
            Self::Kill => {
                progress(&format!("killing node {primary}, the primary"));
                herd.node(primary)?.kill()
            }
            Self::Switch => {
                let heir = rows.iter().position(|row| {
                    super::role(row) == "standby" && ["up", "waiting"].contains(&super::status(row))
                });
                match heir {
                    Some(node) => {
                        progress(&format!("pgherd switchover {node}"));
                        let request =
                            Request::Promote { node, gracefully: false, switchover: true };
                        ask(request, pcp, progress);
                    }
                    None => progress("no standby is in service"),
                }
                Ok(())
            }
            Self::Recover => {
                let nodes = rows.iter().enumerate();
                let lost: Vec<usize> = nodes
                    .filter(|(_, row)| ["down", "quarantine"].contains(&super::status(row)))
                    .map(|(node, _)| node)
                    .collect();
                if lost.is_empty() {
                    progress("no server is out of service");
                }
                for node in lost {
                    progress(&format!("pgherd recover {node}"));
                    ask(Request::Recover { node, is_dry_run: false }, pcp, progress);
                }
                Ok(())
            }
        }
    }
}

/// Asks pgherd for something as `pgherd switchover` and `pgherd recover` do.
fn ask(request: Request, pcp: &Peer, progress: &dyn Fn(&str)) {
    let mut watch = |event: Event<'_>| {
        if let Event::Told(remark) = event {
            progress(&remark.message);
        }
    };
    let asked =
        Session::open(pcp, USER, Secret::new(PASSWORD), &mut watch).and_then(|mut session| {
            session.ask(request)?;
            session.close();
            Ok(())
        });
    if let Err(trouble) = asked {
        progress(&trouble.to_string());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_letter_is_a_deed() {
        let cases = [
            ("k", Some(Deed::Kill)),
            (" r \n", Some(Deed::Recover)),
            ("s", Some(Deed::Switch)),
            ("", None),
            ("kill", None),
        ];
        for (line, deed) in cases {
            assert_eq!(Deed::read(line), deed, "{line:?}");
        }
    }
}
