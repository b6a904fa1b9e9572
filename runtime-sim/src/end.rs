//! The ends of a link, how one comes by them, and what the network does with them.

/// One end of a link.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct End {
    pub(crate) link: u64,
    pub(crate) side: Side,
}

/// Which end of a link.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Side {
    /// The end that connected.
    Near,
    /// The end that accepted.
    Far,
}

impl Side {
    /// The end that is not this one.
    pub(crate) const fn other(self) -> Self {
        match self {
            Self::Near => Self::Far,
            Self::Far => Self::Near,
        }
    }
}

impl End {
    /// The end that connected, of the link of this number.
    #[cfg(test)]
    pub(crate) const fn near(link: u64) -> Self {
        Self { link, side: Side::Near }
    }

    /// The other end of the link.
    pub(crate) const fn other(self) -> Self {
        Self { link: self.link, side: self.side.other() }
    }
}

/// Where one can connect to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Address {
    /// The proxy.
    Proxy,
    /// The proxy's port for administrators.
    Admin,
    /// A server.
    Node(usize),
}

/// Something that the network will do.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Due {
    /// A connection request arrives.
    Connect(End),
    /// Its answer arrives.
    Answer(End, Answer),
    /// Bytes sent by this end arrive at the other.
    Transfer(End),
    /// A reset by this end arrives at the other.
    Reset(End),
}

/// What comes of a connection request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Answer {
    /// Somebody listens.
    Accepted,
    /// Nobody does.
    Refused,
}

/// What an owner of an end should know.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Notice {
    /// A connection has come; this is its end at the listener.
    Arrived(End, Address),
    /// The connection that was asked for is there, or not.
    Answered(End, Answer),
    /// There may be something to read: bytes, the end of the stream or an error.
    Readable(End),
    /// There may be room for sending.
    Writable(End),
}
