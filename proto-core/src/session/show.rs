//! What pgherd answers about itself: `SHOW pool_…`, `PGPOOL SHOW`, `SET` and `RESET`, and
//! `EXPLAIN ROUTE`.
//!
//! A session knows some of it; for the rest it asks all shards, through `Control`, and waits. How
//! an answer travels in either protocol is the business of `local`.

mod census;
mod columns;
mod commands;
mod explain;
mod nodes;
mod pins;

use bytes::Bytes;

use super::desk::Desk;
use super::refusal::{Refusal, Told};
use super::{Session, Wait};
use crate::inquiry::{Asker, Sheet, View};
use crate::limits;
use crate::message::{Message, Peer};
use crate::route::asks::{self, Asked};
use crate::route::class::PoolShow;

pub(crate) use census::collect;
pub(super) use pins::PinLog;

/// What a client asks pgherd.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Question {
    asked: Asked,
    /// The statement that `EXPLAIN ROUTE` is about.
    statement: Bytes,
}

impl Question {
    /// Reads a question; none if the text asks nothing, or more than one thing.
    pub(super) fn read(text: &[u8]) -> Option<Self> {
        let asked = asks::read(text)?;
        let statement = match &asked {
            Asked::ExplainRoute { statement } => {
                Bytes::copy_from_slice(text.get(statement.clone()).unwrap_or_default())
            }
            Asked::Show(_)
            | Asked::PgpoolShow { .. }
            | Asked::PgpoolShowAll
            | Asked::PgpoolSet { .. }
            | Asked::PgpoolCacheDelete { .. }
            | Asked::PgpoolReset { .. }
            | Asked::PgpoolResetAll => Bytes::new(),
        };
        Some(Self { asked, statement })
    }

    /// How many bytes it takes to remember it, beyond its own.
    pub(super) fn len(&self) -> usize {
        self.statement.len()
            + match &self.asked {
                Asked::PgpoolShow { name } | Asked::PgpoolReset { name } => name.len(),
                Asked::PgpoolSet { name, value } => name.len() + value.len(),
                Asked::PgpoolCacheDelete { query } => query.len(),
                Asked::Show(_)
                | Asked::ExplainRoute { .. }
                | Asked::PgpoolShowAll
                | Asked::PgpoolResetAll => 0,
            }
    }

    /// Returns the columns of the answer; none if it has no rows.
    pub(super) fn columns(&self) -> Option<Vec<String>> {
        columns::of(&self.asked)
    }
}

/// What a client hears.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Reply {
    /// Rows, and how many more there was no room for.
    Rows { rows: Vec<Vec<String>>, omitted: u64 },
    /// A command has been carried out, with something to be aware of.
    Done { tag: &'static str, warning: Option<Told> },
}

impl Reply {
    const fn rows(rows: Vec<Vec<String>>) -> Self {
        Self::Rows { rows, omitted: 0 }
    }

    const fn done(tag: &'static str) -> Self {
        Self::Done { tag, warning: None }
    }
}

/// What a session has of the answer of all shards.
#[derive(Debug, Default)]
pub(super) enum Answer {
    /// It has not asked.
    #[default]
    None,
    /// It waits for the answer to the question of this number.
    Awaited(u64),
    /// It is here.
    Here(Sheet),
}

/// What `SHOW pool_version` says. Monitoring reads the number in front, so it is a version of
/// Pgpool-II whose interface pgherd keeps.
const VERSION: &str = concat!("4.5.0 (pgherd ", env!("CARGO_PKG_VERSION"), ")");

