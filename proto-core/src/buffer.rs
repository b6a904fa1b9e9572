//! Bytes on their way, as every driver holds them: [`RecvBuffer`] for what is unread,
//! [`SendQueue`] for what the kernel has not yet taken, and a [`Stock`] of storage that is lent to
//! whoever reads. They know nothing of messages.

use std::collections::VecDeque;
use std::io::IoSlice;

use bytes::{Bytes, BytesMut};

use crate::limits;

/// Bytes that have come and that no output has taken yet.
///
/// The storage is initialised once; reading into it and forwarding from it neither allocates nor
/// copies. Bytes that the kernel refuses are split off by handle.
#[derive(Debug, Default)]
pub struct RecvBuffer {
    /// Every byte of it is initialised.
    storage: BytesMut,
    /// `0 <= start <= end <= storage.len()`
    start: usize,
    end: usize,
}

impl RecvBuffer {
    /// Makes a buffer on a storage that was used before.
    #[must_use]
    pub fn with_storage(storage: BytesMut) -> Self {
        Self { storage, start: 0, end: 0 }
    }

    /// Returns what is unread.
    #[must_use]
    pub fn unread(&self) -> &[u8] {
        self.storage.get(self.start..self.end).unwrap_or_default()
    }

    /// Tells whether anything is unread.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.start == self.end
    }

    /// Returns room for at least one more byte, such that `wanted` bytes can be unread in all and
    /// a read is not needlessly small.
    pub fn room(&mut self, wanted: usize, read_len: usize) -> &mut [u8] {
        let unread = self.end - self.start;
        let needed = wanted.max(unread + 1);
        if self.storage.len() - self.start < needed || self.end == self.storage.len() {
            if self.start > 0 {
                self.storage.copy_within(self.start..self.end, 0);
                self.start = 0;
                self.end = unread;
            }
            if self.storage.len() < needed {
                self.storage.resize(needed.max(read_len), 0);
            }
        }
        self.storage.get_mut(self.end..).unwrap_or_default()
    }

    /// Notes that `len` bytes were read into the room.
    pub fn filled(&mut self, len: usize) {
        self.end = (self.end + len).min(self.storage.len());
    }

    /// Adds bytes that came by another way than a read, as with a moved connection.
    pub fn extend(&mut self, bytes: &[u8]) {
        let wanted = self.end - self.start + bytes.len();
        if let Some(room) = self.room(wanted, wanted).get_mut(..bytes.len()) {
            room.copy_from_slice(bytes);
            self.filled(bytes.len());
        }
    }

    /// Drops the first `len` unread bytes.
    pub fn consume(&mut self, len: usize) {
        self.start = self.start.saturating_add(len).min(self.end);
        if self.start == self.end {
            (self.start, self.end) = (0, 0);
        }
    }

    /// Takes the first `len` unread bytes out, by handle.
    pub fn split(&mut self, len: usize) -> Bytes {
        let upto = self.start.saturating_add(len).min(self.end);
        let mut bytes = self.storage.split_to(upto);
        let bytes = bytes.split_off(self.start).freeze();
        (self.start, self.end) = (0, self.end - upto);
        bytes
    }

    /// Gives the storage away for the next buffer, if nothing is unread.
    pub fn give_storage(&mut self) -> Option<BytesMut> {
        if !self.is_empty() || self.storage.is_empty() {
            return None;
        }
        (self.start, self.end) = (0, 0);
        Some(std::mem::take(&mut self.storage))
    }

    /// Bytes of storage held.
    #[must_use]
    pub fn capacity(&self) -> usize {
        self.storage.len()
    }
}

/// Bytes that wait for the kernel to take them.
#[derive(Debug, Default)]
pub struct SendQueue {
    chunks: VecDeque<Bytes>,
    len: usize,
}

impl SendQueue {
    /// Adds bytes at the end.
    pub fn push(&mut self, bytes: Bytes) {
        if !bytes.is_empty() {
            self.len += bytes.len();
            self.chunks.push_back(bytes);
        }
    }

    /// Counts the bytes that wait.
    #[must_use]
    pub const fn len(&self) -> usize {
        self.len
    }

    /// Tells whether none wait.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// Points `slices` at the first chunks and returns how many were pointed.
    pub fn fill<'a>(&'a self, slices: &mut [IoSlice<'a>]) -> usize {
        slices
            .iter_mut()
            .zip(&self.chunks)
            .map(|(slice, chunk)| *slice = IoSlice::new(chunk))
            .count()
    }

