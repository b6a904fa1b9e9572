//! The readers of messages, alone.

use pgherd_core::limits;
use pgherd_core::wire::error::Fields;
use pgherd_core::wire::frame::{Frame, Framer, Looks, plain_run};
use pgherd_core::wire::frontend::Subject;
use pgherd_core::wire::startup::{self as first, Look, Packet};
use pgherd_core::wire::{backend, frontend as client};

/// Frames tile the bytes, whichever table of looks is used and however much is in view at a time.
///
/// The first byte tells how much that is.
pub fn frame(data: &[u8]) {
    let Some((view, stream)) = data.split_first() else { return };
    for looks in [&client::LOOKS, &client::LOGIN_LOOKS, &backend::LOOKS] {
        let whole = tiles(stream, usize::MAX, looks);
        assert_eq!(tiles(stream, usize::from(*view) + 1, looks), whole, "cuts change the frames");
        assert!(plain_run(stream, looks) <= stream.len(), "a run goes beyond the bytes");
        let run = plain_run(stream, looks);
        assert_eq!(run, plain_run(stream.get(..run).unwrap_or_default(), looks), "a run is whole");
    }
}

/// Where messages begin, with their type bytes; `step` more bytes come into view whenever those
/// in view are not enough.
fn tiles(stream: &[u8], step: usize, looks: &Looks) -> Vec<(usize, u8)> {
    let (mut framer, mut at, mut starts) = (Framer::default(), 0, Vec::new());
    let mut in_view = stream.len().min(step);
    loop {
        let unread = stream.get(at..in_view).unwrap_or_default();
        match framer.peek(unread, looks) {
            Err(_) => return starts,
            Ok(Frame::Start { tag, len, body }) => {
                assert!(body.len() <= unread.len() && body.len() + 5 <= len, "a body is inside");
                starts.push((at, tag));
                at += framer.take(len, unread.len());
            }
            Ok(Frame::Middle { len }) => {
                assert!((1..=unread.len()).contains(&len), "a middle is inside");
                framer.take_middle(len);
                at += len;
            }
            Ok(Frame::Need(len)) => {
                assert!(len > unread.len(), "what is needed is in view already");
                assert!(len <= limits::VIEW_LEN_MAX, "{len} bytes are needed at once");
                if in_view == stream.len() {
                    return starts;
                }
                in_view = in_view.saturating_add(step).min(stream.len());
            }
        }
    }
}

/// The first packet is read the same whatever follows it, and half a packet asks for the rest.
pub fn startup(data: &[u8]) {
    match first::read(data) {
        Err(_) => {}
        Ok(Look::Need(len)) => {
            assert!(len > data.len(), "what is needed is in view already");
            assert!(len <= limits::STARTUP_PACKET_LEN_MAX, "{len} bytes are needed");
        }
        Ok(Look::Whole(packet, len)) => {
            let alone = data.get(..len).expect("a whole packet is in view");
            assert_eq!(first::read(alone).as_ref(), Ok(&Look::Whole(packet, len)));
            for cut in [0, 3, 4, len / 2, len - 1] {
                let half = first::read(data.get(..cut).unwrap_or_default());
                assert!(matches!(half, Ok(Look::Need(more)) if more > cut), "cut at {cut}");
            }
        }
    }
    if let Ok(Look::Whole(Packet::Startup(startup), _)) = first::read(data) {
        let composed = client::startup(&startup.params);
        if composed.len() <= limits::STARTUP_PACKET_LEN_MAX {
            let Ok(Look::Whole(Packet::Startup(again), len)) = first::read(&composed) else {
                panic!("what was read cannot be composed: {startup:?}")
            };
            assert_eq!((len, again.params), (composed.len(), startup.params));
        }
    }
}

/// Bodies of messages are read or refused, and what is read is part of them.
pub fn frontend(data: &[u8]) {
    let is_inside = |part: &[u8]| assert!(part.len() < data.len(), "longer than the message");
    client::query(data).iter().copied().for_each(is_inside);
    client::parse(data).iter().for_each(|(name, text)| is_inside(&[*name, *text].concat()));
    client::bind(data).iter().for_each(|(portal, name)| is_inside(&[*portal, *name].concat()));
    client::execute(data).iter().copied().for_each(is_inside);
    match client::subject(data) {
        Some(Subject::Statement(name) | Subject::Portal(name)) => is_inside(name),
        None => {}
    }
    client::key_data(data).iter().for_each(|(_, secret)| is_inside(secret));
    let fields = Fields::read(data);
    is_inside_or_empty(data, fields.message);
    is_inside_or_empty(data, fields.code);
    let _ = fields.is_fatal();
}

fn is_inside_or_empty(whole: &[u8], part: &[u8]) {
    assert!(part.is_empty() || part.len() < whole.len(), "longer than the message");
}
