//! What a statement means for its session: where it goes, what it leaves behind, what it changes.

use bytes::Bytes;

use super::desk::Desk;
use super::refusal::Refusal;
use super::settings::Change;
use super::tally::Counted;
use super::{Effect, Ended, Session};
use crate::backend::link::Link;
use crate::backend::statement::Statement;
use crate::config::PoolMode;
use crate::id::ConnId;
use crate::route::class::{Class, Hold, Isolation, Kind, Reason, Relations, StateChange};
use crate::route::lore::Lore;
use crate::route::memo::Memo;
use crate::route::recent::Recent;
use crate::route::verb::Verb;
use crate::route::writes::{Balancing, OnWrite, Touched, TransactionReads, Where, Writes};
use crate::route::{self, Facts, Route, Side, Transaction};
use crate::time::Instant;
use crate::wire::backend::TxStatus;

/// Commands that concern pgherd's own memory.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Command {
    /// `DEALLOCATE`: a prepared statement ceases to exist.
    Deallocate,
    /// `DROP`, perhaps of a database whose pools must be emptied first.
    Drop,
    /// A query that asks for the last value of a sequence, which only the connection knows that
    /// drew it.
    LastValue,
    /// Any other.
    Other,
}

/// Whether the session is changing the catalog of its database.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum Catalog {
    /// It is not.
    #[default]
    Still,
    /// It is; what it changes counts when its transaction ends.
    Changing,
}

/// Whether reads may go elsewhere while a transaction is open on the primary.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Looseness {
    /// They may not.
    #[default]
    Bound,
    /// They may, as far as what was written allows.
    Loose,
}

/// Whether it is known what a statement writes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum HasWrites {
    /// It writes nothing that could be read.
    #[default]
    No,
    /// It writes something, known by name or not.
    Yes,
}

/// Whether a statement leaves a transaction open.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum Opens {
    /// It does not.
    #[default]
    No,
    /// It may.
    Maybe,
}

/// What a statement's text means for this session, now.
#[derive(Clone, Copy, Debug)]
pub(super) struct Nature {
    pub(super) kind: Kind,
    pub(super) command: Command,
    pub(super) opens: Opens,
    pub(super) state: StateChange,
    /// Where it goes; none if nowhere.
    pub(super) side: Option<Side>,
    /// What it is counted as.
    pub(super) verb: Verb,
    /// Why it goes there, as one word.
    pub(super) why: &'static str,
    /// Whether it begins a transaction that reads may leave.
    pub(super) looseness: Looseness,
    pub(super) writes: HasWrites,
}

impl Nature {
    /// What the statement is counted as beside its verb.
    pub(super) fn counted(&self) -> Counted {
        if self.kind == Kind::Read { Counted::Read } else { Counted::Other }
    }
}

impl Session {
    /// Decides what a text means for this session. A text of which not all is in view may be
    /// anything.
    pub(super) fn judge(&self, desk: &mut Desk, text: Option<&[u8]>) -> Nature {
        let Some(text) = text else {
            let side = match self.transaction(desk) {
                Transaction::Open { at } => at,
                Transaction::None | Transaction::Deferred | Transaction::Loose => Side::Primary,
            };
            return Nature {
                kind: Kind::Write,
                command: Command::Other,
                opens: Opens::Maybe,
                state: StateChange::Unknown,
                side: Some(side),
                verb: Verb::Other,
                why: "unseen",
                looseness: Looseness::Bound,
                writes: HasWrites::No,
            };
        };
        let view = self.look(desk);
        let class = view.memo.classify(text, &view.lore);
        let nature = nature_of(&view.outlook.facts(class, &self.writes));
        Nature { state: self.leaves(class, nature), ..nature }
    }

