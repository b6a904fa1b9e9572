//! What a machine asks of its driver, and the queue in which it waits to be asked.

use std::collections::VecDeque;

use bytes::Bytes;

use crate::id::{BackendId, ConnId, ShardId};
use crate::job::{Job, JobId};
use crate::message::{Arrival, Message, Peer};

/// One instruction for the driver. Carried out in order, exactly once.
#[derive(Debug)]
pub enum Output {
    /// The next `len` unread bytes of `from` go to `to`.
    Forward {
        /// Whose unread bytes.
        from: ConnId,
        /// Who receives them.
        to: ConnId,
        /// How many.
        len: usize,
    },
    /// As `Forward`, but the bytes stay unread.
    Copy {
        /// Whose unread bytes.
        from: ConnId,
        /// Who receives them.
        to: ConnId,
        /// How many.
        len: usize,
    },
    /// The next `len` unread bytes of `from` are dropped.
    Skip {
        /// Whose unread bytes.
        from: ConnId,
        /// How many.
        len: usize,
    },
    /// Bytes that the core composed itself go to `to`.
    Send {
        /// Who receives them.
        to: ConnId,
        /// The bytes.
        bytes: Bytes,
    },
    /// Call `handle_read` with what is unread (which may be nothing), and ask `wants_read` again.
    Reread {
        /// Whose unread bytes.
        conn: ConnId,
    },
    /// Open a connection and answer with `handle_connect`.
    Connect {
        /// What the connection is called.
        conn: ConnId,
        /// Which node it goes to.
        to: BackendId,
    },
    /// Close a connection and answer with `handle_close`; until then it gives no other input but
    /// `handle_sent`. A second `Close` hastens the first.
    Close {
        /// Which connection.
        conn: ConnId,
        /// How soon.
        when: Close,
    },
    /// A connection's socket and unread bytes change machines; its name ends here, and begins
    /// there with `handle_accept`.
    Move {
        /// Which connection.
        conn: ConnId,
        /// Where it goes.
        to: ShardId,
        /// As what it arrives there.
        arrival: Arrival,
    },
    /// A message for another machine.
    Post {
        /// Who receives it.
        to: Peer,
        /// The message.
        message: Box<Message>,
    },
    /// End a command that runs, with all that it has started; it answers as any other. One that has
    /// ended already has answered.
    Recall {
        /// What the job is called.
        id: JobId,
    },
    /// Run a command, beside everything else, and answer with [`Message::Ended`].
    Run {
        /// What the job is called.
        id: JobId,
        /// What is to be run.
        job: Box<Job>,
    },
}

const _: () = assert!(size_of::<Output>() <= 48, "outputs are moved on every query");

/// How soon a connection is closed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Close {
    /// When what is queued has been sent.
    AfterFlush,
    /// At once; what is queued is lost.
    Now,
}

/// Outputs that wait for the driver, in order. Adjacent forwards are merged.
#[derive(Debug, Default)]
pub struct Outputs {
    queue: VecDeque<Output>,
}

impl Outputs {
    /// Adds an output.
    pub fn push(&mut self, output: Output) {
        self.queue.push_back(output);
    }

    /// Adds a forward, or lets the last one grow.
    pub fn forward(&mut self, from: ConnId, to: ConnId, len: usize) {
        if let Some(Output::Forward { from: f, to: t, len: l }) = self.queue.back_mut()
            && *f == from
            && *t == to
        {
            *l += len;
            return;
        }
        self.queue.push_back(Output::Forward { from, to, len });
    }

    /// Adds a skip, or lets the last one grow.
    pub fn skip(&mut self, from: ConnId, len: usize) {
        if let Some(Output::Skip { from: f, len: l }) = self.queue.back_mut()
            && *f == from
        {
            *l += len;
            return;
        }
        self.queue.push_back(Output::Skip { from, len });
    }

    /// Adds a message.
    pub fn post(&mut self, to: Peer, message: Message) {
        self.queue.push_back(Output::Post { to, message: Box::new(message) });
    }

    /// Takes the next output.
    pub fn pop(&mut self) -> Option<Output> {
        self.queue.pop_front()
    }

    /// Tells whether all have been taken.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.queue.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::id::Slab;

    #[test]
    fn adjacent_forwards_merge_and_others_do_not() {
        let mut slab = Slab::new();
        let (a, b) = (slab.insert(()), slab.insert(()));
        let mut outputs = Outputs::default();
        outputs.forward(a, b, 10);
        outputs.forward(a, b, 5);
        outputs.skip(a, 1);
        outputs.skip(a, 2);
        outputs.forward(a, b, 7);
        outputs.forward(b, a, 7);
        let lens: Vec<_> = std::iter::from_fn(|| outputs.pop())
            .map(|output| {
                if let Output::Forward { len, .. } = output {
                    ("forward", len)
                } else if let Output::Skip { len, .. } = output {
                    ("skip", len)
                } else {
                    panic!("{output:?}")
                }
            })
            .collect();
        assert_eq!(lens, [("forward", 15), ("skip", 3), ("forward", 7), ("forward", 7)]);
    }
}
