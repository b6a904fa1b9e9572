//! Where a statement goes.
//!
//! [`classify`](classify::classify) tells what a text does, [`decide`] which of the session's
//! server connections it goes to, and [`balance::choose`] which node a session reads from. The
//! rule of them all: whatever could write, lock, or touch state that only one connection has goes
//! to the primary, and so does every doubt.

pub mod asks;
pub mod balance;
pub mod catalog;
pub mod class;
pub mod classify;
pub mod examples;
mod functions;
pub mod lore;
pub mod memo;
pub mod pattern;
pub mod recent;
pub mod redirect;
pub mod rules;
mod settings;
mod statement;
mod tokens;
pub mod unreadable;
mod utility;
pub mod verb;
mod why;
mod words;
pub mod writes;

use class::{Access, Class, Isolation, Kind, StateChange};
pub(crate) use tokens::from_first_word;
pub use why::Why;
use writes::{Balancing, OnWrite, Touched, TransactionReads, Writes};

/// Which of a session's server connections.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Side {
    /// The one to the primary.
    Primary,
    /// The one to the node that the session reads from.
    Replica,
}

/// Whether an explicit transaction is open, and what binds it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Transaction {
    /// None is.
    None,
    /// One is, failed or not, and all of it runs on this side.
    Open {
        /// Where it was begun.
        at: Side,
    },
    /// pgherd has answered its `BEGIN`, and no server knows of it: nothing but reads has been asked
    /// for, and it is `READ COMMITTED`, so that each of them has a snapshot of its own.
    Deferred,
    /// A `READ COMMITTED` one is open on the primary and has not failed, and the session can read
    /// elsewhere meanwhile.
    Loose,
}

/// Whether the session may leave its primary connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Freedom {
    /// Reads may go elsewhere.
    Free,
    /// A statement has left state behind ([`StateChange::leaves`]).
    Sticky,
    /// `load_balance_mode` is off, or there is no other node.
    Unbalanced,
}

/// What a decision depends on.
#[derive(Clone, Copy, Debug)]
pub struct Facts<'a> {
    /// What the text does.
    pub class: &'a Class,
    /// Whether it runs inside a transaction.
    pub transaction: Transaction,
    /// Whether the session may leave its primary connection.
    pub freedom: Freedom,
    /// What the operator wants of reads after writes.
    pub balancing: &'a Balancing,
    /// What the session has written.
    pub writes: &'a Writes,
    /// What of that which it reads was written a moment ago, by whomever
    /// ([`recent::Recent::touched`]).
    pub recent: Touched<'a>,
    /// The isolation level of transactions that name none, if it is known.
    pub isolation: Option<Isolation>,
}

static AS_EVER: Balancing = Balancing::standard();

impl<'a> Facts<'a> {
    /// Makes the facts of a session that has written nothing, with the standard wishes.
    #[must_use]
    pub fn new(class: &'a Class, transaction: Transaction, freedom: Freedom) -> Self {
        Self {
            class,
            transaction,
            freedom,
            balancing: &AS_EVER,
            writes: Writes::none(),
            recent: Touched::Nothing,
            isolation: None,
        }
    }
}

/// A decision with its reason.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Route<'a> {
    /// Send it to one side.
    Send {
        /// The side.
        side: Side,
        /// The reason.
        why: Why<'a>,
    },
    /// It begins a transaction whose first reads may go to a standby: answer it, and begin on the
    /// primary when something else than a read is asked for. Whoever cannot do that sends it to the
    /// primary.
    Defer {
        /// The reason.
        why: Why<'a>,
    },
    /// Send it nowhere and tell the client: it would take a lock or leave state on a standby, where
    /// neither counts, and its transaction is there.
    Refuse {
        /// The reason.
        why: Why<'a>,
    },
}

