//! Statements of a query string and of portals, one after the other, and how they end.

use pgherd_core::time::Instant;

use super::{Cancelled, Rest, Script, Session, Skipping, Then, Work};
use crate::postgres::context::Block;
use crate::postgres::engine::Engine;
use crate::postgres::execute::{Outcome, aborted, copied, execute};
use crate::postgres::row_set::RowSet;
use crate::postgres::syntax::Statement;
use crate::postgres::value::{Format, SqlError, Value};

impl Session {
    /// Runs the next statement of a query string.
    pub(super) fn on_script(
        &mut self,
        mut script: Script,
        engine: &mut Engine,
        now: Instant,
    ) -> Option<Rest> {
        let Some(statement) = script.statements.pop_front() else {
            self.finish_implicit(engine);
            self.ready();
            return None;
        };
        match execute(&statement, &[], &mut self.context, engine) {
            Ok(outcome) => {
                self.context.settle();
                self.tell_notices();
                self.on_outcome(outcome, Vec::new(), u64::MAX, Then::Script(script));
                None
            }
            Err(stop) => {
                script.statements.push_front(statement);
                self.stop(stop, Work::Script(script), engine, now)
            }
        }
    }

    /// Says what a statement gave, or begins to.
    pub(super) fn on_outcome(
        &mut self,
        outcome: Outcome,
        formats: Vec<Format>,
        limit: u64,
        then: Then,
    ) {
        match outcome {
            Outcome::Empty => {
                self.out.message(b'I', |_| ());
                self.then(then);
            }
            Outcome::Done(tag) => {
                self.out.texts(b'C', &[&tag]);
                self.then(then);
            }
            Outcome::Rows(rows, verb) => {
                if matches!(then, Then::Script(_)) {
                    self.out.row_description(&rows.header, &formats);
                }
                self.work = Work::Stream { rows, formats, verb, sent: 0, limit, then };
            }
            Outcome::CopyOut(rows) => {
                self.out.copy_response(b'H', rows.header.len());
                self.work = Work::CopyOut { rows, sent: 0, then };
            }
            Outcome::CopyIn { table, columns, count } => {
                self.out.copy_response(b'G', count);
                self.out.flush();
                self.work = Work::CopyIn { table, columns, data: Vec::new(), then };
            }
        }
    }

    pub(super) fn then(&mut self, then: Then) {
        self.work = match then {
            Then::Script(script) => Work::Script(script),
            Then::Portal(_) => Work::Idle,
        };
    }

    pub(super) fn tell_notices(&mut self) {
        for (severity, code, what) in std::mem::take(&mut self.context.notices) {
            self.out.report(b'N', severity, code, &what);
        }
    }

    #[expect(clippy::too_many_arguments, reason = "they are the fields of `Work::Stream`")]
    pub(super) fn on_stream(
        &mut self,
        mut rows: RowSet,
        formats: Vec<Format>,
        verb: &'static str,
        mut sent: u64,
        limit: u64,
        then: Then,
        engine: &mut Engine,
    ) {
        while !self.out.is_full() && sent < limit {
            match rows.next() {
                Some(Ok(row)) => {
                    sent += 1;
                    self.out.data_row(&rows.header, &formats, &row);
                }
                Some(Err(error)) => {
                    self.then(then);
                    return self.fail(&error, engine);
                }
                None => {
                    let counted = !matches!(verb, "SHOW" | "EXPLAIN");
                    let tag = if counted { format!("{verb} {sent}") } else { verb.to_owned() };
                    self.out.texts(b'C', &[&tag]);
                    return self.then(then);
                }
            }
        }
        match then {
            Then::Portal(ref name) if sent >= limit => {
                self.suspend(name, rows, verb);
                self.out.message(b's', |_| ());
            }
            Then::Portal(_) | Then::Script(_) => {
                self.work = Work::Stream { rows, formats, verb, sent, limit, then };
            }
        }
    }

