//! Standard output, whose reader may leave at any time.

use std::io::Write as _;

/// Prints a text; whether anybody still reads it.
pub(crate) fn say(text: &str) -> bool {
    let mut out = std::io::stdout().lock();
    out.write_all(text.as_bytes()).and_then(|()| out.flush()).is_ok()
}
