//! Peers that lie, dawdle, or speak something else.

use crate::client::{Client, Login, compose};
use crate::play::{LIMIT, Play, secs};
use crate::world::{Conn, Setup, World};

/// A login may take three seconds.
#[must_use]
pub fn hasty() -> Setup {
    Setup::default().set("authentication_timeout = \"3s\"")
}

/// What comes behind a request for encryption, before that is answered, may be somebody else's
/// (CVE-2021-23222): here the hello of a client that does not wait to be told that TLS is on.
pub fn bytes_behind_a_request_for_encryption_end_the_connection(w: &mut impl World) {
    for request in [compose::ssl_request(), compose::gss_request()] {
        let conn = w.open();
        w.send(conn, &[&request[..], b"\x16\x03\x01\x00\xa5\x01\x00\x00\xa1\x03\x03"].concat());
        let said = w.rest(conn, LIMIT);
        let said = said.strip_prefix(b"N").unwrap_or(&said);
        assert!(said.is_empty() || said[0] == b'E', "a login went on: {said:?}");
    }
    all_is_well(w);
}

/// Lengths that are too small, too large, or not true.
pub fn startup_packets_that_lie_about_their_length(w: &mut impl World) {
    let version = [0, 3, 0, 0];
    for len in [0_u32, 1, 4, 7, 10_005, 0x7fff_ffff, 0x8000_0000, u32::MAX] {
        ends(w, &[len.to_be_bytes(), version].concat());
    }
    // No terminator; a name without a value; no user at all.
    for body in ["user\0postgres\0", "user\0\0", "\0"] {
        let len = u32::try_from(body.len()).expect("short") + 8;
        ends(w, &[&len.to_be_bytes()[..], &version, body.as_bytes()].concat());
    }
    all_is_well(w);
}

/// Whatever it is, it is not a client.
pub fn random_bytes_end_only_their_own_connection(w: &mut impl World) {
    let app = w.connect("app");
    let mut noise = Noise(0x5eed);
    for len in [1_usize, 3, 8, 100, 5000, 20_000] {
        for _ in 0..5 {
            let conn = w.open();
            let bytes: Vec<u8> = (0..len).map(|_| noise.byte()).collect();
            w.send(conn, &bytes);
            // Behind so few bytes more may come, which is not a mistake yet.
            if len < 8 {
                w.close(conn, crate::world::End::Orderly);
            } else {
                w.rest(conn, LIMIT);
            }
        }
    }
    for text in ["GET / HTTP/1.1\r\nHost: db\r\n\r\n", "\x16\x03\x01\x02\0\x01\0\x01\u{fc}\x03\x03"]
    {
        ends(w, text.as_bytes());
    }
    // In the middle of a session, too.
    for _ in 0..10 {
        let victim = w.connect("victim");
        let bytes: Vec<u8> = (0..5000).map(|_| noise.byte() | 0x80).collect();
        w.send(victim.conn, &bytes);
        w.rest(victim.conn, LIMIT);
    }
    w.run(&app, "select 1");
    all_is_well(w);
}

/// A claim is not an allocation.
pub fn a_message_of_two_gigabytes_is_not_believed(w: &mut impl World) {
    let app = w.connect("app");
    let before = w.memory();
    for tag in *b"QPBDECFSdp" {
        let liar = w.connect("liar");
        w.send(liar.conn, &[tag, 0x7f, 0xff, 0xff, 0xff]);
        let said = w.rest(liar.conn, LIMIT);
        explains(&liar, &said);
        let memory = w.memory();
        assert!(memory < before + w.scale().growth_len_max, "{before} grew to {memory}");
    }
    w.run(&app, "select 1");
}

/// No message has this type.
pub fn an_unknown_message_ends_only_its_own_session(w: &mut impl World) {
    let app = w.connect("app");
    for (tag, body) in [(b'!', &b"what"[..]), (0, b""), (b'Q', b"no terminator"), (b'Z', b"I")] {
        let odd = w.connect("odd");
        w.run(&odd, "begin");
        w.send(odd.conn, &compose::raw(tag, body));
        // What is malformed, as opposed to unknown, a server may refuse and go on.
        let mut said = Vec::new();
        w.wait("an error, or the end", LIMIT, |w| {
            said.extend(w.take(odd.conn));
            !said.is_empty() || w.is_closed(odd.conn)
        });
        assert!(said.is_empty() || said[0] == b'E', "it was answered: {said:?}");
        w.vanish(&odd);
    }
    w.run(&app, "select 1");
    all_is_well(w);
}