    pub(super) fn on_copy_out(
        &mut self,
        mut rows: RowSet,
        mut sent: u64,
        then: Then,
        engine: &mut Engine,
    ) {
        while !self.out.is_full() {
            match rows.next() {
                Some(Ok(row)) => {
                    sent += 1;
                    let fields: Vec<_> = row.iter().map(copy_field).collect();
                    let line = fields.join("\t") + "\n";
                    self.out.message(b'd', |body| body.extend_from_slice(line.as_bytes()));
                }
                Some(Err(error)) => {
                    self.then(then);
                    return self.fail(&error, engine);
                }
                None => {
                    self.out.message(b'c', |_| ());
                    self.out.texts(b'C', &[&format!("COPY {sent}")]);
                    return self.then(then);
                }
            }
        }
        self.work = Work::CopyOut { rows, sent, then };
    }

    pub(super) fn on_copy_in(
        &mut self,
        table: String,
        columns: Vec<String>,
        mut data: Vec<u8>,
        then: Then,
        engine: &mut Engine,
    ) -> Option<Rest> {
        let Some((tag, body)) = self.message() else {
            self.work = Work::CopyIn { table, columns, data, then };
            return Some(Rest::Listening);
        };
        match tag {
            b'd' => {
                data.extend_from_slice(&body);
                self.work = Work::CopyIn { table, columns, data, then };
            }
            // PostgreSQL docs, "COPY Operations": Flush and Sync are ignored during copy-in.
            b'H' | b'S' => self.work = Work::CopyIn { table, columns, data, then },
            b'c' => match copied(&table, &columns, &data, &mut self.context, engine) {
                Ok(tag) => {
                    self.out.texts(b'C', &[&tag]);
                    self.then(then);
                }
                Err(crate::postgres::execute::Stop::Error(error)) => {
                    self.then(then);
                    self.fail(&error, engine);
                }
                Err(_) => self.then(then),
            },
            b'X' => self.end(engine),
            b'f' => {
                let why = String::from_utf8_lossy(body.strip_suffix(b"\0").unwrap_or(&body));
                let what = format!("COPY from stdin failed: {why}");
                self.then(then);
                self.fail(&SqlError::new("57014", what), engine);
            }
            _ => {
                let what = format!("unexpected message type {tag} during COPY from stdin");
                self.then(then);
                self.fail(&SqlError::new("08P01", what), engine);
            }
        }
        None
    }

    /// Says that a statement failed, and what follows from it.
    pub(super) fn fail(&mut self, error: &SqlError, engine: &mut Engine) {
        self.tell_notices();
        self.out.report(b'E', "ERROR", error.code, &error.message);
        self.context.settle();
        self.sleep_until = None;
        self.cancelled = Cancelled::No;
        match self.context.block {
            Block::Open | Block::Failed => self.context.block = Block::Failed,
            Block::None | Block::Implicit => self.context.roll_back(engine),
        }
        self.portals.clear();
        let then = match std::mem::replace(&mut self.work, Work::Idle) {
            Work::Idle | Work::Portal { .. } => None,
            Work::Script(_) => Some(()),
            Work::Stream { then, .. } | Work::CopyOut { then, .. } | Work::CopyIn { then, .. } => {
                match then {
                    Then::Script(_) => Some(()),
                    Then::Portal(_) => None,
                }
            }
        };
        match then {
            // The rest of the query string is not run.
            Some(()) => self.ready(),
            None => self.skipping = Skipping::UntilSync,
        }
    }

    /// Ends the transaction that a query string or a pipeline has begun.
    pub(super) fn finish_implicit(&mut self, engine: &mut Engine) {
        if self.context.block == Block::Implicit {
            self.context.commit(engine);
        }
        self.close_portals();
    }

    /// Portals end with their transaction.
    pub(super) fn close_portals(&mut self) {
        if self.context.block == Block::None {
            self.portals.clear();
        }
    }

    /// Tells whether a statement may run where the session is.
    pub(super) fn check_block(&self, statement: &Statement) -> Result<(), SqlError> {
        if self.context.block == Block::Failed && !statement.ends_transaction() {
            return Err(aborted());
        }
        Ok(())
    }
}

fn copy_field(value: &Value) -> String {
    if *value == Value::Null {
        return "\\N".to_owned();
    }
    let text = value.to_string().replace('\\', "\\\\");
    text.replace('\t', "\\t").replace('\n', "\\n")
}
