//! The parameters that a session has set, so that they can be set on its next connection.
//!
//! What is set inside a transaction counts when it commits. What cannot be followed any more pins
//! the session to its connection instead.

use crate::backend::applied::Setting;
use crate::limits;
use bytes::Bytes;

/// What a statement does to a parameter.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Change {
    /// It sets it.
    Set(Setting),
    /// It gives it back the value with which the connection began.
    Reset(Bytes),
    /// It does so to all.
    ResetAll,
}

impl Change {
    /// Reads what a statement does that sets the parameter `name`; none if it does not fit into a
    /// message.
    pub(super) fn of(name: &str, text: &[u8]) -> Option<Self> {
        let first = crate::route::from_first_word(text);
        let words = first.split(|byte| !byte.is_ascii_alphanumeric() && *byte != b'_');
        let mut words = words.filter(|word| !word.is_empty());
        let is_reset = words.next()?.eq_ignore_ascii_case(b"reset");
        if !is_reset && ends_with_default(first) {
            return Some(Self::Reset(Bytes::copy_from_slice(name.as_bytes())));
        }
        if !is_reset {
            return Setting::of_text(name, text).map(Self::Set);
        }
        if name == "all" {
            return Some(Self::ResetAll);
        }
        Some(Self::Reset(Bytes::copy_from_slice(name.as_bytes())))
    }
}

/// Tells whether a `SET` says `TO DEFAULT` or `= DEFAULT`, which is what `RESET` does.
fn ends_with_default(text: &[u8]) -> bool {
    let text = text.trim_ascii_end();
    let text = text.strip_suffix(b";").unwrap_or(text).trim_ascii_end();
    let Some((front, word)) = text.split_at_checked(text.len().saturating_sub(7)) else {
        return false;
    };
    let is_apart = front.last().is_some_and(|byte| byte.is_ascii_whitespace() || *byte == b'=');
    word.eq_ignore_ascii_case(b"default") && is_apart
}

/// The parameters that a session has set.
#[derive(Debug, Default)]
pub(super) struct Settings {
    /// Each once, in the order in which they were last set.
    kept: Vec<Setting>,
    len: usize,
    /// What the open transaction has done.
    tentative: Vec<Change>,
    track: Track,
}

/// Whether everything that was set is known.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Track {
    #[default]
    Kept,
    Lost,
}

impl Settings {
    /// Notes a change that has taken effect.
    pub(super) fn apply(&mut self, change: Change) {
        match change {
            Change::Set(setting) => {
                self.forget(&setting.name);
                if self.len + setting.query.len() > limits::SETTINGS_LEN_MAX {
                    self.lose_track();
                } else {
                    self.len += setting.query.len();
                    self.kept.push(setting);
                }
            }
            Change::Reset(name) => self.forget(&name),
            Change::ResetAll => self.clear(),
        }
    }

    /// Notes a change that the open transaction has made.
    pub(super) fn try_out(&mut self, change: Change) {
        if self.tentative.len() < limits::SETTINGS_PER_TRANSACTION_MAX {
            self.tentative.push(change);
        } else {
            self.lose_track();
        }
    }

    /// The transaction has ended: what it has set counts, or never was.
    pub(super) fn end_transaction(&mut self, has_committed: bool) {
        for change in std::mem::take(&mut self.tentative) {
            if has_committed {
                self.apply(change);
            }
        }
    }

    /// Part of the transaction has been rolled back.
    pub(super) fn roll_back_to_savepoint(&mut self) {
        if !self.tentative.is_empty() {
            self.lose_track();
        }
    }

    /// Tells whether the open transaction has set anything.
    pub(super) fn is_tentative(&self) -> bool {
        !self.tentative.is_empty()
    }

    /// Something was set of which it is not known what.
    pub(super) fn lose_track(&mut self) {
        self.track = Track::Lost;
    }

