//! Carries out what a machine asks for, in order, and checks that it may.

use pgherd_core::id::{BackendId, ConnId};
use pgherd_core::message::{Closed, Message, Peer};
use pgherd_core::output::{Close, Output};

use super::socket::{Interest, NextRead, Phase, QUEUE_LEN_MAX, Socket};
use super::{Host, Input, Letter};
use crate::agenda::Event;
use crate::check::Source;
use crate::check::provenance::{Reply, Runs, Whose, Word, may_reach};
use crate::end::Address;
use crate::net::Write;
use crate::stage::{Owner, Stage};

/// Whether forwarded bytes are taken from the unread ones.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Taken {
    Yes,
    No,
}

impl Host {
    /// Drains the machine's outputs.
    pub(super) fn carry_out(&mut self, stage: &mut Stage) {
        while let Some(output) = self.machine.poll_output() {
            if let Err(what) = self.on_output(stage, output) {
                return self.report(stage, &what);
            }
        }
    }

    fn on_output(&mut self, stage: &mut Stage, output: Output) -> Result<(), String> {
        match output {
            Output::Forward { from, to, len } => {
                stage.note(format_args!("{:?}: forward {len} from {from} to {to}", self.name));
                self.forward(stage, from, to, len, Taken::Yes)
            }
            Output::Copy { from, to, len } => {
                stage.note(format_args!("{:?}: copy {len} from {from} to {to}", self.name));
                self.forward(stage, from, to, len, Taken::No)
            }
            Output::Skip { from, len } => {
                stage.note(format_args!("{:?}: skip {len} of {from}", self.name));
                self.take(stage, from, len).map(drop)
            }
            Output::Send { to, bytes } => {
                stage.note(format_args!("{:?}: send {} to {to}", self.name, bytes.len()));
                stage.trace.bytes(&bytes);
                self.queue(stage, to, Source::Machine, Word::default(), &bytes)
            }
            Output::Reread { conn } => {
                // The connection may have ended between the wish and its fulfilment.
                self.inputs.push_back(Input::Read(conn));
                Ok(())
            }
            Output::Connect { conn, to } => self.connect(stage, conn, to),
            Output::Close { conn, when } => self.close(stage, conn, when),
            Output::Move { conn, to, arrival } => {
                stage.note(format_args!("{:?}: move {conn} to shard {to}", self.name));
                let socket = self.open(conn)?;
                if !socket.queue.is_empty() {
                    return Err(format!("{conn} is moved with bytes in its queue"));
                }
                let mut socket = self.sockets.remove(&conn).ok_or("gone")?;
                (socket.interest, socket.next_read) = (Interest::None, NextRead::None);
                if let Some(end) = socket.end {
                    stage.owners.remove(&end);
                }
                let letter = Letter::Socket(Box::new(socket), arrival);
                self.letters.push((Peer::Shard(to), letter));
                Ok(())
            }
            Output::Post { to, message } => {
                stage.note(format_args!("{:?}: post {message:?} to {to:?}", self.name));
                if to == Peer::Operator && !matches!(*message, Message::Wish(_)) {
                    return Err("a message was posted to the operator".to_owned());
                }
                stage.checks.posted(&message);
                self.letters.push((to, Letter::Message(message)));
                Ok(())
            }
            Output::Recall { id } => {
                stage.note(format_args!("{:?}: recall job {id}", self.name));
                stage.soon(200, 20_000, Event::Recall { of: self.name, id });
                Ok(())
            }
            Output::Run { id, job } => {
                stage.note(format_args!("{:?}: run job {id}: {}", self.name, job.line));
                stage.soon(200, 20_000, Event::Command { of: self.name, id, job });
                Ok(())
            }
        }
    }

    /// Finds a connection that outputs may name.
    fn open(&mut self, conn: ConnId) -> Result<&mut Socket, String> {
        match self.sockets.get_mut(&conn) {
            Some(socket) if socket.is_open() => Ok(socket),
            Some(socket) => Err(format!("an output on {conn}, which is {:?}", socket.phase)),
            None => Err(format!("an output on {conn}, which is closed")),
        }
    }

    /// Takes unread bytes away.
    fn take(
        &mut self,
        stage: &mut Stage,
        from: ConnId,
        len: usize,
    ) -> Result<(Vec<u8>, Runs<Reply>), String> {
        let socket = self.open(from)?;
        if len > socket.unread.len() {
            let there = socket.unread.len();
            return Err(format!("{len} bytes of {from} are taken where {there} are unread"));
        }
        socket.taken += len as u64;
        let bytes = socket.unread.drain(..len).collect();
        let runs = socket.server().map(|end| stage.checks.provenance.taken(end, len));
        Ok((bytes, runs.unwrap_or_default()))
    }

