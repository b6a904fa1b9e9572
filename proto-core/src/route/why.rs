//! Why a statement goes where it goes, in words and as a word.

use std::fmt;

use super::class::Reason;
use super::writes::Touched;

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
    /// It begins a transaction that may read elsewhere until it writes.
    BeginsWithReads,
    /// It reads, in a transaction that has not written.
    BeforeWrite,
    /// It reads, in a transaction that has written, and `disable_load_balance_on_write` is off or
    /// what was written is something else.
    DespiteWrite,
    /// Its transaction has written.
    AfterWrite,
    /// An earlier transaction of the session has written.
    AfterTransaction,
    /// The session has written before.
    AfterAnyWrite,
    /// It reads what was written in its transaction.
    Written(Touched<'a>),
    /// It reads what was written a moment ago, by whomever.
    WrittenLately(Touched<'a>),
    /// An earlier statement left state in the session's primary connection.
    Sticky,
    /// Load balancing is off.
    Unbalanced,
}

impl Why<'_> {
    /// Returns the reason as one word that does not change from release to release, for statistics
    /// and for programs.
    #[must_use]
    pub const fn word(&self) -> &'static str {
        match self {
            Self::Text(reason) => reason.word(),
            Self::InTransaction => "in_transaction",
            Self::BeginsReadOnly => "begin_read_only",
            Self::BeginsReadWrite => "begin_read_write",
            Self::BeginsSerializable => "begin_serializable",
            Self::BeginsWithReads => "begin_deferred",
            Self::BeforeWrite => "before_write",
            Self::DespiteWrite => "despite_write",
            Self::AfterWrite => "after_write",
            Self::AfterTransaction => "after_write_transaction",
            Self::AfterAnyWrite => "after_any_write",
            Self::Written(_) => "written_in_transaction",
            Self::WrittenLately(_) => "written_lately",
            Self::Sticky => "session_state",
            Self::Unbalanced => "load_balance_off",
        }
    }
}

impl fmt::Display for Why<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Text(reason) => return reason.fmt(f),
            Self::InTransaction => "its transaction is there",
            Self::BeginsReadOnly => "it begins a read-only transaction",
            Self::BeginsReadWrite => "it begins a transaction that may write",
            Self::BeginsSerializable => "it begins a serializable transaction",
            Self::BeginsWithReads => "it begins a transaction that reads elsewhere until it writes",
            Self::BeforeWrite => "its transaction has not written",
            Self::DespiteWrite => "what its transaction has written does not count",
            Self::AfterWrite => "its transaction has written",
            Self::AfterTransaction => "a transaction of the session has written",
            Self::AfterAnyWrite => "the session has written",
            Self::Written(Touched::Relation(name)) => {
                return write!(f, "its transaction has written to {name}");
            }
            Self::Written(_) => "its transaction may have written what it reads",
            Self::WrittenLately(Touched::Relation(name)) => {
                return write!(f, "{name} was written a moment ago");
            }
            Self::WrittenLately(_) => "what it reads may have been written a moment ago",
            Self::Sticky => "the session has state on its primary connection",
            Self::Unbalanced => "load balancing is off",
        })
    }
}
