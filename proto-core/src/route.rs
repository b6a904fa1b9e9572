//! Where a statement goes.
//!
//! [`classify`](classify::classify) tells what a text does, [`decide`] which of the session's
//! server connections it goes to, and [`balance::choose`] which node a session reads from. The
//! rule of them all: whatever could write, lock, or touch state that only one connection has goes
//! to the primary, and so does every doubt.

use std::fmt;

pub mod asks;
pub mod balance;
pub mod catalog;
pub mod class;
pub mod classify;
mod functions;
pub mod lore;
pub mod memo;
pub mod pattern;
pub mod rules;
mod settings;
mod statement;
mod tokens;
mod utility;
mod words;

use class::{Access, Class, Isolation, Kind, Reason, StateChange};

/// Which of a session's server connections.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Side {
    /// The one to the primary.
    Primary,
    /// The one to the node that the session reads from.
    Replica,
}

/// Whether an explicit transaction is open.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Transaction {
    /// None is.
    None,
    /// One is, failed or not, on this side.
    Open {
        /// Where it was begun.
        at: Side,
    },
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
    /// Send it nowhere and tell the client: it would take a lock or leave state on a standby, where
    /// neither counts, and its transaction is there.
    Refuse {
        /// The reason.
        why: Why<'a>,
    },
}

/// Why a statement goes where it goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Why<'a> {
    /// The text itself decides.
    Text(&'a Reason),
    /// Its transaction is there.
    InTransaction,
    /// It begins a transaction that may not write.
    BeginsReadOnly,
    /// It begins a transaction that may write.
    BeginsReadWrite,
    /// It begins a serializable transaction, which a standby refuses.
    BeginsSerializable,
    /// An earlier statement left state in the session's primary connection.
    Sticky,
    /// Load balancing is off.
    Unbalanced,
}

impl fmt::Display for Why<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Text(reason) => return reason.fmt(f),
            Self::InTransaction => "its transaction is there",
            Self::BeginsReadOnly => "it begins a read-only transaction",
            Self::BeginsReadWrite => "it begins a transaction that may write",
            Self::BeginsSerializable => "it begins a serializable transaction",
            Self::Sticky => "the session has state on its primary connection",
            Self::Unbalanced => "load balancing is off",
        })
    }
}

/// Decides where a statement goes.
///
/// Never call it for [`Kind::Pgherd`] outside of a text of several statements: those are answered,
/// not sent. A [`Kind::Setting`] goes to one side here; repeating it on the other is the caller's.
#[must_use]
pub fn decide<'a>(facts: &Facts<'a>) -> Route<'a> {
    let class = facts.class;
    let text = Why::Text(&class.reason);
    let (side, why) = match (facts.transaction, facts.freedom) {
        (Transaction::Open { at: Side::Replica }, _) if !class.suits_replica() => {
            return Route::Refuse { why: text };
        }
        (Transaction::Open { at }, _) => (at, Why::InTransaction),
        (Transaction::None, Freedom::Sticky) => (Side::Primary, Why::Sticky),
        (Transaction::None, Freedom::Unbalanced) => (Side::Primary, Why::Unbalanced),
        (Transaction::None, Freedom::Free) => match class.kind {
            Kind::Begin { isolation: Some(Isolation::Serializable), .. } => {
                (Side::Primary, Why::BeginsSerializable)
            }
            Kind::Begin { access: Access::ReadOnly, .. } => (Side::Replica, Why::BeginsReadOnly),
            Kind::Begin { access: Access::ReadWrite | Access::Unstated, .. } => {
                (Side::Primary, Why::BeginsReadWrite)
            }
            Kind::Show => (Side::Replica, text),
            Kind::Read if class.state == StateChange::None => (Side::Replica, text),
            Kind::Read
            | Kind::Write
            | Kind::End
            | Kind::Transaction
            | Kind::Setting
            | Kind::Empty
            | Kind::Pgherd(_)
            | Kind::DiscardAll => (Side::Primary, text),
        },
    };
    Route::Send { side, why }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn statements_go_where_they_are_safe() {
        const NONE: Transaction = Transaction::None;
        const PRIMARY: Transaction = Transaction::Open { at: Side::Primary };
        const REPLICA: Transaction = Transaction::Open { at: Side::Replica };
        use Freedom::{Free, Sticky, Unbalanced};
        let to_primary = Some(Side::Primary);
        let to_replica = Some(Side::Replica);
        let cases: &[(&str, Transaction, Freedom, Option<Side>)] = &[
            ("select 1", NONE, Free, to_replica),
            ("select 1", NONE, Sticky, to_primary),
            ("select 1", NONE, Unbalanced, to_primary),
            ("select 1", PRIMARY, Free, to_primary),
            ("select 1", REPLICA, Free, to_replica),
            ("insert into t values (1)", NONE, Free, to_primary),
            ("insert into t values (1)", REPLICA, Free, to_replica),
            ("select random()", REPLICA, Free, to_replica),
            ("begin", NONE, Free, to_primary),
            ("begin read write", NONE, Free, to_primary),
            ("begin read only", NONE, Free, to_replica),
            ("begin read only", NONE, Sticky, to_primary),
            ("begin read only", NONE, Unbalanced, to_primary),
            ("begin isolation level serializable read only", NONE, Free, to_primary),
            ("commit", REPLICA, Free, to_replica),
            ("commit", PRIMARY, Free, to_primary),
            ("commit", NONE, Free, to_primary),
            ("savepoint s", REPLICA, Free, to_replica),
            ("set x to 1", NONE, Free, to_primary),
            ("set local work_mem to 1", REPLICA, Free, to_replica),
            ("show work_mem", NONE, Free, to_replica),
            ("show transaction_read_only", NONE, Free, to_primary),
            ("explain route select 1", NONE, Free, to_primary),
            ("", NONE, Free, to_primary),
            // Locks and state on a standby would be of no use, or would be missed later.
            ("select pg_advisory_lock(1)", REPLICA, Free, None),
            ("select pg_advisory_xact_lock(1)", REPLICA, Free, None),
            ("prepare p as select 1", REPLICA, Free, None),
            ("set role bob", REPLICA, Free, None),
            // What may leave something, or takes something away, is let through.
            ("select f()", REPLICA, Free, to_replica),
            ("deallocate all", REPLICA, Free, to_replica),
            ("declare c cursor with hold for select 1", REPLICA, Free, None),
            ("declare c cursor for select 1", REPLICA, Free, to_replica),
            ("prepare p as select 1", PRIMARY, Free, to_primary),
        ];
        let rules = rules::Rules::default();
        for (text, transaction, freedom, expected) in cases {
            let class = classify::classify(text.as_bytes(), &lore::Lore::bare(&rules));
            let facts = Facts { class: &class, transaction: *transaction, freedom: *freedom };
            let side = match decide(&facts) {
                Route::Send { side, .. } => Some(side),
                Route::Refuse { .. } => None,
            };
            assert_eq!(side, *expected, "{text} in {transaction:?}, {freedom:?}");
        }
    }
}
