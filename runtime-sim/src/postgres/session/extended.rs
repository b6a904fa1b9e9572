//! The extended query protocol: `Parse`, `Bind`, `Describe`, `Execute`, `Close`.

use pgherd_core::time::Instant;
use pgherd_core::wire::{text, word};

use super::{Rest, Session, Then, Work};
use crate::postgres::context::{Company, Origin, Prepared};
use crate::postgres::engine::Engine;
use crate::postgres::execute::{check_logged, describe, execute, infer};
use crate::postgres::parse::parse;
use crate::postgres::row_set::RowSet;
use crate::postgres::syntax::Statement;
use crate::postgres::value::{Format, SqlError, Type, Value};

/// A statement with its parameters.
#[derive(Debug)]
pub(super) struct Portal {
    prepared: Prepared,
    params: Vec<Value>,
    formats: Vec<Format>,
    progress: Progress,
    /// Whether it is a query: such a portal may be run again, and is at its end then.
    has_rows: bool,
}

#[derive(Debug)]
enum Progress {
    Fresh,
    /// The client has taken some of the rows.
    Suspended(RowSet, &'static str),
    Done,
}

fn malformed() -> SqlError {
    SqlError::new("08P01", "invalid message format")
}

/// Reads a message's body.
struct Body<'a>(&'a [u8]);

impl<'a> Body<'a> {
    fn text(&mut self) -> Result<String, SqlError> {
        let (found, rest) = text(self.0).ok_or_else(malformed)?;
        self.0 = rest;
        Ok(String::from_utf8_lossy(found).into_owned())
    }

    fn take(&mut self, len: usize) -> Result<&'a [u8], SqlError> {
        let (taken, rest) = self.0.split_at_checked(len).ok_or_else(malformed)?;
        self.0 = rest;
        Ok(taken)
    }

    fn short(&mut self) -> Result<u16, SqlError> {
        let bytes = self.take(2)?;
        bytes.try_into().map(u16::from_be_bytes).map_err(|_| malformed())
    }

    fn word(&mut self) -> Result<u32, SqlError> {
        word(self.take(4)?, 0).ok_or_else(malformed)
    }

    fn formats(&mut self) -> Result<Vec<Format>, SqlError> {
        let count = self.short()?;
        let format = |code| if code == 1 { Format::Binary } else { Format::Text };
        (0..count).map(|_| self.short().map(format)).collect()
    }
}

impl Session {
    pub(super) fn on_extended(
        &mut self,
        tag: u8,
        body: &[u8],
        engine: &mut Engine,
    ) -> Result<(), SqlError> {
        let body = Body(body);
        match tag {
            b'P' => self.on_parse(body, engine),
            b'B' => self.on_bind(body, engine),
            b'D' => self.on_describe(body, engine),
            b'E' => self.on_execute(body),
            b'C' => self.on_close(body),
            _ => {
                self.out.flush();
                Ok(())
            }
        }
    }

    fn on_parse(&mut self, mut body: Body<'_>, engine: &mut Engine) -> Result<(), SqlError> {
        let (name, sql) = (body.text()?, body.text()?);
        if name.is_empty() {
            // PostgreSQL forgets the unnamed statement even if the new one is wrong.
            self.context.prepared.remove("");
        }
        let count = body.short()?;
        let oids: Result<Vec<u32>, _> = (0..count).map(|_| body.word()).collect();
        let mut statements = parse(&sql)?;
        if statements.len() > 1 {
            let what = "cannot insert multiple commands into a prepared statement";
            return Err(SqlError::new("42601", what));
        }
        let statement = statements.pop().unwrap_or(Statement::Empty);
        self.check_block(&statement)?;
        self.context.enter(engine);
        let mut types = infer(&statement, &[], &self.context, engine);
        for (oid, at) in oids?.into_iter().zip(0..) {
            let declared = Type::from_oid(oid);
            match types.get_mut(at) {
                Some(ty) => *ty = declared.unwrap_or(*ty),
                None => types.push(declared.unwrap_or(Type::Text)),
            }
        }
        // A table that does not exist is found out here, not when the statement runs.
        describe(&statement, &types, &self.context, engine)?;
        if !name.is_empty() && self.context.prepared.contains_key(&name) {
            let what = format!("prepared statement \"{name}\" already exists");
            return Err(SqlError::new("42P05", what));
        }
        let prepared = Prepared { statement, types, origin: Origin::Protocol };
        self.context.prepared.insert(name, prepared);
        self.out.message(b'1', |_| ());
        Ok(())
    }

