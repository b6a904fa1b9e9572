//! Statements that pgherd answers itself, in both protocols: questions about itself, and the end of
//! a transaction that was lost with its server. What it answers is the business of `show`.

use std::collections::BTreeMap;
use std::sync::Arc;

use bytes::Bytes;

use super::desk::Desk;
use super::refusal::{Refusal, told};
use super::serve::Incoming;
use super::show::{Question, Reply};
use super::{Limbo, Session, Taken, Turn, Wait};
use crate::limits;
use crate::route::class::Kind;
use crate::wire::backend::{Composer, TxStatus, tag as reply};
use crate::wire::error::Violation;
use crate::wire::frontend::{self, Subject, tag};

/// What pgherd carries out itself.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Local {
    Question(Arc<Question>),
    Rollback,
}

/// A batch of the extended protocol that pgherd answers.
#[derive(Debug, Default)]
pub(super) struct Batch {
    statements: BTreeMap<Bytes, Local>,
    portals: BTreeMap<Bytes, Local>,
}

impl Local {
    fn columns(&self) -> Option<Vec<String>> {
        match self {
            Self::Question(question) => question.columns(),
            Self::Rollback => None,
        }
    }

    fn len(&self) -> usize {
        match self {
            Self::Question(question) => question.len(),
            Self::Rollback => 0,
        }
    }
}

impl Session {
    /// Answers a `Query` that asks pgherd.
    pub(super) fn query_pgherd(
        &mut self,
        desk: &mut Desk,
        message: Incoming<'_>,
        question: &Question,
    ) -> Taken {
        if self.must_settle(desk) {
            return Taken::Nothing;
        }
        let status = self.status(desk);
        let answer = match status {
            TxStatus::Failed => Some(Err(Refusal::Aborted)),
            TxStatus::Idle | TxStatus::Open => self.reply_to(desk, question),
        };
        match answer {
            Some(Ok(reply)) => {
                let mut composer = Composer::new();
                put_columns(&mut composer, question.columns());
                put_reply(&mut composer, &reply);
                composer.ready(status);
                self.say(desk, composer);
                self.turn = Turn::None;
                self.take_nowhere(desk, message)
            }
            Some(Err(refusal)) => self.refuse_query(desk, message, &refusal),
            None => Taken::Nothing,
        }
    }

    /// Refuses a `Query` that asks pgherd something and a server something else.
    pub(super) fn refuse_beside(&mut self, desk: &mut Desk, message: Incoming<'_>) -> Taken {
        if self.must_settle(desk) {
            return Taken::Nothing;
        }
        let refusal = if self.is_failed(desk) { Refusal::Aborted } else { Refusal::AsksBeside };
        self.refuse_query(desk, message, &refusal)
    }

    /// Reports an error as the answer to a `Query`; an open transaction fails by it.
    fn refuse_query(&mut self, desk: &mut Desk, message: Incoming<'_>, refusal: &Refusal) -> Taken {
        let status = match self.status(desk) {
            TxStatus::Open => {
                self.reject_transaction(desk);
                TxStatus::Failed
            }
            // One that has failed already may still go back to a savepoint.
            status @ (TxStatus::Idle | TxStatus::Failed) => status,
        };
        self.say_error(desk, refusal, Some(status));
        self.turn = Turn::None;
        self.take_nowhere(desk, message)
    }

    /// Answers a message of a batch that asks pgherd.
    pub(super) fn on_local(
        &mut self,
        desk: &mut Desk,
        message: Incoming<'_>,
    ) -> Result<Taken, Violation> {
        if self.must_settle(desk) && matches!(self.limbo, Limbo::None) {
            return Ok(Taken::Nothing);
        }
        if matches!(self.wait, Wait::Turn) {
            self.wait = Wait::Nothing;
        }
        let Turn::Local(mut batch) = std::mem::take(&mut self.turn) else {
            return Ok(self.take_nowhere(desk, message));
        };
        let answer = self.local_answer(desk, &mut batch, message)?;
        self.turn = Turn::Local(batch);
        match answer {
            Some(Ok(composer)) => {
                self.say(desk, composer);
                Ok(self.take_nowhere(desk, message))
            }
            Some(Err(refusal)) => Ok(self.fail_batch(desk, message, &refusal)),
            None => Ok(Taken::Nothing),
        }
    }