/// Before anybody has proved anything, a length is believed even less.
pub fn a_password_of_any_length_is_not_believed(w: &mut impl World) {
    let before = w.memory();
    for len in [u32::MAX, 0x4000_0000, 70_000, 3, 0] {
        let conn = w.open();
        w.send(conn, &Login::default().packet());
        let mut said = Vec::new();
        w.wait("a request for authentication", LIMIT, |w| {
            said.extend(w.take(conn));
            said.len() >= 9
        });
        assert_eq!(said[0], b'R');
        w.send(conn, &[&b"p"[..], &len.to_be_bytes()].concat());
        let what = format!("a password of a claimed length of {len} is refused");
        w.wait(&what, LIMIT, |w| {
            w.take(conn);
            w.is_closed(conn)
        });
    }
    let memory = w.memory();
    assert!(memory < before + w.scale().growth_len_max, "{before} grew to {memory}");
    all_is_well(w);
}

/// Who says no more is shown out when the time for a login is over, and not before.
pub fn half_a_startup_packet_and_silence(w: &mut impl World) {
    let packet = Login::default().packet();
    let begun = w.now();
    let conns: Vec<Conn> = [&packet[..0], &packet[..3], &packet[..packet.len() / 2], &packet[..]]
        .iter()
        .map(|part| {
            let conn = w.open();
            w.send(conn, part);
            conn
        })
        .collect();
    for conn in conns {
        w.rest(conn, secs(30));
        let waited = w.now() - begun;
        assert!(waited >= secs(2), "shown out after {waited:?}");
    }
    all_is_well(w);
}

/// Bytes that keep coming do not buy more time.
pub fn a_login_one_byte_at_a_time(w: &mut impl World) {
    let packet = Login::default().with("options", &"-c work_mem=5MB ".repeat(50)).packet();
    let conn = w.open();
    let begun = w.now();
    for byte in packet {
        w.send(conn, &[byte]);
        let next = w.now() + std::time::Duration::from_millis(100);
        while w.now() < next {
            w.step();
        }
        if w.is_closed(conn) || w.now() - begun > secs(30) {
            break;
        }
        w.take(conn);
    }
    let waited = w.now() - begun;
    assert!(waited >= secs(2) && waited < secs(30), "shown out after {waited:?}");
    all_is_well(w);
}

/// A slow client is a client: once logged in it may take its time.
pub fn a_query_one_byte_at_a_time(w: &mut impl World) {
    let slow = w.connect("slow");
    let other = w.connect("other");
    let sql = "select 42";
    let message = compose::query(sql);
    slow.note_sent(&message);
    for byte in message {
        w.send(slow.conn, &[byte]);
        w.wait("it has left", LIMIT, |w| w.unsent(slow.conn) == 0);
        w.step();
        w.run(&other, "select 1");
    }
    assert_eq!(w.finish(&slow).good().value(), "42");
}

/// Sends this and expects to be shown out.
fn ends(w: &mut impl World, bytes: &[u8]) {
    let conn = w.open();
    w.send(conn, bytes);
    let said = w.rest(conn, LIMIT);
    assert!(said.is_empty() || said[0] == b'E', "{bytes:?} was answered with {said:?}");
}

/// A client that is told why its session ends is told by PostgreSQL's code. PostgreSQL itself
/// says nothing to such a client.
fn explains(client: &Client, said: &[u8]) {
    client.digest(said);
    if let Some(fields) = client.dismissal() {
        assert_eq!(fields.code(), "08P01", "{fields}");
    }
}

fn all_is_well(w: &mut impl World) {
    let app = w.connect("app");
    assert_eq!(w.run(&app, "select 1").value(), "1");
    w.terminate(&app);
}

/// Bytes without a pattern, the same in every run (Marsaglia's xorshift).
struct Noise(u64);

impl Noise {
    fn byte(&mut self) -> u8 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0.to_le_bytes()[3]
    }
}
