//! Both ends against the RFC, against each other, and against whoever changes a byte.

use super::*;
use proptest::collection::vec;
use proptest::prelude::*;

/// Rounds for tests that are not about rounds.
const FEW: u32 = 3;

fn verifier(password: &str) -> Verifier {
    Verifier::from_password(&Secret::new(password), [5; 16], FEW)
}

/// Runs an exchange, with a chance to change each message, numbered from 0, on its way.
fn exchange(
    client: &mut Client,
    server: &mut Server,
    change: impl Fn(usize, &mut Vec<u8>),
) -> Result<bool, Violation> {
    let on_the_way = |number, mut message: Vec<u8>| {
        change(number, &mut message);
        message
    };
    let server_first = server.first(&on_the_way(0, client.first()))?;
    let client_final = client.on_first(&on_the_way(1, server_first))?;
    match server.last(&on_the_way(2, client_final))? {
        Verdict::Accepted(server_final) => {
            client.on_final(&on_the_way(3, server_final)).map(|()| true)
        }
        Verdict::Refused => Ok(false),
    }
}

/// RFC 7677, section 3, except that its client gives a user name and its nonces are not Base64 of
/// 18 bytes: so the computation is checked here, and the messages elsewhere.
#[test]
fn the_computation_is_the_rfc_s() {
    let salt = STANDARD.decode("W22ZaJ0SNY7soEsUEjb6gQ==").unwrap();
    let keys = Keys::derive(&Secret::new("pencil"), &salt, 4096);
    let nonce = "rOprNGfwEbeRWgbNEkqO%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0";
    let auth_message = format!(
        "n=user,r=rOprNGfwEbeRWgbNEkqO,r={nonce},s=W22ZaJ0SNY7soEsUEjb6gQ==,i=4096,c=biws,r={nonce}"
    );
    let signature = hmac(&sha256(&keys.client_key), &[auth_message.as_bytes()]);
    let proof = STANDARD.encode(xor(signature, &keys.client_key));
    assert_eq!(proof, "dHzbZapWIk4jUhN+Ute9ytag9zjfMHgsqmmiz7AndVQ=");
    let signature = STANDARD.encode(hmac(&keys.server_key, &[auth_message.as_bytes()]));
    assert_eq!(signature, "6rriTRBi23WpRR/wtup+mMhUZUn/dB5nLTJRsjl95G4=");
}

/// The server's end takes the RFC's client, whose user name it ignores.
#[test]
fn the_server_takes_the_rfc_s_client() {
    let salt = STANDARD.decode("W22ZaJ0SNY7soEsUEjb6gQ==").unwrap().try_into().unwrap();
    let verifier = Verifier::from_password(&Secret::new("pencil"), salt, 4096);
    let mut server = Server::new(verifier, [9; NONCE_LEN]);
    let first = server.first(b"n,,n=user,r=rOprNGfwEbeRWgbNEkqO").unwrap();
    let nonce = format!("rOprNGfwEbeRWgbNEkqO{}", STANDARD.encode([9; NONCE_LEN]));
    let expected = format!("r={nonce},s=W22ZaJ0SNY7soEsUEjb6gQ==,i=4096");
    assert_eq!(std::str::from_utf8(&first), Ok(expected.as_str()));
}

/// The field's own client library logs in to our server's end, and our client's end makes the
/// same of the same messages.
#[test]
fn another_implementation_s_client_logs_in() {
    use postgres_protocol::authentication::sasl::{ChannelBinding, ScramSha256};
    for (binding, password) in [
        (ChannelBinding::unsupported(), "hunter2"),
        (ChannelBinding::unrequested(), "hunter2"),
        (ChannelBinding::unsupported(), "I\u{ad}X \u{2168} pässword"),
    ] {
        let mut theirs = ScramSha256::new(password.as_bytes(), binding);
        let mut server = Server::new(verifier(password), [9; NONCE_LEN]);
        let first = server.first(theirs.message()).unwrap();
        theirs.update(&first).unwrap();
        let Verdict::Accepted(last) = server.last(theirs.message()).unwrap() else {
            panic!("{password:?} was refused")
        };
        theirs.finish(&last).unwrap();
    }
}

