//! What a command writes, as lines for the log: of any bytes, and never more than the limits say.

use crate::limits;

/// Cuts what a command writes into lines.
#[derive(Debug, Default)]
pub struct Lines {
    /// The line that has begun; at most [`limits::COMMAND_LINE_LEN_MAX`] bytes of it.
    line: Vec<u8>,
    /// How many bytes of it were left out.
    cut: usize,
    /// How many lines were told. At most one more than [`limits::COMMAND_LINES_MAX`].
    told: usize,
}

impl Lines {
    /// Takes bytes as they come, and returns the lines that end in them.
    pub fn take(&mut self, bytes: &[u8]) -> Vec<String> {
        let mut lines = Vec::new();
        let mut pieces = bytes.split(|byte| *byte == b'\n');
        if let Some(first) = pieces.next() {
            self.add(first);
        }
        for piece in pieces {
            lines.extend(self.end());
            self.add(piece);
        }
        lines
    }

    /// Returns the last line, if it has no end of its own.
    pub fn finish(&mut self) -> Option<String> {
        if self.line.is_empty() { None } else { self.end() }
    }

    fn add(&mut self, piece: &[u8]) {
        let room = limits::COMMAND_LINE_LEN_MAX - self.line.len();
        let (kept, rest) = piece.split_at(piece.len().min(room));
        self.line.extend_from_slice(kept);
        self.cut += rest.len();
    }

    /// Ends a line and puts it into words, if it is to be told.
    fn end(&mut self) -> Option<String> {
        let mut line = std::mem::take(&mut self.line);
        let cut = std::mem::take(&mut self.cut);
        if self.told > limits::COMMAND_LINES_MAX {
            return None;
        }
        self.told += 1;
        if self.told > limits::COMMAND_LINES_MAX {
            return Some(format!("(what follows {} lines is not logged)", self.told - 1));
        }
        if cut == 0 && line.last() == Some(&b'\r') {
            line.pop();
        }
        let mut text = String::with_capacity(line.len());
        for letter in String::from_utf8_lossy(&line).chars() {
            // A line of the log is one line, and tells a terminal nothing.
            if letter.is_control() {
                text.extend(letter.escape_default());
            } else {
                text.push(letter);
            }
        }
        if cut > 0 {
            text.push_str(&format!(" (and {cut} bytes more)"));
        }
        Some(text)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn lines(chunks: &[&[u8]]) -> Vec<String> {
        let mut lines = Lines::default();
        let mut told: Vec<String> = chunks.iter().flat_map(|chunk| lines.take(chunk)).collect();
        told.extend(lines.finish());
        told
    }

    #[test]
    fn output_becomes_lines() {
        let long = vec![b'x'; limits::COMMAND_LINE_LEN_MAX + 3];
        let cut = format!("{} (and 3 bytes more)", "x".repeat(limits::COMMAND_LINE_LEN_MAX));
        let full = "x".repeat(limits::COMMAND_LINE_LEN_MAX);
        type Case<'a> = (&'a str, &'a [&'a [u8]], &'a [&'a str]);
        let cases: &[Case<'_>] = &[
            ("nothing", &[], &[]),
            ("one line", &[b"promoted\n"], &["promoted"]),
            ("a line without an end", &[b"a\nb"], &["a", "b"]),
            ("a line in pieces", &[b"pro", b"moted", b"\n"], &["promoted"]),
            ("an empty line", &[b"a\n\nb\n"], &["a", "", "b"]),
            ("an end as on Windows", &[b"a\r\nb\r"], &["a", "b"]),
            ("what a terminal would heed", &[b"\x1b[31mred\tx\0\n"], &["\\u{1b}[31mred\\tx\\u{0}"]),
            ("no UTF-8", &[b"caf\xe9\n"], &["caf\u{fffd}"]),
            ("UTF-8 in pieces", &[b"caf\xc3", b"\xa9\n"], &["café"]),
            ("a line that is too long", &[&long, b"\nb\n"], &[&cut, "b"]),
            ("a line of just that length", &[full.as_bytes(), b"\n"], &[&full]),
        ];
        for (name, chunks, expected) in cases {
            assert_eq!(lines(chunks), *expected, "{name}");
        }
    }

    #[test]
    fn whoever_writes_for_ever_is_not_logged_for_ever() {
        let mut all = Lines::default();
        let told = all.take("x\n".repeat(limits::COMMAND_LINES_MAX + 10).as_bytes());
        assert_eq!(told.len(), limits::COMMAND_LINES_MAX + 1);
        assert!(told.last().is_some_and(|line| line.contains("is not logged")), "{told:?}");
        assert!(all.take(b"y\n").is_empty());
        assert_eq!(all.finish(), None);
    }

    proptest! {
        /// However output is cut into reads, the lines are the same, and none is longer than a
        /// limit that does not depend on what it says.
        #[test]
        fn lines_do_not_depend_on_reads(
            bytes in proptest::collection::vec(prop_oneof![any::<u8>(), Just(b'\n')], 0..5000),
            size in 1usize..3000,
        ) {
            let chunks: Vec<&[u8]> = bytes.chunks(size).collect();
            let told = lines(&chunks);
            for line in &told {
                prop_assert!(line.len() <= 6 * limits::COMMAND_LINE_LEN_MAX + 40);
                prop_assert!(!line.chars().any(char::is_control), "{line:?}");
            }
            prop_assert_eq!(told, lines(&[&bytes]));
        }
    }
}
