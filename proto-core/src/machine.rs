//! The contract between a machine and its driver, as a trait that `Shard` and `Control` keep.
//!
//! **The rule:** after every `handle_*`, drain [`Machine::poll_output`] to `None` before the next
//! `handle_*` on the same machine, then arm *one* timer for [`Machine::poll_timeout`]. Spurious
//! `handle_timeout`s are harmless; a stale `ConnId` is ignored.

use crate::id::ConnId;
use crate::message::{Arrival, Closed, Message, Peer};
use crate::output::Output;
use crate::time::Instant;

/// A pure machine: told what happened, it says what to do about it.
pub trait Machine {
    /// A client has connected, or has been moved here. Names the connection.
    fn handle_accept(&mut self, now: Instant, arrival: Arrival) -> ConnId;
    /// What came of [`Output::Connect`].
    fn handle_connect(&mut self, now: Instant, conn: ConnId, result: Result<(), Closed>);
    /// Bytes have come, or [`Output::Reread`] asked for another look. `unread` is everything that
    /// no output has taken yet, from the first byte.
    fn handle_read(&mut self, now: Instant, conn: ConnId, unread: &[u8]);
    /// The kernel took `len` bytes that were queued for `conn`.
    fn handle_sent(&mut self, now: Instant, conn: ConnId, len: usize);
    /// The connection has ended; its name is void after this call. Exactly one call follows each
    /// [`Output::Close`], and each end that the peer or the network brought about.
    fn handle_close(&mut self, now: Instant, conn: ConnId, why: Closed);
    /// A message has come. Messages of one sender come in the order in which it posted them.
    fn handle_message(&mut self, now: Instant, from: Peer, message: Message);
    /// The moment that `poll_timeout` named has come.
    fn handle_timeout(&mut self, now: Instant);

    /// Takes the next thing to do.
    fn poll_output(&mut self) -> Option<Output>;
    /// When to call `handle_timeout` next.
    fn poll_timeout(&self) -> Option<Instant>;

    /// Whether the connection may be read now. It turns false by itself; when it turns true other
    /// than by an input for `conn`, an [`Output::Reread`] says so.
    fn wants_read(&self, conn: ConnId) -> bool;
    /// How many unread bytes the next decision needs at least; the buffer must hold as many.
    fn read_hint(&self, conn: ConnId) -> usize;
    /// Whether new clients are welcome; a listener is closed when they are not.
    fn is_accepting(&self) -> bool;
    /// Whether everything has ended after a shutdown: the driver may drop the machine.
    fn is_finished(&self) -> bool;
}
