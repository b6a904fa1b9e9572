//! Asks for a secret at the terminal, without showing it.

use std::io::{BufRead as _, IsTerminal as _, stdin};

use pgherd_core::auth::secret::Secret;
use rustix::termios::{LocalModes, OptionalActions, tcgetattr, tcsetattr};

use super::Stop;
use super::pairs::LEN_MAX;
use crate::say::say;

/// Asks with these words. As in Pgpool-II, nobody is asked but at a terminal, and what is longer
/// than a password may be is cut.
pub(super) fn secret(words: &str) -> Result<Secret, Stop> {
    let terminal = stdin();
    if !terminal.is_terminal() {
        return Err(Stop::new("stdin is not tty\n"));
    }
    let broken = |error: rustix::io::Errno| Stop::new(format!("{error}\n"));
    let shown = tcgetattr(&terminal).map_err(broken)?;
    let mut hidden = shown.clone();
    hidden.local_modes -= LocalModes::ECHO;
    say(words);
    tcsetattr(&terminal, OptionalActions::Flush, &hidden).map_err(broken)?;
    let mut line = String::new();
    let read = terminal.lock().read_line(&mut line);
    // Whatever was read, the terminal is left as it was found.
    tcsetattr(&terminal, OptionalActions::Flush, &shown).map_err(broken)?;
    say("\n");
    read.map_err(|error| Stop::new(format!("{error}\n")))?;
    Ok(cut(&line))
}

/// What counts of a line.
fn cut(line: &str) -> Secret {
    let line = line.trim_end_matches(['\n', '\r']);
    // Between two characters: half of one is no text.
    let end = (0..=line.len().min(LEN_MAX)).rev().find(|&end| line.is_char_boundary(end));
    Secret::new(line.get(..end.unwrap_or(0)).unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_is_cut_where_pgpool_cuts_it() {
        let long = "x".repeat(129);
        let split = format!("{}é", "x".repeat(127));
        for (line, secret) in [
            ("secret\n", "secret"),
            ("secret\r\n", "secret"),
            ("secret", "secret"),
            ("\n", ""),
            ("", ""),
            (&long, &long[..128]),
            (&split, &split[..127]),
        ] {
            assert_eq!(cut(line).expose(), secret, "{line:?}");
        }
    }
}
