//! `SHOW pool_pins`: which sessions are bound to their connection, and why.

use std::collections::BTreeMap;

use crate::backend::audit::Pins;
use crate::inquiry::Sheet;
use crate::session::Session;
use crate::session::desk::Desk;
use crate::session::tally::Tally;
use crate::time::Instant;

/// The figure of pins since the start, by cause.
pub(super) const PINNED: &str = "pinned";

/// Since when a session is pinned, by cause.
#[derive(Debug, Default)]
pub(in crate::session) struct PinLog {
    since: BTreeMap<&'static str, Instant>,
}

impl PinLog {
    /// Takes note of what pins the session now, and counts what has not pinned it before.
    fn note(&mut self, pins: Pins, now: Instant, tally: &mut Tally) {
        if self.since.is_empty() && pins.is_empty() {
            return;
        }
        self.since.retain(|word, _| pins.iter().any(|pin| pin.word() == *word));
        for pin in pins.iter() {
            self.since.entry(pin.word()).or_insert_with(|| {
                tally.pinned(pin.word());
                now
            });
        }
    }
}

impl Session {
    /// Takes note of what pins the session to its connection.
    pub(in crate::session) fn note_pins(&mut self, desk: &mut Desk) {
        let pins = self.pins();
        self.pin_log.note(pins, desk.now, &mut desk.counts);
    }

    /// What pins the session: words, each with since when.
    pub(super) fn pinned(&self, now: Instant) -> impl Iterator<Item = (&'static str, Instant)> {
        let since = move |word| self.pin_log.since.get(word).copied().unwrap_or(now);
        self.pins().iter().map(move |pin| (pin.word(), since(pin.word())))
    }
}

/// Joins the causes with the sessions that are pinned for them. A cause for which nobody is pinned
/// any more has a row of its own.
///
/// A row of the sheet is the cause and the cells behind the two counts.
pub(super) fn rows(sheet: Sheet) -> Vec<Vec<String>> {
    let mut causes: BTreeMap<String, (u64, Vec<Vec<String>>)> = BTreeMap::new();
    for (figure, count) in &sheet.figures {
        causes.entry(figure.of.to_owned()).or_default().0 += count;
    }
    for mut row in sheet.rows {
        if !row.is_empty() {
            let cells = row.split_off(1);
            let cause = row.pop().unwrap_or_default();
            causes.entry(cause).or_default().1.push(cells);
        }
    }
    let mut rows = Vec::new();
    for (cause, (total, sessions)) in causes {
        let count = sessions.len();
        // What all shards have counted may be older than what they now have.
        let total = total.max(u64::try_from(count).unwrap_or(u64::MAX));
        let beginning = vec![cause, count.to_string(), total.to_string()];
        if sessions.is_empty() {
            let empty = vec![String::new(); super::columns::PINS.len() - beginning.len()];
            rows.push([beginning, empty].concat());
        } else {
            rows.extend(sessions.into_iter().map(|cells| [beginning.clone(), cells].concat()));
        }
    }
    rows
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::backend::audit::Pin;
    use crate::time::Duration;

    #[test]
    fn a_pin_counts_once_as_long_as_it_lasts() {
        let at = |seconds| Instant::ZERO + Duration::from_secs(seconds);
        let (listen, both) =
            (Pins::from_iter([Pin::Listen]), Pins::from_iter([Pin::Listen, Pin::Temporary]));
        let mut log = PinLog::default();
        let mut tally = Tally::default();
        for (second, pins) in [(1, listen), (2, both), (3, listen), (4, Pins::default()), (5, both)]
        {
            log.note(pins, at(second), &mut tally);
        }
        let since: Vec<_> = log.since.into_iter().collect();
        assert_eq!(since, [("listen", at(5)), ("temporary_table", at(5))]);
        let counts: Vec<_> = tally.pins().collect();
        assert_eq!(counts, [("listen", 2), ("temporary_table", 2)]);
    }

    #[test]
    fn causes_are_counted_beside_their_sessions() {
        let mut sheet = Sheet::default();
        sheet.add_of(None, PINNED, "listen", 5);
        sheet.add_of(None, PINNED, "temporary", 1);
        let cells = ["12", "local", "shop", "app", "0", "4711", "now"].map(str::to_owned);
        sheet.push([vec!["listen".to_owned()], cells.to_vec()].concat());
        let expected = [
            ["listen", "1", "5", "12", "local", "shop", "app", "0", "4711", "now"],
            ["temporary", "0", "1", "", "", "", "", "", "", ""],
        ];
        assert_eq!(rows(sheet), expected);
    }
}
