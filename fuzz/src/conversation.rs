//! A whole shard, spoken to by a client or by a server that says anything.

use pgherd_core::time::Duration;
use pgherd_core::wire::frame::{Frame, Framer, Looks};
use pgherd_core::wire::startup::Params;
use pgherd_core::wire::{backend as server, frontend};

use super::rig::{Cuts, Rig, Setting};
use super::servers::{Honest, Wild};

/// Flags in the first byte of an input.
mod flag {
    pub(super) const STANDBY: u8 = 1;
    pub(super) const SLOW_CLIENT: u8 = 2;
    pub(super) const ONE_BYTE_READS: u8 = 4;
    pub(super) const SHORT_READS: u8 = 8;
    /// The client's bytes begin with its first packet.
    pub(super) const FROM_THE_START: u8 = 16;
}

/// Longest input that is played byte by byte, in bytes: so that a run stays short.
const BYTEWISE_LEN_MAX: usize = 4096;

fn setting(flags: u8, len: usize) -> Setting {
    let cuts: &[usize] = if flags & flag::ONE_BYTE_READS != 0 && len <= BYTEWISE_LEN_MAX {
        &[1]
    } else if flags & flag::SHORT_READS != 0 {
        &[7, 60, 3, 1000, 19]
    } else {
        &[]
    };
    Setting {
        standbys: flags & flag::STANDBY,
        cuts: Cuts::new(cuts),
        pace: (flags & flag::SLOW_CLIENT != 0).then_some(97),
        is_traced: false,
    }
}

/// A startup packet.
pub fn startup_packet(user: &'static str) -> Vec<u8> {
    let pair =
        |name: &'static str, value: &'static str| (name.as_bytes().into(), value.as_bytes().into());
    frontend::startup(&Params(vec![pair("user", user), pair("database", "db")])).to_vec()
}

/// Whole messages at the front of the bytes, as type bytes and bodies, and how many bytes of a
/// last one are left. Panics at what is not a message.
pub fn messages<'a>(bytes: &'a [u8], looks: &Looks) -> (Vec<(u8, &'a [u8])>, usize) {
    let (mut messages, mut at) = (Vec::new(), 0);
    loop {
        let rest = bytes.get(at..).unwrap_or_default();
        match Framer::default().peek(rest, looks) {
            Err(violation) => panic!("not a message, at {at}: {violation}"),
            Ok(Frame::Start { tag, len, .. }) if len <= rest.len() => {
                messages.push((tag, rest.get(5..len).unwrap_or_default()));
                at += len;
            }
            Ok(Frame::Start { .. } | Frame::Need(_) | Frame::Middle { .. }) => {
                return (messages, rest.len());
            }
        }
    }
}

/// A client that says anything, in front of honest servers: it is answered in whole messages, and
/// never more often than it asks; servers are sent whole messages too; it leaves nothing behind.
///
/// The first byte holds flags; what follows is what the client says, behind its startup packet or
/// from its first byte on.
pub fn session(data: &[u8]) {
    let Some((flags, bytes)) = data.split_first() else { return };
    let mut rig = Rig::new(setting(*flags, bytes.len()), Honest::default());
    let client = rig.accept();
    let starts_itself = flags & flag::FROM_THE_START != 0;
    if !starts_itself {
        rig.send(client, &startup_packet("user"));
        rig.settle();
    }
    rig.send(client, bytes);
    rig.settle();
    rig.pass(Duration::from_secs(120));
    let received = rig.received(client);
    // Requests for encryption are answered by a letter each.
    let letters =
        if starts_itself { received.iter().take_while(|b| **b == b'N').count() } else { 0 };
    let (answers, left) = messages(received.get(letters..).unwrap_or_default(), &server::LOOKS);
    // One who breaks the protocol in the middle of an answer is only closed.
    assert!(left == 0 || rig.is_closed(client), "the client waits for the rest of a message");
    let ready = answers.iter().filter(|(tag, _)| *tag == server::tag::READY).count();
    let asked = [frontend::tag::QUERY, frontend::tag::SYNC, frontend::tag::FUNCTION_CALL]
        .iter()
        .map(|tag| count_of(bytes, *tag))
        .sum::<usize>();
    assert!(ready <= asked + 1, "{ready} times ready for {asked} questions");
    rig.finish();
}

/// How often a byte occurs, which is no less often than messages of that type.
fn count_of(bytes: &[u8], tag: u8) -> usize {
    bytes.iter().filter(|byte| **byte == tag).count()
}

/// A server that says anything, to clients that ask something harmless: they are told so or
/// closed, in whole messages unless it broke off inside one, and the next client is served.
///
/// The first byte holds flags, the second what the client asks, and when the server goes wild.
pub fn backend(data: &[u8]) {
    let Some(([flags, question], words)) = data.split_first_chunk() else { return };
    let mut rig = Rig::new(
        setting(*flags & !flag::STANDBY, words.len()),
        Wild::new(words, usize::from(question >> 4 & 3)),
    );
    let client = rig.accept();
    rig.send(client, &startup_packet("user"));
    rig.settle();
    rig.send(client, &ask(question & 15));
    rig.settle();
    rig.pass(Duration::from_secs(120));
    let (_, left) = messages(rig.received(client), &server::LOOKS);
    assert!(left == 0 || rig.is_closed(client), "the client waits for the rest of a message");

    let next = rig.accept();
    rig.send(next, &startup_packet("next"));
    rig.send(next, &frontend::compose_query("select 1"));
    rig.pass(Duration::from_secs(20));
    let (answers, left) = messages(rig.received(next), &server::LOOKS);
    let ready = answers.iter().filter(|(tag, _)| *tag == server::tag::READY).count();
    assert_eq!((ready, left), (2, 0), "the next client is not served: {answers:?}");
    rig.finish();
}

/// Questions of a client.
fn ask(number: u8) -> Vec<u8> {
    let query = |text: &str| frontend::compose_query(text).to_vec();
    let batch = [
        frontend::compose(frontend::tag::PARSE, b"s\0select $1\0\0\0"),
        frontend::compose(frontend::tag::BIND, b"\0s\0\0\0\0\0\0\0"),
        frontend::compose(frontend::tag::DESCRIBE, b"P\0"),
        frontend::compose(frontend::tag::EXECUTE, b"\0\0\0\0\0"),
    ]
    .concat();
    let sync = frontend::compose(frontend::tag::SYNC, b"");
    let flush = frontend::compose(frontend::tag::FLUSH, b"");
    let data = frontend::compose(frontend::tag::COPY_DATA, b"1\n");
    match number {
        0 => query("select 1"),
        1 => [&batch[..], &sync].concat(),
        2 => [query("select 1"), query("select 2"), query("select 3")].concat(),
        3 => [&batch[..], &flush].concat(),
        4 => query("begin"),
        5 => [&query("copy t from stdin")[..], &data, &data].concat(),
        6 => query("set work_mem to '1MB'"),
        7 => [&batch[..], &sync, &batch, &sync].concat(),
        8 => frontend::compose(frontend::tag::FUNCTION_CALL, &[0; 10]).to_vec(),
        9 => query("listen a"),
        10 => query("discard all"),
        11 => sync.to_vec(),
        12 => query("copy t to stdout"),
        13 => [query("select 1"), batch, frontend::compose_terminate().to_vec()].concat(),
        14 => Vec::new(),
        _ => [query("show pool_nodes"), query("select 1")].concat(),
    }
}