/// Decides where a statement goes.
///
/// Never call it for [`Kind::Pgherd`] outside of a text of several statements: those are answered,
/// not sent; nor for the end of a [`Transaction::Deferred`]. A [`Kind::Setting`] goes to one side
/// here; repeating it on the other is the caller's.
#[must_use]
pub fn decide<'a>(facts: &Facts<'a>) -> Route<'a> {
    let class = facts.class;
    let text = Why::Text(&class.reason);
    let send = |side, why| Route::Send { side, why };
    match (facts.transaction, facts.freedom) {
        (Transaction::Open { at: Side::Replica }, _) if !class.suits_replica() => {
            Route::Refuse { why: text }
        }
        (Transaction::Open { at }, _) => send(at, Why::InTransaction),
        (_, Freedom::Sticky) => send(Side::Primary, Why::Sticky),
        (_, Freedom::Unbalanced) => send(Side::Primary, Why::Unbalanced),
        (Transaction::Loose, Freedom::Free) => match class.kind {
            Kind::Read => read(facts),
            Kind::Write
            | Kind::Begin { .. }
            | Kind::End
            | Kind::Transaction
            | Kind::Setting
            | Kind::Empty
            | Kind::Show
            | Kind::Pgherd(_)
            | Kind::DiscardAll => send(Side::Primary, Why::InTransaction),
        },
        (Transaction::None | Transaction::Deferred, Freedom::Free) => match class.kind {
            Kind::Begin { access, isolation } if facts.transaction == Transaction::None => {
                begin(facts, access, isolation)
            }
            Kind::Read => read(facts),
            Kind::Show => send(Side::Replica, text),
            Kind::Write
            | Kind::Begin { .. }
            | Kind::End
            | Kind::Transaction
            | Kind::Setting
            | Kind::Empty
            | Kind::Pgherd(_)
            | Kind::DiscardAll => send(Side::Primary, text),
        },
    }
}

/// Decides where a read of a session goes that is free to leave the primary.
fn read<'a>(facts: &Facts<'a>) -> Route<'a> {
    let primary = |why| Route::Send { side: Side::Primary, why };
    let replica = |why| Route::Send { side: Side::Replica, why };
    let text = Why::Text(&facts.class.reason);
    if facts.class.state != StateChange::None {
        return primary(text);
    }
    let on_write = facts.balancing.on_write;
    if on_write == OnWrite::Always && facts.writes.has() {
        return primary(Why::AfterAnyWrite);
    }
    if on_write == OnWrite::DmlAdaptiveGlobal && facts.recent != Touched::Nothing {
        return primary(Why::WrittenLately(facts.recent));
    }
    if facts.transaction == Transaction::None {
        return replica(text);
    }
    if on_write == OnWrite::TransTransaction && facts.writes.has_in_transaction() {
        let why = if facts.writes.has_here() { Why::AfterWrite } else { Why::AfterTransaction };
        return primary(why);
    }
    if !facts.writes.has_here() {
        return replica(Why::BeforeWrite);
    }
    match on_write {
        OnWrite::Off => replica(Why::DespiteWrite),
        OnWrite::Transaction | OnWrite::TransTransaction | OnWrite::Always => {
            primary(Why::AfterWrite)
        }
        OnWrite::DmlAdaptive | OnWrite::DmlAdaptiveGlobal => {
            match facts.writes.touched(&facts.class.reads) {
                Touched::Nothing => replica(Why::DespiteWrite),
                touched @ (Touched::Relation(_) | Touched::Anything) => {
                    primary(Why::Written(touched))
                }
            }
        }
    }
}

/// Decides where a transaction begins.
fn begin<'a>(facts: &Facts<'a>, access: Access, isolation: Option<Isolation>) -> Route<'a> {
    let send = |side, why| Route::Send { side, why };
    let level = isolation.or(facts.isolation);
    match (access, level, facts.balancing.transaction_reads) {
        (_, Some(Isolation::Serializable), _) => send(Side::Primary, Why::BeginsSerializable),
        (Access::ReadOnly, _, _) => send(Side::Replica, Why::BeginsReadOnly),
        (
            Access::ReadWrite | Access::Unstated,
            // READ UNCOMMITTED is READ COMMITTED in PostgreSQL.
            Some(Isolation::ReadCommitted | Isolation::ReadUncommitted),
            TransactionReads::UntilWrite,
        ) => match facts.balancing.on_write {
            OnWrite::Always if facts.writes.has() => send(Side::Primary, Why::AfterAnyWrite),
            OnWrite::TransTransaction if facts.writes.has_in_transaction() => {
                send(Side::Primary, Why::AfterTransaction)
            }
            OnWrite::Off
            | OnWrite::Transaction
            | OnWrite::TransTransaction
            | OnWrite::Always
            | OnWrite::DmlAdaptive
            | OnWrite::DmlAdaptiveGlobal => Route::Defer { why: Why::BeginsWithReads },
        },
        (Access::ReadWrite | Access::Unstated, _, _) => send(Side::Primary, Why::BeginsReadWrite),
    }
}

#[cfg(test)]
mod tests;