    /// Has somebody look at everything on which a decision about a text depends.
    pub(super) fn weigh<R>(
        &self,
        desk: &mut Desk,
        text: &[u8],
        ask: impl FnOnce(&Facts<'_>) -> R,
    ) -> R {
        let view = self.look(desk);
        let class = view.memo.classify(text, &view.lore);
        ask(&view.outlook.facts(class, &self.writes))
    }

    /// Decides what a prepared statement means for this session.
    pub(super) fn judge_prepared(&self, desk: &mut Desk, statement: &Statement) -> Nature {
        let view = self.look(desk);
        let nature = nature_of(&view.outlook.facts(&statement.class, &self.writes));
        let state = self.leaves(&statement.class, nature);
        Nature { state, ..nature }
    }

    /// What a statement leaves behind: of a parameter that is known to have been set, the server
    /// does not tell that it has been set in another way since.
    fn leaves(&self, class: &Class, nature: Nature) -> StateChange {
        match (&class.reason, class.state) {
            (Reason::StickyParameter { name }, state @ StateChange::Holds(Hold::Setting))
                if self.is_followed(name.as_bytes()) =>
            {
                state
            }
            (_, _) => nature.state,
        }
    }

    /// Remembers that a standby has refused a text.
    pub(super) fn refuse_text(&self, desk: &mut Desk, text: &[u8]) {
        let view = self.look(desk);
        view.memo.refuse(text, &view.lore);
    }

    /// What a text does.
    pub(super) fn class_of<'d>(&self, desk: &'d mut Desk, text: &[u8]) -> &'d Class {
        let view = self.look(desk);
        view.memo.classify(text, &view.lore)
    }

    /// Notes what a text writes, if anybody minds.
    pub(super) fn note_writes(&mut self, desk: &mut Desk, text: &[u8]) {
        let on_write = desk.config.routing.balancing.on_write;
        let transaction_reads = desk.config.routing.balancing.transaction_reads;
        let place = match self.transaction(desk) {
            Transaction::None => Where::Alone,
            Transaction::Open { .. } | Transaction::Deferred | Transaction::Loose => Where::Inside,
        };
        let matters = match on_write {
            OnWrite::Off => false,
            OnWrite::Always | OnWrite::DmlAdaptiveGlobal => true,
            OnWrite::Transaction | OnWrite::TransTransaction | OnWrite::DmlAdaptive => {
                transaction_reads == TransactionReads::UntilWrite
            }
        };
        if !matters {
            return;
        }
        let Desk { memo, config, catalogs, recent, now, .. } = desk;
        let edition = catalogs.of(&self.who.database, &self.who.user, *now);
        let lore = Lore {
            database: edition.number,
            generation: edition.generation,
            catalog: &edition.catalog,
            rules: &config.routing.rules,
            comments: config.routing.rules.comments,
        };
        let class = memo.classify(text, &lore);
        self.writes.note(class, place, &config.routing.balancing.dependents);
        if on_write == OnWrite::DmlAdaptiveGlobal {
            recent.note(*now, edition.number, &class.writes);
        }
    }

    /// What this session's statements are looked at with.
    fn look<'d>(&self, desk: &'d mut Desk) -> View<'d> {
        let comments = self.comments(desk);
        let (transaction, freedom) = (self.transaction(desk), self.freedom(desk));
        let Desk { memo, config, catalogs, recent, now, .. } = desk;
        let edition = catalogs.of(&self.who.database, &self.who.user, *now);
        let lore = Lore {
            database: edition.number,
            generation: edition.generation,
            catalog: &edition.catalog,
            rules: &config.routing.rules,
            comments,
        };
        // What the session has set for itself is not looked into.
        let is_own = self.settings.has(ISOLATION)
            || self.who.startup.0.iter().any(|(name, _)| name.as_ref() == ISOLATION);
        let isolation = if is_own { None } else { edition.catalog.isolation() };
        let outlook = Outlook {
            transaction,
            freedom,
            balancing: &config.routing.balancing,
            isolation,
            recent,
            database: edition.number,
            now: *now,
        };
        View { memo, lore, outlook }
    }

    /// Why a statement is not carried out at all.
    pub(super) fn refusal_of(&self, nature: Nature) -> Option<Refusal> {
        let is_begin = matches!(nature.kind, Kind::Begin { .. });
        let refuses = is_begin && self.who.mode == PoolMode::Statement;
        refuses.then_some(Refusal::NoTransactions)
    }

    /// Why a statement is not carried out on this link.
    pub(super) fn refusal_at(&self, desk: &Desk, id: ConnId, nature: Nature) -> Option<Refusal> {
        let asks = nature.command == Command::LastValue && self.is_shared();
        let is_own = desk.links.get(id).is_some_and(|link| link.writer == Some(self.id));
        (asks && !is_own).then_some(Refusal::NoLastValue)
    }

    /// What a statement of this nature does to the session if it succeeds.
    pub(super) fn effect_of(
        &self,
        desk: &mut Desk,
        nature: Nature,
        text: Option<&[u8]>,
    ) -> Option<Effect> {
        match (nature.kind, nature.command) {
            (Kind::DiscardAll, _) => Some(Effect::Discard),
            (Kind::End, _) if self.settings.is_tentative() || self.held.replica.is_some() => {
                Some(Effect::Ended(end_of(text)))
            }
            (Kind::Transaction, _) if self.settings.is_tentative() => Some(Effect::RolledBackTo),
            (Kind::Setting, _) => {
                let text = text?;
                let Reason::SetsParameter { name } = &self.class_of(desk, text).reason else {
                    return None;
                };
                Change::of(name, text).map(Effect::Change)
            }
            (_, Command::Deallocate) => Some(Effect::Deallocate(text.and_then(last_name))),
            // Among others it is not looked for by its place.
            (Kind::Write, _) if nature.opens == Opens::Maybe && text.is_some_and(forgets_all) => {
                Some(Effect::Deallocate(None))
            }
            (_, _) => None,
        }
    }

    pub(super) fn transaction(&self, desk: &Desk) -> Transaction {
        let Some((id, link)) = self.in_transaction(desk) else { return Transaction::None };
        match (self.held.primary == Some(id), self.looseness) {
            (false, _) => Transaction::Open { at: Side::Replica },
            (true, Looseness::Loose) if link.tx == TxStatus::Open => Transaction::Loose,
            (true, Looseness::Loose | Looseness::Bound) => Transaction::Open { at: Side::Primary },
        }
    }

    /// The link on which the session's transaction is open. There is at most one.
    pub(super) fn in_transaction<'d>(&self, desk: &'d Desk) -> Option<(ConnId, &'d Link)> {
        self.held.iter().find_map(|id| {
            let link = desk.links.get(id)?;
            (link.tx != TxStatus::Idle).then_some((id, link.as_ref()))
        })
    }

    /// Notes whether reads may go elsewhere while the transaction is open, now that a statement
    /// goes to the primary.
    pub(super) fn note_looseness(&mut self, nature: Nature) {
        if nature.looseness == Looseness::Loose {
            self.looseness = Looseness::Loose;
            return;
        }
        let keeps = match nature.kind {
            Kind::Read | Kind::Empty => true,
            // Reads behind it are decided by what it wrote.
            Kind::Write => nature.writes == HasWrites::Yes,
            Kind::Begin { .. }
            | Kind::End
            | Kind::Transaction
            | Kind::Setting
            | Kind::Show
            | Kind::Pgherd(_)
            | Kind::DiscardAll => false,
        };
        if !keeps {
            self.looseness = Looseness::Bound;
        }
    }
}

