//! The terminal: secrets that are typed and not shown, and how wide it is.

use std::fs::File;
use std::io::{self, BufRead, BufReader, IsTerminal as _, Write as _, stdin, stdout};
use std::os::fd::AsFd;

use pgherd_core::auth::secret::Secret;
use pgherd_core::limits;
use rustix::termios::{LocalModes, OptionalActions, tcgetattr, tcgetwinsize, tcsetattr};

/// Reads a line that is typed at a terminal without its being shown; `ask` says what for.
pub(crate) fn hidden_line(
    terminal: impl AsFd,
    typed: &mut impl BufRead,
    ask: impl FnOnce(),
) -> io::Result<String> {
    let shown = tcgetattr(&terminal)?;
    let mut hidden = shown.clone();
    hidden.local_modes -= LocalModes::ECHO;
    // What is typed before is dropped, and nobody is to type on being asked and be dropped, too.
    tcsetattr(&terminal, OptionalActions::Flush, &hidden)?;
    ask();
    let mut line = String::new();
    let read = typed.read_line(&mut line);
    // Whatever was read, the terminal is left as it was found.
    tcsetattr(&terminal, OptionalActions::Flush, &shown)?;
    read.map(|_| line)
}

/// Asks for an administrator's password: at the terminal, whatever standard input is; where there
/// is none, on standard error, and standard input has it.
pub(crate) fn password() -> io::Result<Secret> {
    const WORDS: &str = "Password: ";
    let terminal = File::options().read(true).write(true).open("/dev/tty");
    let line = match terminal {
        Ok(terminal) => {
            let say = |text: &str| (&terminal).write_all(text.as_bytes());
            // Whoever cannot be asked types nothing, either.
            let ask = || say(WORDS).unwrap_or_default();
            let line = hidden_line(&terminal, &mut BufReader::new(&terminal), ask);
            say("\n").unwrap_or_default();
            line?
        }
        Err(_) => {
            eprint!("{WORDS}");
            let mut line = String::new();
            let read = stdin().lock().read_line(&mut line);
            eprintln!();
            read?;
            line
        }
    };
    Ok(cut(&line, limits::ADMIN_PASSWORD_LEN_MAX))
}

/// What counts of a line: no more than so many bytes, and not its end.
pub(crate) fn cut(line: &str, len_max: usize) -> Secret {
    let line = line.trim_end_matches(['\n', '\r']);
    // Between two characters: half of one is no text.
    let end = (0..=line.len().min(len_max)).rev().find(|&end| line.is_char_boundary(end));
    Secret::new(line.get(..end.unwrap_or(0)).unwrap_or_default())
}

/// How many columns standard output has; none if it is no terminal.
pub(crate) fn width() -> Option<usize> {
    if !stdout().is_terminal() {
        return None;
    }
    let size = tcgetwinsize(stdout()).ok()?;
    Some(usize::from(size.ws_col)).filter(|width| *width > 0)
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
            assert_eq!(cut(line, 128).expose(), secret, "{line:?}");
        }
    }
}
