//! What sessions know of who they are, shared by those that began in the same words: a crowd that
//! comes from one program has one startup packet, not thousands.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::Who;
use crate::limits;
use crate::wire::startup::{Params, VERSION_3_0};

/// Who has logged in, by startup packet.
#[derive(Debug)]
pub(super) struct Regulars {
    known: BTreeMap<Arc<Params>, Arc<Who>>,
    stranger: Arc<Who>,
}

impl Default for Regulars {
    fn default() -> Self {
        let stranger = Who { version: VERSION_3_0, ..Who::default() };
        Self { known: BTreeMap::new(), stranger: Arc::new(stranger) }
    }
}

impl Regulars {
    /// Returns what is known of whoever has yet to say who it is.
    pub(super) fn stranger(&self) -> Arc<Who> {
        self.stranger.clone()
    }

    /// Returns what is known of others who began in the same words, or remembers this one.
    pub(super) fn meet(&mut self, who: Arc<Who>) -> Arc<Who> {
        match self.known.get(&who.startup) {
            Some(known) if known.mode == who.mode && known.version == who.version => known.clone(),
            Some(_) | None => {
                if self.known.len() >= limits::GREETINGS_MAX {
                    self.known.pop_first();
                }
                self.known.insert(who.startup.clone(), who.clone());
                who
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::PoolMode;
    use bytes::Bytes;

    fn who(application: &str, mode: PoolMode) -> Arc<Who> {
        let pair = |name: &'static str, value: &str| {
            (Bytes::from_static(name.as_bytes()), Bytes::copy_from_slice(value.as_bytes()))
        };
        let startup = Params(vec![pair("user", "a"), pair("application_name", application)]);
        Arc::new(Who { startup: Arc::new(startup), mode, ..Who::default() })
    }

    #[test]
    fn equal_words_are_kept_once() {
        let mut regulars = Regulars::default();
        let first = regulars.meet(who("psql", PoolMode::Transaction));
        let cases = [
            ("the same words", who("psql", PoolMode::Transaction), true),
            ("other words", who("app", PoolMode::Transaction), false),
            ("pooled in another way", who("psql", PoolMode::Session), false),
        ];
        for (name, who, is_shared) in cases {
            let mode = who.mode;
            let met = regulars.meet(who);
            assert_eq!(Arc::ptr_eq(&met, &first), is_shared, "{name}");
            assert_eq!(met.mode, mode, "{name}");
        }
        for n in 0..=limits::GREETINGS_MAX {
            regulars.meet(who(&n.to_string(), PoolMode::Session));
            assert!(regulars.known.len() <= limits::GREETINGS_MAX);
        }
    }
}