    /// Drops the first `len` bytes, which the kernel took.
    pub fn sent(&mut self, mut len: usize) {
        self.len = self.len.saturating_sub(len);
        while let Some(chunk) = self.chunks.front_mut() {
            if chunk.len() > len {
                let _ = chunk.split_to(len);
                return;
            }
            len -= chunk.len();
            self.chunks.pop_front();
        }
    }
}

/// Storage that is not needed just now. It is lent to connections that read and comes back when
/// they rest, so that an idle connection has none.
#[derive(Debug, Default)]
pub struct Stock {
    spare: Vec<BytesMut>,
}

/// A connection at rest with fewer unread bytes than this keeps them in a buffer of their own
/// size, in bytes: many clients may wait with a statement each.
const SMALL_LEN: usize = limits::READ_LEN / 4;

impl Stock {
    /// Lends a buffer room that is worth reading into.
    pub fn lend(&mut self, recv: &mut RecvBuffer) {
        if recv.capacity() < limits::READ_LEN {
            let mut lent = self.spare.pop().map(RecvBuffer::with_storage).unwrap_or_default();
            lent.room(recv.unread().len() + 1, limits::READ_LEN);
            lent.extend(recv.unread());
            *recv = lent;
        }
    }

    /// Takes the storage of an empty buffer back.
    pub fn take_back(&mut self, recv: &mut RecvBuffer) {
        if recv.is_empty() && recv.capacity() > 0 {
            self.reclaim(std::mem::take(recv));
        }
    }

    /// Leaves a buffer no more memory than it needs while its connection waits.
    pub fn rest(&mut self, recv: &mut RecvBuffer) {
        self.take_back(recv);
        if recv.capacity() >= SMALL_LEN && recv.unread().len() < SMALL_LEN {
            let mut small = RecvBuffer::default();
            small.extend(recv.unread());
            self.discard(std::mem::replace(recv, small));
        }
    }

    /// Takes back the storage of a buffer whose bytes nobody wants.
    pub fn discard(&mut self, mut recv: RecvBuffer) {
        recv.consume(usize::MAX);
        self.reclaim(recv);
    }

    fn reclaim(&mut self, mut recv: RecvBuffer) {
        if self.spare.len() < limits::SPARE_BUFFERS_MAX
            && recv.capacity() == limits::READ_LEN
            && let Some(storage) = recv.give_storage()
        {
            self.spare.push(storage);
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[derive(Clone, Debug)]
    enum Step {
        Read(Vec<u8>),
        Consume(usize),
        Split(usize),
    }

    fn step() -> impl Strategy<Value = Step> {
        prop_oneof![
            prop::collection::vec(any::<u8>(), 1..50).prop_map(Step::Read),
            (0usize..60).prop_map(Step::Consume),
            (0usize..60).prop_map(Step::Split),
        ]
    }

    proptest! {
        /// Bytes leave a buffer in the order in which they came, each once.
        #[test]
        fn a_receive_buffer_is_a_queue(steps in prop::collection::vec(step(), 0..60)) {
            let (mut buffer, mut model) = (RecvBuffer::default(), Vec::new());
            for step in steps {
                match step {
                    Step::Read(bytes) => {
                        buffer.room(model.len() + bytes.len(), 16)[..bytes.len()]
                            .copy_from_slice(&bytes);
                        buffer.filled(bytes.len());
                        model.extend(bytes);
                    }
                    Step::Consume(len) => {
                        buffer.consume(len);
                        model.drain(..len.min(model.len()));
                    }
                    Step::Split(len) => {
                        let split: Vec<u8> = model.drain(..len.min(model.len())).collect();
                        let bytes = buffer.split(len);
                        prop_assert_eq!(bytes.as_ref(), &split[..]);
                    }
                }
                prop_assert_eq!(buffer.unread(), &model[..]);
            }
        }

        /// A send queue loses nothing, whatever the kernel takes at a time.
        #[test]
        fn a_send_queue_is_a_queue(
            chunks in prop::collection::vec(prop::collection::vec(any::<u8>(), 0..20), 0..10),
            taken in 1usize..30,
        ) {
            let mut queue = SendQueue::default();
            chunks.iter().for_each(|chunk| queue.push(Bytes::from(chunk.clone())));
            let mut out = Vec::new();
            while !queue.is_empty() {
                let view: Vec<u8> = {
                    let mut slices = [IoSlice::new(&[]); 4];
                    let count = queue.fill(&mut slices);
                    slices[..count].iter().flat_map(|slice| slice.to_vec()).collect()
                };
                let len = taken.min(view.len());
                out.extend_from_slice(&view[..len]);
                queue.sent(len);
            }
            prop_assert_eq!(out, chunks.concat());
        }
    }
}