impl Session {
    /// Answers a question; nothing as long as the session waits for what it takes.
    pub(super) fn reply_to(
        &mut self,
        desk: &mut Desk,
        question: &Question,
    ) -> Option<Result<Reply, Refusal>> {
        if let Some(refusal) = self.verdict.take() {
            self.answer = Answer::None;
            self.stop_waiting(desk);
            return Some(Err(*refusal));
        }
        match &question.asked {
            Asked::Show(show) => {
                let sheet = match view_of(*show) {
                    Some(view) => self.view(desk, view)?,
                    None => Sheet::default(),
                };
                let omitted = sheet.omitted;
                let rows = self.table(desk, *show, sheet);
                Some(Ok(Reply::Rows { rows, omitted }))
            }
            Asked::ExplainRoute { .. } => {
                Some(Ok(Reply::rows(self.explain_route(desk, &question.statement))))
            }
            Asked::PgpoolShow { name } => {
                Some(self.show_parameter(desk, name).map_err(|refusal| *refusal))
            }
            Asked::PgpoolShowAll => Some(Ok(Reply::rows(self.show_all(desk)))),
            Asked::PgpoolSet { name, value } => {
                Some(self.set_parameter(desk, name, value).map_err(|refusal| *refusal))
            }
            Asked::PgpoolReset { name } => {
                Some(self.reset_parameter(desk, name).map_err(|refusal| *refusal))
            }
            Asked::PgpoolResetAll => {
                self.overrides.clear();
                self.stop_waiting(desk);
                Some(Ok(Reply::done("RESET")))
            }
            Asked::PgpoolCacheDelete { .. } => Some(Ok(commands::nothing_cached())),
        }
    }

    /// Asks all shards; nothing until they have answered.
    fn view(&mut self, desk: &mut Desk, view: View) -> Option<Sheet> {
        match std::mem::take(&mut self.answer) {
            Answer::Here(sheet) => {
                self.stop_waiting(desk);
                Some(sheet)
            }
            Answer::Awaited(number) if matches!(self.wait, Wait::Answer) => {
                self.answer = Answer::Awaited(number);
                None
            }
            Answer::None | Answer::Awaited(_) => {
                desk.questions += 1;
                let number = desk.questions;
                self.answer = Answer::Awaited(number);
                self.wait = Wait::Answer;
                self.arm(desk, limits::SHOW_TIMEOUT);
                let asker = Asker { session: self.id, number };
                desk.outputs.post(Peer::Control, Message::Ask { asker, view });
                None
            }
        }
    }

    /// All shards have answered.
    pub fn handle_answer(&mut self, desk: &mut Desk, number: u64, sheet: Sheet) {
        let is_awaited = matches!(self.answer, Answer::Awaited(awaited) if awaited == number);
        if is_awaited && matches!(self.wait, Wait::Answer) {
            self.answer = Answer::Here(sheet);
            self.look_again(desk);
        }
    }

    fn table(&mut self, desk: &mut Desk, show: PoolShow, sheet: Sheet) -> Vec<Vec<String>> {
        match show {
            PoolShow::Nodes => self.node_rows(desk, &sheet),
            PoolShow::Version => vec![vec![VERSION.to_owned()]],
            PoolShow::Status => self.status_rows(desk),
            PoolShow::Processes | PoolShow::Pools => sheet.rows,
            PoolShow::Pins => pins::rows(sheet),
            PoolShow::RouteStats => nodes::route_rows(&sheet),
            PoolShow::HealthCheckStats => nodes::health_rows(desk, &sheet),
            PoolShow::BackendStats => nodes::traffic_rows(desk, &sheet),
            // There is no cache yet, which is what Pgpool-II shows where it is off.
            PoolShow::Cache => {
                let zeros = columns::CACHE.iter().map(|name| match *name {
                    "cache_hit_ratio" => "0.00".to_owned(),
                    _ => "0".to_owned(),
                });
                vec![zeros.collect()]
            }
        }
    }
}

/// What all shards must be asked for.
const fn view_of(show: PoolShow) -> Option<View> {
    match show {
        PoolShow::Nodes | PoolShow::BackendStats => Some(View::Traffic),
        PoolShow::Processes => Some(View::Sessions),
        PoolShow::Pools => Some(View::Links),
        PoolShow::Pins => Some(View::Pins),
        PoolShow::RouteStats => Some(View::Routes),
        PoolShow::HealthCheckStats => Some(View::Checks),
        PoolShow::Status | PoolShow::Version | PoolShow::Cache => None,
    }
}