    /// Tells whether it is known what is set.
    pub(super) fn is_on_track(&self) -> bool {
        self.track == Track::Kept
    }

    /// Tells whether a parameter is known to be set.
    pub(super) fn has(&self, name: &[u8]) -> bool {
        self.kept.iter().any(|setting| setting.names().any(|known| known == name))
    }

    /// What is set.
    pub(super) fn kept(&self) -> &[Setting] {
        &self.kept
    }

    /// What the open transaction has set, one after the other.
    pub(super) fn tentative(&self) -> Vec<u8> {
        let part = |change: &Change| match change {
            Change::Set(setting) => setting.query.to_vec(),
            Change::Reset(name) => [&b"-"[..], name].concat(),
            Change::ResetAll => b"-".to_vec(),
        };
        self.tentative.iter().flat_map(part).collect()
    }

    pub(super) fn clear(&mut self) {
        *self = Self::default();
    }

    fn forget(&mut self, name: &[u8]) {
        let is_part =
            |setting: &Setting| setting.name != name && setting.names().any(|known| known == name);
        if self.kept.iter().any(is_part) {
            // The others that were set with it are not known one by one.
            self.lose_track();
        }
        self.kept.retain(|setting| setting.name != name);
        self.len = self.kept.iter().map(|setting| setting.query.len()).sum();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn change(name: &str, text: &str) -> Change {
        Change::of(name, text.as_bytes()).unwrap()
    }

    fn names(settings: &Settings) -> Vec<&[u8]> {
        settings.kept().iter().map(|setting| setting.name.as_ref()).collect()
    }

    #[test]
    fn the_last_value_of_a_parameter_counts() {
        let mut settings = Settings::default();
        settings.apply(change("a", "SET a TO 1"));
        settings.apply(change("b", "set b = 1"));
        settings.apply(change("a", "SET a TO 2"));
        assert_eq!(names(&settings), [b"b", b"a"]);
        settings.apply(change("b", " reset b"));
        assert_eq!(names(&settings), [b"a"]);
        settings.apply(change("all", "RESET ALL"));
        assert!(names(&settings).is_empty());
    }

    #[test]
    fn a_transaction_decides_at_its_end() {
        let mut settings = Settings::default();
        settings.try_out(change("a", "SET a TO 1"));
        assert!(settings.is_tentative());
        settings.end_transaction(false);
        assert!(names(&settings).is_empty());
        settings.try_out(change("a", "SET a TO 1"));
        settings.end_transaction(true);
        assert_eq!(names(&settings), [b"a"]);
        assert!(settings.is_on_track());
        settings.roll_back_to_savepoint();
        assert!(settings.is_on_track(), "nothing was set before the savepoint");
        settings.try_out(change("a", "SET a TO 2"));
        settings.roll_back_to_savepoint();
        assert!(!settings.is_on_track());
    }

    #[test]
    fn parameters_that_were_set_together_are_not_followed_one_by_one() {
        let mut settings = Settings::default();
        settings.apply(change("a,b", "SET SESSION CHARACTERISTICS ..."));
        assert!(settings.has(b"a") && settings.has(b"b") && !settings.has(b"a,b"));
        settings.apply(change("a,b", "SET SESSION CHARACTERISTICS ..."));
        assert!(settings.is_on_track());
        settings.apply(change("b", "RESET b"));
        assert!(!settings.is_on_track());
    }

    #[test]
    fn too_much_is_not_kept() {
        let mut settings = Settings::default();
        let long = "x".repeat(limits::SETTINGS_LEN_MAX / 2);
        settings.apply(change("a", &format!("SET a TO '{long}'")));
        settings.apply(change("a", &format!("SET a TO 'y{long}'")));
        assert!(settings.is_on_track(), "it replaces the other");
        settings.apply(change("b", &format!("SET b TO '{long}'")));
        assert!(!settings.is_on_track());
        settings.clear();
        assert!(settings.is_on_track());
    }
}
