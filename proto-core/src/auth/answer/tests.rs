//! Every question, for every kind of secret, in and out of turn.

use super::*;
use crate::auth::scram::{Server, Verdict, Verifier};
use crate::auth::secret::Secret;
use proptest::prelude::*;

const OFFER: &[u8] = b"SCRAM-SHA-256-PLUS\0SCRAM-SHA-256\0\0";

fn plain() -> Stored {
    Stored::Plain(Secret::new("secretpw"))
}

fn digest() -> Stored {
    Stored::Md5(md5::digest("secretpw", "bob"))
}

fn answer(stored: Option<&Stored>) -> Answer {
    Answer::new("bob", stored, &mut Entropy::from_seed([3; 32]))
}

fn server(password: &str) -> Server {
    let verifier = Verifier::from_password(&Secret::new(password), [5; 16], 3);
    Server::new(verifier, [2; NONCE_LEN])
}

fn sent(reply: Reply) -> Vec<u8> {
    match reply {
        Reply::Send(body) => body,
        Reply::Nothing | Reply::Cannot(_) => panic!("{reply:?}"),
    }
}

/// Plays SCRAM up to the proof; returns the server's verdict on it.
fn prove(answer: &mut Answer, server: &mut Server) -> Verdict {
    let initial = sent(answer.handle(Request::Sasl(OFFER)));
    let client_first = initial.strip_prefix(b"SCRAM-SHA-256\0\0\0\0\x20").unwrap();
    let server_first = server.first(client_first).unwrap();
    server.last(&sent(answer.handle(Request::SaslContinue(&server_first)))).unwrap()
}

#[test]
fn what_is_answered_to_which_question() {
    use Cannot::{Md5OnlyForPassword, Md5OnlyForScram, NoSecret, OutOfTurn, UnsupportedMechanism};
    let (plain, digest) = (plain(), digest());
    let salt = [1, 2, 3, 4];
    let md5_answer = [md5::challenge_response(&plain, "bob", salt).as_slice(), &[0]].concat();
    let cases: &[(&str, Option<&Stored>, Request<'_>, Reply)] = &[
        ("clear", Some(&plain), Request::CleartextPassword, Reply::Send(b"secretpw\0".to_vec())),
        (
            "clear, digest",
            Some(&digest),
            Request::CleartextPassword,
            Reply::Cannot(Md5OnlyForPassword),
        ),
        ("clear, nothing", None, Request::CleartextPassword, Reply::Cannot(NoSecret)),
        ("md5", Some(&plain), Request::Md5(salt), Reply::Send(md5_answer.clone())),
        ("md5, digest", Some(&digest), Request::Md5(salt), Reply::Send(md5_answer)),
        ("md5, nothing", None, Request::Md5(salt), Reply::Cannot(NoSecret)),
        ("scram, digest", Some(&digest), Request::Sasl(OFFER), Reply::Cannot(Md5OnlyForScram)),
        ("scram, nothing", None, Request::Sasl(OFFER), Reply::Cannot(NoSecret)),
        (
            "only -PLUS",
            Some(&plain),
            Request::Sasl(b"SCRAM-SHA-256-PLUS\0\0"),
            Reply::Cannot(UnsupportedMechanism),
        ),
        ("no offer", Some(&plain), Request::Sasl(b""), Reply::Cannot(UnsupportedMechanism)),
        (
            "behind the end",
            Some(&plain),
            Request::Sasl(b"\0SCRAM-SHA-256\0\0"),
            Reply::Cannot(UnsupportedMechanism),
        ),
        ("continue first", Some(&plain), Request::SaslContinue(b"r=x"), Reply::Cannot(OutOfTurn)),
        ("final first", Some(&plain), Request::SaslFinal(b"v=x"), Reply::Cannot(OutOfTurn)),
    ];
    for (what, stored, request, expected) in cases {
        let mut answer = answer(*stored);
        assert_eq!(answer.granted(), Ok(()), "{what}: a server may trust us");
        let reply = answer.handle(*request);
        assert!(reply == *expected, "{what}: {reply:?}");
        match expected {
            Reply::Cannot(cannot) => assert_eq!(answer.granted(), Err(*cannot), "{what}"),
            Reply::Send(_) | Reply::Nothing => assert_eq!(answer.granted(), Ok(()), "{what}"),
        }
        let again = answer.handle(*request);
        assert!(matches!(again, Reply::Cannot(_)), "{what}, again: {again:?}");
    }
}

#[test]
fn scram_proves_both_ends() {
    let mut answer = answer(Some(&plain()));
    let mut server = server("secretpw");
    let Verdict::Accepted(server_final) = prove(&mut answer, &mut server) else {
        panic!("the server refused")
    };
    // A server that skips its own proof is not believed.
    assert_eq!(answer.granted(), Err(Cannot::ServerNotAuthentic));
    assert_eq!(answer.handle(Request::SaslFinal(&server_final)), Reply::Nothing);
    assert_eq!(answer.granted(), Ok(()));

    // A later login at the same server computes nothing anew, and succeeds.
    let salted = answer.salted().cloned();
    assert!(salted.is_some());
    let mut later =
        Answer::new("bob", Some(&plain()), &mut Entropy::from_seed([4; 32])).with_salted(salted);
    let verdict = prove(&mut later, &mut self::server("secretpw"));
    assert!(matches!(verdict, Verdict::Accepted(_)));
}

#[test]
fn an_impostor_is_found_out() {
    let mut answer = answer(Some(&plain()));
    assert_eq!(prove(&mut answer, &mut server("guess")), Verdict::Refused);
    let forged = b"v=AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=";
    let reply = answer.handle(Request::SaslFinal(forged));
    assert_eq!(reply, Reply::Cannot(Cannot::ServerNotAuthentic));
    assert_eq!(answer.granted(), Err(Cannot::ServerNotAuthentic));
}

#[test]
fn a_server_may_not_change_its_mind() {
    for request in [Request::CleartextPassword, Request::Md5([0; 4]), Request::Sasl(OFFER)] {
        let mut answer = answer(Some(&plain()));
        sent(answer.handle(Request::Sasl(OFFER)));
        assert_eq!(answer.handle(request), Reply::Cannot(Cannot::OutOfTurn), "{request:?}");
    }
}

#[test]
fn nothing_prints_a_password() {
    let mut answer = answer(Some(&plain()));
    let reply = answer.handle(Request::CleartextPassword);
    assert_eq!(format!("{reply:?}"), "Send(…)");
    assert_eq!(format!("{answer:?}"), r#"Answer { user: "bob", state: "Answered", .. }"#);
}

proptest! {
    /// No bytes of a server make us panic, or believe it.
    #[test]
    fn any_bytes_are_taken(
        offer in "(SCRAM-SHA-256|\\x00|[A-Z]){0,4}",
        rest in proptest::collection::vec(proptest::collection::vec(any::<u8>(), 0..60), 1..4),
    ) {
        let mut answer = answer(Some(&plain()));
        let _ = answer.handle(Request::Sasl(offer.as_bytes()));
        for data in rest {
            let _ = answer.handle(Request::SaslContinue(&data));
            let reply = answer.handle(Request::SaslFinal(&data));
            prop_assert!(matches!(reply, Reply::Cannot(_)));
        }
        prop_assert!(answer.granted().is_err());
    }
}