#[test]
fn a_verifier_reads_as_postgresql_keeps_it() {
    // Made by PostgreSQL's own algorithm in another implementation.
    let text = postgres_protocol::password::scram_sha_256(b"hunter2");
    let mut server = Server::new(Verifier::read(&text).unwrap(), [2; NONCE_LEN]);
    let mut client = Client::new(&Secret::new("hunter2"), [1; NONCE_LEN]);
    assert_eq!(exchange(&mut client, &mut server, |_, _| ()), Ok(true));

    let key = STANDARD.encode([0; 32]);
    let good = format!("SCRAM-SHA-256$4096:c2FsdA==${key}:{key}");
    assert!(
        Verifier::read(&good).is_some_and(|it| it.iterations() == 4096 && it.salt() == b"salt")
    );
    for (what, bad) in [
        ("nothing", String::new()),
        ("another mechanism", good.replace("256", "512")),
        ("no rounds", good.replace("4096", "0")),
        ("a sign", good.replace("4096", "+4096")),
        ("too many rounds to count", good.replace("4096", "99999999999")),
        ("no salt", good.replace("c2FsdA==", "")),
        ("a short key", good.replace(&key, "AAAA")),
        ("one key", good.replace(&format!(":{key}"), "")),
        ("more", format!("{good}:")),
    ] {
        assert!(Verifier::read(&bad).is_none(), "{what}");
    }
}

#[test]
fn a_wrong_password_is_refused_after_the_full_exchange() {
    let mut server = Server::new(verifier("hunter2"), [2; NONCE_LEN]);
    let mut client = Client::new(&Secret::new("hunter3"), [1; NONCE_LEN]);
    assert_eq!(exchange(&mut client, &mut server, |_, _| ()), Ok(false));
    assert!(!client.is_done());
}

#[test]
fn nobody_s_verifier_refuses_and_looks_like_anybody_s() {
    let nobody = Verifier::mock("eve", &[7; 32]);
    assert_eq!(nobody.salt(), Verifier::mock("eve", &[7; 32]).salt(), "stable for a user");
    assert_ne!(nobody.salt(), Verifier::mock("ann", &[7; 32]).salt(), "another user's");
    assert_ne!(nobody.salt(), Verifier::mock("eve", &[8; 32]).salt(), "another process's");
    assert_eq!((nobody.salt().len(), nobody.iterations()), (16, ITERATIONS));

    // Even whoever knew the keys would not get in.
    let mut known = verifier("hunter2");
    known.genuine = false;
    let mut client = Client::new(&Secret::new("hunter2"), [1; NONCE_LEN]);
    let mut server = Server::new(known, [2; NONCE_LEN]);
    assert_eq!(exchange(&mut client, &mut server, |_, _| ()), Ok(false));

    let mut client = Client::new(&Secret::new("nobody's password"), [1; NONCE_LEN]);
    let mut server = Server::deriving(None, [5; 16], FEW, [2; NONCE_LEN]);
    assert_eq!(exchange(&mut client, &mut server, |_, _| ()), Ok(false));
}

#[test]
fn what_a_client_may_not_begin_with() {
    for (message, violation) in [
        ("p=tls-server-end-point,,n=,r=abc", Violation::ChannelBinding),
        ("n,a=ann,n=,r=abc", Violation::AuthorizationIdentity),
        ("n,,m=x,n=,r=abc", Violation::Extension),
        ("n,,n=,r=", Violation::Nonce),
        ("n,,n=,r=a\u{7f}", Violation::Nonce),
        ("n,,n=,r=ä", Violation::Nonce),
        ("n,,n=,r=abc,", Violation::Attribute),
        ("n,,n=,r=abc,1=x", Violation::Attribute),
        ("n,,r=abc", Violation::Attribute),
        ("n,,n=", Violation::Attribute),
        ("n,x,n=,r=abc", Violation::Attribute),
        ("x,,n=,r=abc", Violation::Attribute),
        ("n", Violation::Attribute),
        ("", Violation::Attribute),
        ("n,,n=,r=a\0", Violation::NotText),
    ] {
        let mut server = Server::new(verifier("hunter2"), [2; NONCE_LEN]);
        assert_eq!(server.first(message.as_bytes()), Err(violation), "{message:?}");
        assert_eq!(server.first(b"n,,n=,r=abc"), Err(Violation::OutOfTurn), "{message:?}, then");
    }
    let mut server = Server::new(verifier("hunter2"), [2; NONCE_LEN]);
    assert_eq!(server.first(b"n,,n=\xff,r=abc"), Err(Violation::NotText));
    let mut server = Server::new(verifier("hunter2"), [2; NONCE_LEN]);
    let long = format!("n,,n=,r={}", "a".repeat(MESSAGE_LEN_MAX));
    assert_eq!(server.first(long.as_bytes()), Err(Violation::TooLong));
    let mut server = Server::new(verifier("hunter2"), [2; NONCE_LEN]);
    assert!(server.first(b"y,,n=ann,r=abc,x=unknown").is_ok(), "an optional extension");
    assert_eq!(server.first(b"n,,n=,r=abc"), Err(Violation::OutOfTurn));
}