    fn on_bind(&mut self, mut body: Body<'_>, engine: &Engine) -> Result<(), SqlError> {
        let (portal, name) = (body.text()?, body.text()?);
        let prepared = self.prepared(&name)?;
        self.check_block(&prepared.statement)?;
        let given = body.formats()?;
        let count = usize::from(body.short()?);
        if count != prepared.types.len() {
            let what = format!(
                "bind message supplies {count} parameters, but prepared statement \"{name}\" \
                 requires {}",
                prepared.types.len()
            );
            return Err(SqlError::new("08P01", what));
        }
        let mut params = Vec::new();
        for (ty, at) in prepared.types.iter().zip(0..) {
            let len = body.word()?;
            if len == u32::MAX {
                params.push(Value::Null);
                continue;
            }
            let format = match given.as_slice() {
                [one] => *one,
                many => many.get(at).copied().unwrap_or_default(),
            };
            params.push(ty.read(format, body.take(len as usize)?)?);
        }
        let formats = body.formats()?;
        if !portal.is_empty() && self.portals.contains_key(&portal) {
            let what = format!("cursor \"{portal}\" already exists");
            return Err(SqlError::new("42P03", what));
        }
        self.context.enter(engine);
        // What the statement is about may have gone, or may be what a standby does not have.
        describe(&prepared.statement, &prepared.types, &self.context, engine)?;
        check_logged(&prepared.statement, &self.context, engine)?;
        let has_rows = matches!(prepared.statement, Statement::Select(_));
        let fresh = Portal { prepared, params, formats, progress: Progress::Fresh, has_rows };
        self.portals.insert(portal, fresh);
        self.out.message(b'2', |_| ());
        Ok(())
    }

    fn prepared(&self, name: &str) -> Result<Prepared, SqlError> {
        let what = || {
            let what = if name.is_empty() {
                "unnamed prepared statement does not exist".to_owned()
            } else {
                format!("prepared statement \"{name}\" does not exist")
            };
            SqlError::new("26000", what)
        };
        self.context.prepared.get(name).cloned().ok_or_else(what)
    }

    fn on_describe(&mut self, mut body: Body<'_>, engine: &mut Engine) -> Result<(), SqlError> {
        let kind = body.take(1)?;
        let name = body.text()?;
        let (prepared, formats) = if kind == b"S" {
            let prepared = self.prepared(&name)?;
            let types = prepared.types.clone();
            self.out.message(b't', |body| {
                let count = u16::try_from(types.len()).unwrap_or(u16::MAX);
                body.extend_from_slice(&count.to_be_bytes());
                for ty in types {
                    body.extend_from_slice(&ty.oid().to_be_bytes());
                }
            });
            (prepared, Vec::new())
        } else {
            let portal = self.portals.get(&name).ok_or_else(|| no_portal(&name))?;
            (portal.prepared.clone(), portal.formats.clone())
        };
        match describe(&prepared.statement, &prepared.types, &self.context, engine)? {
            Some(header) => self.out.row_description(&header, &formats),
            None => self.out.message(b'n', |_| ()),
        }
        Ok(())
    }

    fn on_execute(&mut self, mut body: Body<'_>) -> Result<(), SqlError> {
        let name = body.text()?;
        let limit = match body.word()? {
            0 => u64::MAX,
            limit => u64::from(limit),
        };
        if !self.portals.contains_key(&name) {
            return Err(no_portal(&name));
        }
        self.work = Work::Portal { name, limit };
        Ok(())
    }

    /// Runs a portal, or runs it further.
    pub(super) fn on_portal(
        &mut self,
        name: &str,
        limit: u64,
        engine: &mut Engine,
        now: Instant,
    ) -> Option<Rest> {
        let portal = self.portals.get_mut(name)?;
        let formats = portal.formats.clone();
        let then = Then::Portal(name.to_owned());
        match std::mem::replace(&mut portal.progress, Progress::Done) {
            Progress::Done if portal.has_rows => {
                self.out.texts(b'C', &["SELECT 0"]);
                None
            }
            Progress::Done => {
                let what = format!("portal \"{name}\" cannot be run");
                self.fail(&SqlError::new("55000", what), engine);
                None
            }
            Progress::Suspended(rows, verb) => {
                self.work = Work::Stream { rows, formats, verb, sent: 0, limit, then };
                None
            }
            Progress::Fresh => {
                let (prepared, params) = (portal.prepared.clone(), portal.params.clone());
                let statement = &prepared.statement;
                match execute(statement, &params, &mut self.context, engine) {
                    Ok(outcome) => {
                        self.context.settle();
                        self.context.company = Company::Pipeline;
                        self.tell_notices();
                        self.on_outcome(outcome, formats, limit, then);
                        self.close_portals();
                        None
                    }
                    Err(stop) => {
                        if let Some(portal) = self.portals.get_mut(name) {
                            portal.progress = Progress::Fresh;
                        }
                        let work = Work::Portal { name: name.to_owned(), limit };
                        self.stop(stop, work, engine, now)
                    }
                }
            }
        }
    }

    /// Keeps the rows that the client has not asked for yet.
    pub(super) fn suspend(&mut self, name: &str, rows: RowSet, verb: &'static str) {
        if let Some(portal) = self.portals.get_mut(name) {
            portal.progress = Progress::Suspended(rows, verb);
        }
    }

    fn on_close(&mut self, mut body: Body<'_>) -> Result<(), SqlError> {
        let kind = body.take(1)?;
        let name = body.text()?;
        if kind == b"S" {
            self.context.prepared.remove(&name);
        } else {
            self.portals.remove(&name);
        }
        self.out.message(b'3', |_| ());
        Ok(())
    }
}

fn no_portal(name: &str) -> SqlError {
    SqlError::new("34000", format!("portal \"{name}\" does not exist"))
}