fn command_of(reason: &Reason) -> Command {
    if let Reason::PrimaryFunction { name } = reason {
        let is_last = matches!(name.rsplit('.').next(), Some("lastval" | "currval"));
        return if is_last { Command::LastValue } else { Command::Other };
    }
    let Reason::Command { word } = reason else { return Command::Other };
    match word.as_ref() {
        "deallocate" => Command::Deallocate,
        "drop" => Command::Drop,
        _ => Command::Other,
    }
}

/// How a text ends its transaction.
fn end_of(text: Option<&[u8]>) -> Ended {
    let text = route::from_first_word(text.unwrap_or_default());
    let mut words = text.split(|byte| !byte.is_ascii_alphabetic());
    let first = words.find(|word| !word.is_empty()).unwrap_or_default();
    if first.eq_ignore_ascii_case(b"commit") || first.eq_ignore_ascii_case(b"end") {
        Ended::Committed
    } else {
        Ended::RolledBack
    }
}

/// What a session's statements are looked at with.
struct View<'d> {
    memo: &'d mut Memo,
    lore: Lore<'d>,
    outlook: Outlook<'d>,
}

/// What decisions depend on beside the statement.
struct Outlook<'d> {
    transaction: Transaction,
    freedom: route::Freedom,
    balancing: &'d Balancing,
    isolation: Option<Isolation>,
    recent: &'d Recent,
    database: u32,
    now: Instant,
}

impl<'d> Outlook<'d> {
    fn facts<'a>(&self, class: &'a Class, writes: &'a Writes) -> Facts<'a>
    where
        'd: 'a,
    {
        let recent = match self.balancing.on_write {
            OnWrite::DmlAdaptiveGlobal => {
                self.recent.touched(self.now, self.database, &class.reads)
            }
            OnWrite::Off
            | OnWrite::Transaction
            | OnWrite::TransTransaction
            | OnWrite::Always
            | OnWrite::DmlAdaptive => Touched::Nothing,
        };
        Facts {
            balancing: self.balancing,
            writes,
            recent,
            isolation: self.isolation,
            ..Facts::new(class, self.transaction, self.freedom)
        }
    }
}