    fn forward(
        &mut self,
        stage: &mut Stage,
        from: ConnId,
        to: ConnId,
        len: usize,
        taken: Taken,
    ) -> Result<(), String> {
        let socket = self.open(from)?;
        let (server, at) = (socket.server(), socket.taken);
        let whose = socket.client().map_or(Whose::Nobody, Whose::Client);
        let (bytes, runs) = match taken {
            Taken::Yes => self.take(stage, from, len)?,
            Taken::No => {
                let socket = self.open(from)?;
                let bytes = socket.unread.get(..len);
                let bytes = bytes.ok_or(format!("{len} bytes of {from} are copied, too many"))?;
                let runs = socket.server().map(|end| stage.checks.provenance.next(end, len));
                (bytes.to_vec(), runs.unwrap_or_default())
            }
        };
        let (client, asked) = (self.open(to)?.client(), self.open(to)?.server());
        if let (Whose::Client(client), Some(asked)) = (whose, asked) {
            stage.checks.stays.speaks(client, asked);
        }
        let Some((client, server)) = client.zip(server) else {
            return self.queue(stage, to, Source::Conn(from), Word { whose, at }, &bytes);
        };
        may_reach(client, &runs)?;
        let mut rest = bytes.as_slice();
        for (len, reply) in runs.pieces() {
            let (piece, more) = rest.split_at(len.min(rest.len()));
            rest = more;
            let turn = self.open(to)?.outgoing.turn();
            if let (Whose::Nobody, Some(turn)) = (reply.whose, turn) {
                stage.checks.deeds.answered(client, turn, server, reply.to)?;
            }
            self.queue(stage, to, Source::Conn(from), Word::default(), piece)?;
        }
        Ok(())
    }

    fn queue(
        &mut self,
        stage: &mut Stage,
        to: ConnId,
        source: Source,
        word: Word,
        bytes: &[u8],
    ) -> Result<(), String> {
        let socket = self.open(to)?;
        if let Some(end) = socket.server() {
            stage.checks.provenance.asks(end, bytes.len(), word);
        }
        socket.outgoing.follow(source, bytes).map_err(|what| format!("to {to}: {what}"))?;
        socket.queue.extend(bytes);
        if socket.queue.len() > QUEUE_LEN_MAX {
            return Err(format!("{} bytes are queued for {to}", socket.queue.len()));
        }
        self.touched(to);
        Ok(())
    }

    fn touched(&mut self, conn: ConnId) {
        if !self.dirty.contains(&conn) {
            self.dirty.push(conn);
        }
    }

    fn connect(&mut self, stage: &mut Stage, conn: ConnId, to: BackendId) -> Result<(), String> {
        stage.note(format_args!("{:?}: connect {conn} to node {to}", self.name));
        let owner = Owner::Machine(self.name, conn);
        let end = stage.connect(Address::Node(to.index()), owner);
        let socket = Socket::connecting(Some(end), to.index());
        if self.sockets.insert(conn, socket).is_some() {
            return Err(format!("{conn} is connected twice"));
        }
        Ok(())
    }

    fn close(&mut self, stage: &mut Stage, conn: ConnId, when: Close) -> Result<(), String> {
        stage.note(format_args!("{:?}: close {conn} {when:?}", self.name));
        let Some(socket) = self.sockets.get_mut(&conn) else {
            return Err(format!("{conn} is closed, and is closed already"));
        };
        if let (Some(client), Phase::Open) = (socket.client(), socket.phase)
            && stage.owners.contains_key(&client.other())
            && let Some(farewell) = socket.outgoing.farewell()
        {
            let provenance = &stage.checks.provenance;
            stage.checks.stays.ends(client, farewell, |server| provenance.is_busy(server))?;
        }
        self.over.extend(socket.server());
        match (socket.phase, when) {
            (Phase::Closed, _) | (Phase::Flushing, Close::AfterFlush) => {
                return Err(format!("{conn} is closed twice"));
            }
            (Phase::Open, Close::AfterFlush) if !socket.queue.is_empty() => {
                socket.phase = Phase::Flushing;
                self.touched(conn);
            }
            (Phase::Connecting | Phase::Open | Phase::Lost | Phase::Flushing, _) => {
                socket.phase = Phase::Closed;
                let lost = !socket.queue.is_empty();
                socket.queue.clear();
                if let Some(end) = socket.end.take() {
                    if lost { stage.reset(end) } else { stage.close(end) }
                }
                self.inputs.push_back(Input::Close(conn, Closed::ByUs));
            }
        }
        Ok(())
    }

    /// Offers what is queued to the kernel, for every connection that something was queued for.
    pub(super) fn flush_all(&mut self, stage: &mut Stage) {
        for conn in std::mem::take(&mut self.dirty) {
            self.flush(stage, conn);
        }
    }

    /// Offers what is queued to the kernel.
    pub(super) fn flush(&mut self, stage: &mut Stage, conn: ConnId) {
        let Some(socket) = self.sockets.get_mut(&conn) else { return };
        match socket.phase {
            Phase::Open | Phase::Flushing => {}
            Phase::Lost => return socket.queue.clear(),
            Phase::Connecting | Phase::Closed => return,
        }
        let Some(end) = socket.end else { return };
        while !socket.queue.is_empty() {
            let (front, _) = socket.queue.as_slices();
            match stage.write(end, front) {
                Write::Took(0) => return,
                Write::Took(len) => {
                    socket.queue.drain(..len);
                    self.inputs.push_back(Input::Sent(conn, len));
                }
                Write::Broken => {
                    socket.queue.clear();
                    // What the peer said before it left is still read, if it is wanted.
                    let more = socket.phase == Phase::Open && stage.net.is_readable(end);
                    if !more || socket.interest == Interest::None {
                        socket.phase = Phase::Lost;
                        self.inputs.push_back(Input::Close(conn, Closed::Broken));
                    }
                    return;
                }
            }
        }
        if socket.phase == Phase::Flushing {
            socket.phase = Phase::Closed;
            socket.end = None;
            stage.close(end);
            self.inputs.push_back(Input::Close(conn, Closed::ByUs));
        }
    }
}
