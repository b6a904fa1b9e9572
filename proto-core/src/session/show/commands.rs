//! `SHOW pool_status` and `PGPOOL SHOW`, `SET` and `RESET`.

use super::Reply;
use super::columns::{GROUPS, Target, target};
use crate::admin::settings;
use crate::config::parameters::{self, Context, Effect, Found, Parameter};
use crate::config::{Override, Shown};
use crate::session::Session;
use crate::session::desk::Desk;
use crate::session::overrides::EFFECTIVE;
use crate::session::refusal::{Refusal, told};

impl Session {
    /// The rows of `SHOW pool_status`: what is in effect for this session.
    pub(super) fn status_rows(&self, desk: &Desk) -> Vec<Vec<String>> {
        let rows = settings::rows(&desk.config, &desk.topology, |shown| self.of_session(shown));
        rows.into_iter().map(Vec::from).collect()
    }

    /// What is shown of a parameter: the session's own value, if it has set one.
    fn of_session<'a>(&'a self, shown: &'a Shown) -> &'a Shown {
        self.overrides.get(&shown.name).map_or(shown, |own| &own.shown)
    }

    /// The answer to `PGPOOL SHOW` of a name.
    pub(super) fn show_parameter(&self, desk: &Desk, name: &str) -> Result<Reply, Box<Refusal>> {
        let missing = || Box::new(Refusal::NoParameter { name: name.into() });
        let rows = match target(name) {
            Target::Unknown => return Err(missing()),
            Target::One => {
                let shown = desk.config.shown(true_name(name)).ok_or_else(missing)?;
                vec![vec![self.of_session(shown).words.clone()]]
            }
            Target::Many(members, single) => {
                let names: Vec<&str> = members.iter().copied().chain(single).collect();
                self.group(desk, &names)
            }
        };
        Ok(Reply::rows(rows))
    }

    /// Some parameters: the values for all nodes first, then node by node.
    fn group(&self, desk: &Desk, names: &[&str]) -> Vec<Vec<String>> {
        let shown = &desk.config.shown;
        let mut members: Vec<&Shown> =
            shown.iter().filter(|shown| names.contains(&shown.parameter.name)).collect();
        let place = |shown: &&Shown| names.iter().position(|name| *name == shown.parameter.name);
        members.sort_by_key(|shown| (shown.node, place(shown)));
        members.into_iter().map(|shown| item(self.of_session(shown))).collect()
    }

    /// The rows of `PGPOOL SHOW ALL`: the groups, then the others, the longest names first.
    pub(super) fn show_all(&self, desk: &Desk) -> Vec<Vec<String>> {
        let mut rows: Vec<Vec<String>> =
            GROUPS.iter().flat_map(|(_, members)| self.group(desk, members)).collect();
        let is_grouped =
            |shown: &&Shown| GROUPS.iter().any(|(_, m)| m.contains(&shown.parameter.name));
        let mut others: Vec<&Shown> =
            desk.config.shown.iter().filter(|shown| !is_grouped(shown)).collect();
        others.sort_by_key(|shown| std::cmp::Reverse(shown.name.len()));
        rows.extend(others.into_iter().map(|shown| item(self.of_session(shown))));
        rows
    }

    /// Carries out `PGPOOL SET`.
    pub(super) fn set_parameter(
        &mut self,
        desk: &mut Desk,
        name: &str,
        value: &str,
    ) -> Result<Reply, Box<Refusal>> {
        let parameter = settable(name)?;
        let value = Override::read(parameter, value).map_err(|why| {
            let (name, value, why) = (name.into(), value.into(), why.into());
            Box::new(Refusal::UnfitValue { name, value, why })
        })?;
        self.overrides.set(value);
        // The idle limit may be another one now.
        self.stop_waiting(desk);
        let warning = (!EFFECTIVE.contains(&parameter.name)).then(|| {
            told("01000", format!("\"{}\" has no effect on a session", parameter.name))
                .hint("See \"PGPOOL SET\" in pgherd's documentation.")
        });
        Ok(Reply::Done { tag: "SET", warning })
    }

    /// Carries out `PGPOOL RESET` of a name, whose tag is that of `SET` in Pgpool-II too.
    pub(super) fn reset_parameter(
        &mut self,
        desk: &mut Desk,
        name: &str,
    ) -> Result<Reply, Box<Refusal>> {
        self.overrides.reset(settable(name)?.name);
        self.stop_waiting(desk);
        Ok(Reply::done("SET"))
    }
}

/// The answer to `PGPOOL SET CACHE DELETE`, as long as there is no cache.
pub(super) fn nothing_cached() -> Reply {
    let warning = Some(told("01000", "query cache is not enabled"));
    Reply::Done { tag: "SET", warning }
}

/// The parameter that a session may set by this name.
fn settable(name: &str) -> Result<&'static Parameter, Box<Refusal>> {
    match parameters::find(name) {
        Found::Known(parameter, None) if parameter.context == Context::Session => Ok(parameter),
        Found::Known(..) | Found::NumberMissing(_) => {
            Err(Box::new(Refusal::NotInSession { name: name.into() }))
        }
        Found::NumberTooBig(..) | Found::Obsolete(..) | Found::Unknown => {
            Err(Box::new(Refusal::NoParameter { name: name.into() }))
        }
    }
}

/// Returns the name of today for an older one.
fn true_name(name: &str) -> &str {
    match parameters::by_name(name).map(|parameter| parameter.effect) {
        Some(Effect::Alias(today)) => today,
        Some(
            Effect::InEffect
            | Effect::NotYet
            | Effect::Dead(_)
            | Effect::Refused(_)
            | Effect::RefusedOrDead(..),
        )
        | None => name,
    }
}

fn item(shown: &Shown) -> Vec<String> {
    vec![shown.name.clone(), shown.words.clone(), shown.about()]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_parameters_of_sessions_can_be_set() {
        let verdict = |name: &str| match settable(name) {
            Ok(parameter) => parameter.name.to_owned(),
            Err(refusal) => refusal.tell().message.into_owned(),
        };
        let cases = [
            ("client_idle_limit", "client_idle_limit"),
            ("allow_sql_comments", "allow_sql_comments"),
            ("port", "invalid Context, value for parameter \"port\" cannot be changed"),
            (
                "backend_port0",
                "invalid Context, value for parameter \"backend_port0\" cannot be changed",
            ),
            (
                "backend_port",
                "invalid Context, value for parameter \"backend_port\" cannot be changed",
            ),
            ("fax_number", "config variable \"fax_number\" not found"),
        ];
        for (name, expected) in cases {
            assert_eq!(verdict(name), expected, "{name}");
        }
        for name in EFFECTIVE {
            assert_eq!(verdict(name), name, "what has an effect can be set");
        }
        assert_eq!(true_name("delegate_IP"), "delegate_ip");
        assert_eq!(true_name("port"), "port");
    }
}