    fn local_answer(
        &mut self,
        desk: &mut Desk,
        batch: &mut Batch,
        message: Incoming<'_>,
    ) -> Result<Option<Result<Composer, Refusal>>, Violation> {
        let malformed = Violation::Malformed { tag: message.tag };
        let mut composer = Composer::new();
        match message.tag {
            tag::PARSE => {
                let (name, text) = frontend::parse(message.body).ok_or(malformed)?;
                let nature = self.judge(desk, Some(text));
                let Some(local) = local_of(nature.kind, text) else {
                    return Ok(Some(Err(Refusal::MixedPipeline)));
                };
                if !has_room(&batch.statements, name, local.len()) {
                    return Ok(Some(Err(Refusal::TooManyStatements)));
                }
                self.keep_local(batch, name, local);
                composer.bare(reply::PARSE_COMPLETE);
            }
            tag::BIND => {
                let (portal, name) = frontend::bind(message.body).ok_or(malformed)?;
                let Some(local) = self.local(batch, name) else {
                    return Ok(Some(Err(Refusal::MixedPipeline)));
                };
                if !has_room(&batch.portals, portal, local.len()) {
                    return Ok(Some(Err(Refusal::TooManyStatements)));
                }
                batch.portals.insert(Bytes::copy_from_slice(portal), local);
                composer.bare(reply::BIND_COMPLETE);
            }
            tag::DESCRIBE => {
                let local = match frontend::subject(message.body).ok_or(malformed)? {
                    Subject::Statement(name) => {
                        composer.message(reply::PARAMETER_DESCRIPTION, |body| {
                            body.extend_from_slice(&[0; 2]);
                        });
                        self.local(batch, name)
                    }
                    Subject::Portal(name) => batch.portals.get(name).cloned(),
                };
                match local.map(|local| local.columns()) {
                    Some(None) => {
                        composer.bare(reply::NO_DATA);
                    }
                    Some(columns) => put_columns(&mut composer, columns),
                    None => return Ok(Some(Err(Refusal::MixedPipeline))),
                }
            }
            tag::EXECUTE => {
                let portal = frontend::execute(message.body).ok_or(malformed)?;
                let Some(local) = batch.portals.get(portal).cloned() else {
                    return Ok(Some(Err(Refusal::MixedPipeline)));
                };
                match self.answer_to(desk, &local) {
                    Some(Ok(reply)) => put_reply(&mut composer, &reply),
                    Some(Err(refusal)) => return Ok(Some(Err(refusal))),
                    None => return Ok(None),
                }
            }
            tag::CLOSE => {
                if let Subject::Statement(name) =
                    frontend::subject(message.body).ok_or(malformed)?
                {
                    self.forget_local(name);
                    batch.statements.remove(name);
                }
                composer.bare(reply::CLOSE_COMPLETE);
            }
            _ => {}
        }
        Ok(Some(Ok(composer)))
    }

    /// What pgherd answers; nothing until all shards have told what it takes, and until a transaction
    /// is over that it ends.
    fn answer_to(&mut self, desk: &mut Desk, local: &Local) -> Option<Result<Reply, Refusal>> {
        match local {
            Local::Question(_) if self.is_failed(desk) => Some(Err(Refusal::Aborted)),
            Local::Question(question) => self.reply_to(desk, question),
            Local::Rollback if self.must_be_rolled_back(desk) => None,
            Local::Rollback => match std::mem::take(&mut self.limbo) {
                Limbo::Untold(refusal) => Some(Err(*refusal)),
                Limbo::Told | Limbo::None => {
                    Some(Ok(Reply::Done { tag: "ROLLBACK", warning: None }))
                }
            },
        }
    }

    fn local(&self, batch: &Batch, name: &[u8]) -> Option<Local> {
        batch.statements.get(name).or_else(|| self.local_statements.get(name)).cloned()
    }

    fn keep_local(&mut self, batch: &mut Batch, name: &[u8], local: Local) {
        let name = Bytes::copy_from_slice(name);
        if has_room(&self.local_statements, &name, local.len()) && local != Local::Rollback {
            self.local_statements.insert(name.clone(), local.clone());
        }
        batch.statements.insert(name, local);
    }

    pub(super) fn forget_local(&mut self, name: &[u8]) {
        self.local_statements.remove(name);
    }

    pub(super) fn is_local(&self, name: &[u8]) -> bool {
        self.local_statements.contains_key(name)
    }

    /// Whether pgherd answers a text of this kind now.
    pub(super) const fn answers(&self, kind: Kind) -> bool {
        match kind {
            Kind::Pgherd(_) => true,
            Kind::End => !matches!(self.limbo, Limbo::None),
            Kind::Read
            | Kind::Write
            | Kind::Begin { .. }
            | Kind::Transaction
            | Kind::Setting
            | Kind::Empty
            | Kind::Show
            | Kind::DiscardAll => false,
        }
    }
}

/// Tells whether one more name can be remembered, for something that takes so many bytes.
fn has_room(names: &BTreeMap<Bytes, Local>, name: &[u8], len: usize) -> bool {
    let held: usize = names.values().map(Local::len).sum();
    name.len() <= limits::STATEMENT_NAME_LEN_MAX
        && names.len() < limits::STATEMENTS_MAX
        && held + len <= limits::STATEMENTS_LEN_MAX
}

fn local_of(kind: Kind, text: &[u8]) -> Option<Local> {
    match kind {
        Kind::Pgherd(_) => Some(Local::Question(Arc::new(Question::read(text)?))),
        Kind::End => Some(Local::Rollback),
        Kind::Read
        | Kind::Write
        | Kind::Begin { .. }
        | Kind::Transaction
        | Kind::Setting
        | Kind::Empty
        | Kind::Show
        | Kind::DiscardAll => None,
    }
}

fn put_columns(composer: &mut Composer, columns: Option<Vec<String>>) {
    if let Some(columns) = columns {
        let columns: Vec<&str> = columns.iter().map(String::as_str).collect();
        composer.row_description(&columns);
    }
}

fn put_reply(composer: &mut Composer, answer: &Reply) {
    match answer {
        Reply::Rows { rows, omitted } => {
            for row in rows {
                composer.data_row(row.iter().map(String::as_str));
            }
            if *omitted > 0 {
                let notice = told("00000", format!("{omitted} more rows are not shown"));
                composer.report(reply::NOTICE, &notice.report("NOTICE"));
            }
            composer.command_complete(&format!("SELECT {}", rows.len()));
        }
        Reply::Done { tag, warning } => {
            if let Some(warning) = warning {
                composer.report(reply::NOTICE, &warning.report("WARNING"));
            }
            composer.command_complete(tag);
        }
    }
}
