//! Marks: texts that clients put into their statements, servers repeat in their answers, and
//! nobody else may ever see.

/// How a mark begins. No statement, error or setting of a server has such a text of its own.
const BEGIN: &[u8] = b"mark:";

/// How a mark ends.
const END: u8 = b';';

/// Digits of a mark.
const DIGITS_MAX: usize = 10;

/// Watches what one client gets for marks of others.
#[derive(Clone, Debug)]
pub struct Marks {
    own: u32,
    /// What may be the beginning of a mark whose rest has yet to come.
    /// `tail.len() < BEGIN.len() + DIGITS_MAX + 1`
    tail: Vec<u8>,
    seen: u64,
}

impl Marks {
    /// Begins to watch for a client with a mark of its own.
    #[must_use]
    pub const fn new(own: u32) -> Self {
        Self { own, tail: Vec::new(), seen: 0 }
    }

    /// Writes a mark, for use within the quotes of a literal or as part of a parameter.
    #[must_use]
    pub fn text(mark: u32) -> String {
        format!("mark:{mark};")
    }

    /// Counts the marks that have come.
    #[must_use]
    pub const fn seen(&self) -> u64 {
        self.seen
    }

    /// Looks at bytes that the client got, however they are cut.
    ///
    /// # Errors
    /// A mark of another is among them.
    pub fn follow(&mut self, bytes: &[u8]) -> Result<(), String> {
        let mut text = std::mem::take(&mut self.tail);
        text.extend_from_slice(bytes);
        let mut rest = text.as_slice();
        while let Some(at) = rest.iter().position(|byte| Some(byte) == BEGIN.first()) {
            rest = rest.get(at..).unwrap_or_default();
            match mark(rest) {
                Mark::No => rest = rest.get(1..).unwrap_or_default(),
                Mark::Unfinished => {
                    self.tail = rest.to_vec();
                    return Ok(());
                }
                Mark::Is(found, len) => {
                    if found != self.own {
                        return Err(format!("the mark of {found}, being {}", self.own));
                    }
                    self.seen += 1;
                    rest = rest.get(len..).unwrap_or_default();
                }
            }
        }
        Ok(())
    }
}

enum Mark {
    No,
    Unfinished,
    /// A mark, and its length.
    Is(u32, usize),
}

/// Reads a mark at the beginning of bytes.
fn mark(bytes: &[u8]) -> Mark {
    let Some(rest) = bytes.strip_prefix(BEGIN) else {
        return if BEGIN.starts_with(bytes) { Mark::Unfinished } else { Mark::No };
    };
    let count = rest.iter().take_while(|byte| byte.is_ascii_digit()).count();
    if count > DIGITS_MAX {
        return Mark::No;
    }
    match rest.get(count) {
        None => Mark::Unfinished,
        Some(&END) => {
            let digits = rest.get(..count).and_then(|digits| str::from_utf8(digits).ok());
            match digits.and_then(|digits| digits.parse().ok()) {
                Some(found) => Mark::Is(found, BEGIN.len() + count + 1),
                None => Mark::No,
            }
        }
        Some(_) => Mark::No,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_foreign_mark_is_found_however_it_is_cut() {
        let text = format!("mmark:x mark: {} market {}!", Marks::text(7), Marks::text(7));
        let foreign = format!("D..{}", Marks::text(77));
        for cut in 1..8 {
            let mut marks = Marks::new(7);
            for piece in text.as_bytes().chunks(cut) {
                assert_eq!(marks.follow(piece), Ok(()), "{cut}");
            }
            assert_eq!(marks.seen(), 2, "{cut}");
            let found = foreign.as_bytes().chunks(cut).any(|piece| marks.follow(piece).is_err());
            assert!(found, "{cut}");
        }
    }
}
