//! What a client hears when it has logged in, remembered where connections are shared: a crowd of
//! clients that logs in needs no connections to servers before it has something to do there.

use std::collections::BTreeMap;
use std::sync::Arc;

use bytes::Bytes;

use crate::config::Method;
use crate::limits;
use crate::time::Instant;
use crate::wire::startup::Params;

/// What servers answered to a client that asked for the same.
#[derive(Debug)]
pub struct Greeting {
    /// How they wanted to know who it is.
    pub method: Method,
    /// The parameters that they reported.
    pub parameters: Vec<(Bytes, Bytes)>,
    since: Instant,
}

/// Greetings by what was asked for, the name of the application left out.
#[derive(Debug, Default)]
pub struct Greetings {
    known: BTreeMap<Params, Arc<Greeting>>,
}

impl Greetings {
    /// Finds the greeting for a client, if it is not too old.
    #[must_use]
    pub fn find(&self, startup: &Params, now: Instant) -> Option<Arc<Greeting>> {
        let greeting = self.known.get(&startup.nameless())?;
        (now < greeting.since + limits::GREETING_AGE_MAX).then(|| greeting.clone())
    }

    /// Remembers what a server has answered.
    pub fn keep(
        &mut self,
        startup: &Params,
        method: Method,
        parameters: Vec<(Bytes, Bytes)>,
        now: Instant,
    ) -> Arc<Greeting> {
        if self.known.len() >= limits::GREETINGS_MAX {
            self.known.retain(|_, greeting| now < greeting.since + limits::GREETING_AGE_MAX);
        }
        if self.known.len() >= limits::GREETINGS_MAX {
            self.known.pop_first();
        }
        let greeting = Arc::new(Greeting { method, parameters, since: now });
        self.known.insert(startup.nameless(), greeting.clone());
        greeting
    }

    /// Forgets all.
    pub fn clear(&mut self) {
        self.known.clear();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn params(pairs: &[(&str, &str)]) -> Params {
        let bytes = |text: &str| Bytes::copy_from_slice(text.as_bytes());
        Params(pairs.iter().map(|(name, value)| (bytes(name), bytes(value))).collect())
    }

    #[test]
    fn who_asks_for_the_same_hears_the_same_for_a_while() {
        let mut greetings = Greetings::default();
        let now = Instant::from_micros(0);
        let psql = params(&[("user", "a"), ("application_name", "psql")]);
        let app = params(&[("user", "a"), ("application_name", "app")]);
        let other = params(&[("user", "b")]);
        greetings.keep(&psql, Method::Scram, Vec::new(), now);
        assert!(greetings.find(&app, now).is_some());
        assert!(greetings.find(&other, now).is_none());
        assert!(greetings.find(&app, now + limits::GREETING_AGE_MAX).is_none());
        for user in 0..=limits::GREETINGS_MAX {
            let user = user.to_string();
            greetings.keep(&params(&[("user", &user)]), Method::Trust, Vec::new(), now);
            assert!(greetings.known.len() <= limits::GREETINGS_MAX);
        }
    }
}
