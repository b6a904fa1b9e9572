//! Asks for a secret at the terminal, without showing it.

use std::io::{self, IsTerminal as _, stdin};

use pgherd_core::auth::secret::Secret;

use super::Stop;
use super::pairs::LEN_MAX;
use crate::say::say;
use crate::terminal;

/// Asks with these words. As in Pgpool-II, nobody is asked but at a terminal, and what is longer
/// than a password may be is cut.
pub(super) fn secret(words: &str) -> Result<Secret, Stop> {
    let input = stdin();
    if !input.is_terminal() {
        return Err(Stop::new("stdin is not tty\n"));
    }
    let broken = |error: io::Error| Stop::new(format!("{error}\n"));
    let ask = || {
        say(words);
    };
    let line = terminal::hidden_line(&input, &mut input.lock(), ask).map_err(broken)?;
    say("\n");
    Ok(terminal::cut(&line, LEN_MAX))
}