#[test]
fn what_a_client_may_not_end_with() {
    let both = format!("abc{}", STANDARD.encode([2; NONCE_LEN]));
    let proof = STANDARD.encode([0; 32]);
    for (message, expected) in [
        (format!("c=biws,r={both},p={proof}"), Ok(Verdict::Refused)),
        (format!("c=biws,r={both},x=unknown,p={proof}"), Ok(Verdict::Refused)),
        (format!("c=eSws,r={both},p={proof}"), Err(Violation::ChannelBinding)),
        (format!("c=biws,r=abc,p={proof}"), Err(Violation::Nonce)),
        (format!("c=biws,r={both}x,p={proof}"), Err(Violation::Nonce)),
        (format!("c=biws,r={both},p={proof},x=y"), Err(Violation::Encoding)),
        (format!("c=biws,r={both},p=AAAA"), Err(Violation::Encoding)),
        (format!("c=biws,r={both}"), Err(Violation::Attribute)),
        (format!("r={both},p={proof}"), Err(Violation::Attribute)),
        (String::new(), Err(Violation::Attribute)),
    ] {
        let mut server = Server::new(verifier("hunter2"), [2; NONCE_LEN]);
        server.first(b"n,,n=,r=abc").unwrap();
        assert_eq!(server.last(message.as_bytes()), expected, "{message:?}");
        assert_eq!(
            server.last(message.as_bytes()),
            Err(Violation::OutOfTurn),
            "{message:?}, again"
        );
    }
}

#[test]
fn what_a_server_may_not_ask_for() {
    let ours = STANDARD.encode([1; NONCE_LEN]);
    for (message, violation) in [
        (format!("r={ours}x,s=c2FsdA==,i=0"), Violation::Iterations),
        (format!("r={ours}x,s=c2FsdA==,i=1000001"), Violation::Iterations),
        (format!("r={ours}x,s=c2FsdA==,i=99999999999"), Violation::Iterations),
        (format!("r={ours}x,s=c2FsdA==,i=-1"), Violation::Attribute),
        (format!("r={ours}x,s=c2FsdA==,i="), Violation::Attribute),
        (format!("r={ours}x,s=,i=1"), Violation::Encoding),
        (format!("r={ours}x,s=!,i=1"), Violation::Encoding),
        (format!("r={ours},s=c2FsdA==,i=1"), Violation::Nonce),
        ("r=another,s=c2FsdA==,i=1".to_owned(), Violation::Nonce),
        (format!("r={ours}x,s=c2FsdA==,i=1,x=y"), Violation::Extension),
        (format!("m=x,r={ours}x,s=c2FsdA==,i=1"), Violation::Extension),
        (format!("r={ours}x,i=1"), Violation::Attribute),
        ("e=other-error".to_owned(), Violation::ServerError),
        (String::new(), Violation::Attribute),
    ] {
        let mut client = Client::new(&Secret::new("hunter2"), [1; NONCE_LEN]);
        assert_eq!(client.on_first(message.as_bytes()), Err(violation), "{message:?}");
    }
    assert!(Violation::Iterations.to_string().ends_with(&client::ITERATIONS_MAX.to_string()));
    assert!(Violation::TooLong.to_string().contains(&MESSAGE_LEN_MAX.to_string()));
}

#[test]
fn a_server_that_does_not_know_the_password_is_found_out() {
    let ours = STANDARD.encode([1; NONCE_LEN]);
    let signature = STANDARD.encode([0; 32]);
    for (message, expected) in [
        (format!("v={signature}"), Violation::ServerSignature),
        (format!("v={signature},x=y"), Violation::Extension),
        ("v=AAAA".to_owned(), Violation::Encoding),
        ("e=invalid-proof".to_owned(), Violation::ServerError),
        (String::new(), Violation::Attribute),
    ] {
        let mut client = Client::new(&Secret::new("hunter2"), [1; NONCE_LEN]);
        client.on_first(format!("r={ours}x,s=c2FsdA==,i=1").as_bytes()).unwrap();
        assert_eq!(client.on_final(message.as_bytes()), Err(expected), "{message:?}");
        assert!(!client.is_done());
    }
    let mut client = Client::new(&Secret::new("hunter2"), [1; NONCE_LEN]);
    assert_eq!(client.on_final(b"v="), Err(Violation::OutOfTurn), "before it was asked");
}

#[test]
fn salted_keys_are_used_again_for_the_same_password_only() {
    let (password, other) = (Secret::new("hunter2"), Secret::new("hunter3"));
    let mut client = Client::new(&password, [1; NONCE_LEN]);
    assert!(client.salted().is_none());
    let mut server = Server::new(verifier("hunter2"), [2; NONCE_LEN]);
    assert_eq!(exchange(&mut client, &mut server, |_, _| ()), Ok(true));
    let salted = client.salted().cloned().unwrap();
    assert_eq!(format!("{salted:?}"), "Salted(…)");

    // Keys that are wrong on purpose show whether they were used.
    let mut marked = salted.clone();
    marked.keys.client_key = [0; 32];
    for (what, password, salted, server, expected) in [
        ("same", &password, salted.clone(), verifier("hunter2"), true),
        ("same, marked", &password, marked.clone(), verifier("hunter2"), false),
        ("other password", &other, marked.clone(), verifier("hunter3"), true),
        (
            "other salt",
            &password,
            marked.clone(),
            Verifier::from_password(&password, [6; 16], FEW),
            true,
        ),
        (
            "other rounds",
            &password,
            marked,
            Verifier::from_password(&password, [5; 16], FEW + 1),
            true,
        ),
    ] {
        let mut client = Client::with_salted(password, [3; NONCE_LEN], Some(salted));
        let mut server = Server::new(server, [4; NONCE_LEN]);
        assert_eq!(exchange(&mut client, &mut server, |_, _| ()), Ok(expected), "{what}");
    }
}

