//! What the person at the terminal does to the herd: a letter and Enter.

use std::io::BufRead as _;
use std::sync::mpsc::{Receiver, channel};
use std::thread;

use pgherd_herd::{Herd, Trouble};

/// What can be done to the herd.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Deed {
    /// The primary is killed.
    Kill,
    /// Every node that is down is made a standby of the primary.
    Rejoin,
}

/// What they are called.
pub(super) const LEGEND: &str = "k and Enter kills the primary, r and Enter makes lost servers standbys of \
     the one that took its place.";

impl Deed {
    fn read(line: &str) -> Option<Self> {
        match line.trim() {
            "k" => Some(Self::Kill),
            "r" => Some(Self::Rejoin),
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
            Self::Rejoin => {
                let nodes = rows.iter().enumerate();
                let lost: Vec<usize> = nodes
                    .filter(|(_, row)| super::status(row) == "down")
                    .map(|(node, _)| node)
                    .collect();
                if lost.is_empty() {
                    progress("no server is lost");
                }
                lost.into_iter().try_for_each(|node| {
                    progress(&format!("copying node {primary} to node {node}"));
                    herd.rejoin(node, primary)
                })
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_letter_is_a_deed() {
        let cases =
            [("k", Some(Deed::Kill)), (" r \n", Some(Deed::Rejoin)), ("", None), ("kill", None)];
        for (line, deed) in cases {
            assert_eq!(Deed::read(line), deed, "{line:?}");
        }
    }
}