/// The parameter that says how isolated a transaction is that does not say so itself.
const ISOLATION: &[u8] = b"default_transaction_isolation";

/// What a statement means, by the facts.
fn nature_of(facts: &Facts<'_>) -> Nature {
    let class = facts.class;
    // Of these the server can tell.
    let state = match (&class.reason, class.state) {
        (Reason::StickyParameter { name }, StateChange::Holds(Hold::Setting))
            if !name.contains('.') =>
        {
            StateChange::Unknown
        }
        (_, state) => state,
    };
    let route = route::decide(facts);
    let (Route::Send { why, .. } | Route::Defer { why } | Route::Refuse { why }) = route;
    let (side, looseness) = match route {
        Route::Send { side, .. } => (Some(side), Looseness::Bound),
        // It is begun on the primary all the same.
        Route::Defer { .. } => (Some(Side::Primary), Looseness::Loose),
        Route::Refuse { .. } => (None, Looseness::Bound),
    };
    let opens = match (class.kind, &class.reason) {
        (Kind::Begin { .. }, _) | (_, Reason::MultipleStatements { .. }) => Opens::Maybe,
        (_, _) => Opens::No,
    };
    let writes = if class.writes == Relations::None { HasWrites::No } else { HasWrites::Yes };
    let (kind, command) = (class.kind, command_of(&class.reason));
    let (verb, why) = (class.verb, why.word());
    Nature { kind, command, opens, state, side, verb, why, looseness, writes }
}

/// The name at the end of a `DEALLOCATE`, folded as PostgreSQL folds it; none for `ALL`.
pub(super) fn last_name(text: &[u8]) -> Option<Bytes> {
    let text = std::str::from_utf8(text).ok()?;
    let text = text.trim_end_matches(|c: char| c == ';' || c.is_whitespace());
    if let Some(quoted) = text.strip_suffix('"') {
        let (_, name) = quoted.rsplit_once('"')?;
        return Some(Bytes::copy_from_slice(name.as_bytes()));
    }
    let (_, name) = text.rsplit_once(char::is_whitespace)?;
    let name = name.to_ascii_lowercase();
    (name != "all").then(|| Bytes::from(name))
}

/// Tells whether a text seems to end all prepared statements.
fn forgets_all(text: &[u8]) -> bool {
    let words = text.split(|byte| !byte.is_ascii_alphanumeric() && *byte != b'_');
    let words: Vec<&[u8]> = words.filter(|word| !word.is_empty()).collect();
    words.windows(2).any(|pair| match pair {
        [first, second] => {
            let ends = first.eq_ignore_ascii_case(b"deallocate")
                || first.eq_ignore_ascii_case(b"discard")
                || first.eq_ignore_ascii_case(b"prepare");
            ends && second.eq_ignore_ascii_case(b"all")
        }
        _ => false,
    })
}

/// The database that a text drops, if it drops one.
pub(super) fn dropped_database(text: &[u8]) -> Option<Bytes> {
    let text = std::str::from_utf8(text).ok()?;
    let mut words = text.split(|c: char| c == ';' || c.is_whitespace()).filter(|w| !w.is_empty());
    let mut next = || words.next().map(str::to_ascii_lowercase);
    if next()? != "drop" || next()? != "database" {
        return None;
    }
    let mut name = words.next()?;
    if name.eq_ignore_ascii_case("if") {
        name = words.nth(1)?;
    }
    Some(match name.strip_prefix('"').and_then(|name| name.strip_suffix('"')) {
        Some(quoted) => Bytes::copy_from_slice(quoted.as_bytes()),
        None => Bytes::from(name.to_ascii_lowercase()),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_found_in_texts() {
        let name = |text: &str| last_name(text.as_bytes());
        assert_eq!(name("DEALLOCATE Prepare Foo ;"), Some(Bytes::from("foo")));
        assert_eq!(name("deallocate \"My Plan\""), Some(Bytes::from("My Plan")));
        assert_eq!(name("DEALLOCATE ALL;"), None);
        let dropped = |text: &str| dropped_database(text.as_bytes());
        assert_eq!(dropped("DROP DATABASE Shop;"), Some(Bytes::from("shop")));
        assert_eq!(
            dropped("drop database if exists \"Shop\" with (force)"),
            Some(Bytes::from("Shop"))
        );
        assert_eq!(dropped("drop table shop"), None);
        assert_eq!(dropped("drop"), None);
    }
}
