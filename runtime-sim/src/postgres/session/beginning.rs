//! From the startup packet to the first `ReadyForQuery`, or to a refusal.

use pgherd_core::wire::{text, word};

use super::{Door, Rest, Session, Stage};
use crate::postgres::engine::Engine;
use crate::postgres::login::{self, Step};
use crate::postgres::value::SqlError;

impl Session {
    pub(super) fn on_startup(
        &mut self,
        engine: &mut Engine,
        chance: &mut dyn FnMut() -> [u8; 40],
    ) -> Option<Rest> {
        let (Some(len), Some(code)) = (word(&self.inbox, 0), word(&self.inbox, 4)) else {
            return Some(Rest::Listening);
        };
        let len = len as usize;
        if !(8..=10_000).contains(&len) {
            self.end(engine);
            return None;
        }
        let Some(packet) = self.inbox.get(..len).map(<[u8]>::to_vec) else {
            return Some(Rest::Listening);
        };
        self.inbox.drain(..len);
        self.note_whose(0, len);
        let rest = packet.get(8..).unwrap_or_default();
        match code {
            80_877_103 | 80_877_104 => {
                self.out.raw(b"N");
                return None;
            }
            80_877_102 => {
                self.end(engine);
                let process = word(rest, 0).unwrap_or(0);
                let secret = rest.get(4..).unwrap_or_default().to_vec();
                return Some(Rest::Cancel { process, secret });
            }
            code if code >> 16 != 3 => {
                let error = SqlError::new("0A000", "unsupported frontend protocol");
                self.fatal(engine, &error);
                return None;
            }
            _ => {}
        }
        if let Err(error) = self.begin(rest) {
            self.fatal(engine, &error);
            return None;
        }
        match login::ask(self.accounts.auth, chance(), &mut self.out) {
            Some(proof) => self.stage = Stage::Login(proof),
            None if !engine.users.contains_key(&self.context.user) => {
                let what = format!("role \"{}\" does not exist", self.context.user);
                self.fatal(engine, &SqlError::new("28000", what));
            }
            None => self.welcome(engine),
        }
        None
    }

    /// Reads the startup packet's parameters.
    fn begin(&mut self, mut rest: &[u8]) -> Result<(), SqlError> {
        match self.door {
            Door::Open => {}
            Door::StartingUp => {
                return Err(SqlError::new("57P03", "the database system is starting up"));
            }
            Door::Full => return Err(SqlError::new("53300", "sorry, too many clients already")),
            Door::NoDisk => return Err(SqlError::new("53100", "No space left on device")),
        }
        let layout = || SqlError::new("08P01", "invalid startup packet layout");
        while rest != [0] {
            let (name, after) = text(rest).ok_or_else(layout)?;
            let (value, after) = text(after).ok_or_else(layout)?;
            rest = after;
            let value = String::from_utf8_lossy(value).into_owned();
            match name {
                b"user" => self.context.user = value,
                b"database" => self.context.own.database = value,
                b"options" => self.options(&value)?,
                b"replication" => return Err(SqlError::unsupported("replication")),
                name => {
                    let name = String::from_utf8_lossy(name);
                    if !name.starts_with("_pq_.") {
                        self.context.settings.begin(&name, &value)?;
                    }
                }
            }
        }
        if self.context.user.is_empty() {
            let what = "no PostgreSQL user name specified in startup packet";
            return Err(SqlError::new("28000", what));
        }
        if self.context.own.database.is_empty() {
            self.context.own.database = self.context.user.clone();
        }
        Ok(())
    }

    /// Reads `-c name=value` options.
    fn options(&mut self, options: &str) -> Result<(), SqlError> {
        for option in options.split_whitespace() {
            let pair = option.trim_start_matches("--").trim_start_matches("-c");
            if let Some((name, value)) = pair.split_once('=') {
                self.context.settings.begin(name, value)?;
            }
        }
        Ok(())
    }

    pub(super) fn on_login(&mut self, engine: &mut Engine) -> Option<Rest> {
        let Some((tag, body)) = self.message() else { return Some(Rest::Listening) };
        let Stage::Login(proof) = std::mem::replace(&mut self.stage, Stage::Startup) else {
            return None;
        };
        if tag != b'p' {
            // A client that finds it has no password just leaves.
            self.end(engine);
            return None;
        }
        let user = self.context.user.clone();
        let password = engine.users.get(&user).map(String::as_str);
        match login::answer(proof, &user, password, &body, &mut self.out) {
            Ok(Step::Proved) => self.welcome(engine),
            Ok(Step::Further(proof)) => self.stage = Stage::Login(proof),
            Err(error) => self.fatal(engine, &error),
        }
        None
    }

    /// Ends a login that has succeeded.
    fn welcome(&mut self, engine: &mut Engine) {
        let Some(schema) = engine.database(&self.context.own.database) else {
            let what = format!("database \"{}\" does not exist", self.context.own.database);
            self.out.authentication(0, b"");
            return self.fatal(engine, &SqlError::new("3D000", what));
        };
        if let Some(role) = schema.roles.get(&self.context.user) {
            self.context.settings.force("role", role);
        }
        self.out.authentication(0, b"");
        let superuser = if self.context.user == "postgres" { "on" } else { "off" };
        let standby = if engine.is_standby() { "on" } else { "off" };
        let user = self.context.user.clone();
        self.context.settings.force("is_superuser", superuser);
        self.context.settings.force("session_authorization", &user);
        self.context.settings.force("in_hot_standby", standby);
        self.tell_settings();
        let (process, secret) = (self.context.process, self.secret);
        self.out.message(b'K', |body| {
            body.extend_from_slice(&process.to_be_bytes());
            body.extend_from_slice(&secret);
        });
        self.stage = Stage::Ready;
        let name = self.context.settings.show("application_name").unwrap_or_default();
        engine.activity.insert(process, [user, self.context.own.database.clone(), name]);
        self.ready();
    }
}