#[test]
fn passwords_are_prepared_as_postgresql_does() {
    for (what, one, other, same) in [
        ("a soft hyphen is nothing", "I\u{ad}X", "IX", true),
        ("compatibility characters are composed", "\u{2168}", "IX", true),
        ("a hard space is a space", "a\u{a0}b", "a b", true),
        ("letters keep their case", "user", "USER", false),
        ("what is refused is used as it is", "a\u{7}\u{ad}", "a\u{7}", false),
        ("what is nothing is used as it is", "\u{ad}", "\u{ad}\u{ad}", false),
    ] {
        let prepared = |text: &str| prepare(&Secret::new(text)).to_string();
        assert_eq!(prepared(one) == prepared(other), same, "{what}");
    }
}

#[test]
fn nothing_prints_its_keys() {
    assert_eq!(format!("{:?}", verifier("x")), "Verifier { iterations: 3, .. }");
    let server = Server::deriving(Some(Secret::new("x")), [0; 16], FEW, [0; NONCE_LEN]);
    assert_eq!(format!("{server:?}"), r#"Server { state: "First", .. }"#);
    let client = Client::new(&Secret::new("x"), [0; NONCE_LEN]);
    assert_eq!(format!("{client:?}"), r#"Client { state: "First", .. }"#);
}

proptest! {
    /// Whoever has the same password gets in, whatever is in it, and nobody else.
    #[test]
    fn both_ends_agree(
        one in "[^\\x00]{1,30}",
        other in "[^\\x00]{1,30}",
        nonces in any::<([u8; NONCE_LEN], [u8; NONCE_LEN])>(),
        salt in any::<[u8; 16]>(),
    ) {
        let (one, other) = (Secret::new(one), Secret::new(other));
        let same = *prepare(&one) == *prepare(&other);
        for (password, expected) in [(&one, true), (&other, same)] {
            let mut client = Client::new(password, nonces.0);
            let mut server = Server::deriving(Some(one.clone()), salt, FEW, nonces.1);
            prop_assert_eq!(exchange(&mut client, &mut server, |_, _| ()), Ok(expected));
            prop_assert_eq!(client.is_done(), expected);
            prop_assert!(server.verifier().is_some());
        }
    }

    /// A message that was changed on its way never leads to a login.
    #[test]
    fn a_changed_byte_is_noticed(number in 0..4_usize, place in any::<usize>(), mask in 1..=255_u8) {
        let mut client = Client::new(&Secret::new("hunter2"), [1; NONCE_LEN]);
        let mut server = Server::new(verifier("hunter2"), [2; NONCE_LEN]);
        let change = |at, message: &mut Vec<u8>| if at == number {
            let place = place % message.len();
            message[place] ^= mask;
        };
        prop_assert_ne!(exchange(&mut client, &mut server, change), Ok(true));
        prop_assert!(!client.is_done());
    }

    /// No bytes make either end panic, or let anybody in.
    #[test]
    fn any_bytes_are_taken(
        first in vec(any::<u8>(), 0..80),
        last in "(c=biws,|r=|abc|,p=|,|=|[a-z]|\\PC){0,12}",
    ) {
        let mut server = Server::new(verifier("hunter2"), [2; NONCE_LEN]);
        let _ = server.first(&first);
        let mut server = Server::new(verifier("hunter2"), [2; NONCE_LEN]);
        prop_assert!(server.first(b"n,,n=,r=abc").is_ok());
        prop_assert!(!matches!(server.last(last.as_bytes()), Ok(Verdict::Accepted(_))));

        let mut client = Client::new(&Secret::new("hunter2"), [1; NONCE_LEN]);
        prop_assert!(client.on_first(&first).is_err());
        let mut client = Client::new(&Secret::new("hunter2"), [1; NONCE_LEN]);
        let ours = STANDARD.encode([1; NONCE_LEN]);
        let message = format!("r={ours}x,s=c2FsdA==,i=1");
        prop_assert!(client.on_first(message.as_bytes()).is_ok());
        prop_assert!(client.on_final(&first).is_err());
    }
}
