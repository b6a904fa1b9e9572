//! Every method, for users who exist, do not, or have a secret of the wrong kind.

use super::*;
use crate::auth::answer::{Answer, Reply, Request};
use crate::auth::passwd::Users;
use proptest::prelude::*;

const MOCK_KEY: [u8; 32] = [7; 32];

fn plain(password: &str) -> Option<Stored> {
    Some(Stored::Plain(Secret::new(password)))
}

fn digest(password: &str) -> Option<Stored> {
    Some(Stored::Md5(md5::digest(password, "ann")))
}

/// Lets a client who knows `knows` log in, and returns how it ended, the reason, and the kinds and
/// lengths of what was sent to it.
fn log_in(
    (mut exchange, mut step): (Exchange, Step),
    knows: Option<&Stored>,
) -> (Step, Option<Reason>, Vec<(&'static str, usize)>) {
    let mut client = Answer::new("ann", knows, &mut Entropy::from_seed([3; 32]));
    let mut sent = Vec::new();
    loop {
        let ask = match &step {
            Step::Send(ask) | Step::Granted { last: Some(ask) } => ask,
            Step::Granted { last: None } | Step::Refused | Step::Violation(_) => {
                return (step, exchange.reason(), sent);
            }
        };
        let mechanisms = [MECHANISM.as_bytes(), &[0, 0]].concat();
        let (kind, len, request) = match ask {
            Ask::CleartextPassword => ("password", 0, Request::CleartextPassword),
            Ask::Md5Password(salt) => ("md5", salt.len(), Request::Md5(*salt)),
            Ask::Sasl => ("sasl", 0, Request::Sasl(&mechanisms)),
            Ask::SaslContinue(data) => ("continue", data.len(), Request::SaslContinue(data)),
            Ask::SaslFinal(data) => ("final", data.len(), Request::SaslFinal(data)),
        };
        sent.push((kind, len));
        match client.handle(request) {
            Reply::Send(body) => step = exchange.handle_password(&body),
            Reply::Nothing => {
                assert_eq!(client.granted(), Ok(()));
                return (step, exchange.reason(), sent);
            }
            Reply::Cannot(cannot) => panic!("{kind}: {cannot}"),
        }
    }
}

fn start(method: Method, stored: Option<Stored>) -> (Exchange, Step) {
    Exchange::new(method, "ann", stored, &mut Entropy::from_seed([5; 32]), &MOCK_KEY)
}

#[test]
fn who_gets_in_by_which_method() {
    use Method::{Md5, Password, Scram, Trust};
    use Reason::{NoSuchUser, SecretUnusable, WrongPassword};
    let cases = [
        ("trust asks nobody", Trust, None, plain("x"), None),
        ("trust asks nobody who is known", Trust, plain("one"), plain("x"), None),
        ("password, right", Password, plain("one"), plain("one"), None),
        ("password, wrong", Password, plain("one"), plain("two"), Some(WrongPassword)),
        ("password, a part", Password, plain("one"), plain("on"), Some(WrongPassword)),
        ("password, empty", Password, plain("one"), plain(""), Some(WrongPassword)),
        ("password, digest stored", Password, digest("one"), plain("one"), None),
        ("password, digest, wrong", Password, digest("one"), plain("two"), Some(WrongPassword)),
        ("password, unknown", Password, None, plain("one"), Some(NoSuchUser)),
        ("password, both empty", Password, plain(""), plain(""), Some(SecretUnusable(Password))),
        ("md5, right", Md5, plain("one"), plain("one"), None),
        ("md5, wrong", Md5, plain("one"), plain("two"), Some(WrongPassword)),
        ("md5, digests", Md5, digest("one"), digest("one"), None),
        ("md5, digest stored, wrong", Md5, digest("one"), plain("two"), Some(WrongPassword)),
        ("md5, unknown", Md5, None, plain("one"), Some(NoSuchUser)),
        ("md5, both empty", Md5, plain(""), plain(""), Some(SecretUnusable(Md5))),
        ("scram, right", Scram, plain("one"), plain("one"), None),
        ("scram, wrong", Scram, plain("one"), plain("two"), Some(WrongPassword)),
        ("scram, digest stored", Scram, digest("one"), plain("one"), Some(SecretUnusable(Scram))),
        ("scram, unknown", Scram, None, plain("one"), Some(NoSuchUser)),
        ("scram, both empty", Scram, plain(""), plain(""), Some(SecretUnusable(Scram))),
    ];
    for (what, method, stored, knows, expected) in cases {
        let (step, reason, _) = log_in(start(method, stored), knows.as_ref());
        assert_eq!(reason, expected, "{what}");
        assert_eq!(matches!(step, Step::Granted { .. }), expected.is_none(), "{what}: {step:?}");
        assert_eq!(matches!(step, Step::Refused), expected.is_some(), "{what}: {step:?}");
    }
}

#[test]
fn an_unknown_user_looks_like_a_wrong_password() {
    let (users, _) = Users::read("ann:one\nbob:two", None);
    let cache = VerifierCache::of(&users, &MOCK_KEY, &VerifierCache::off());
    for cache in [VerifierCache::off(), cache] {
        for method in [Method::Password, Method::Md5, Method::Scram] {
            let seen = [plain("one"), None, digest("one"), plain("")].map(|stored| {
                let mut entropy = Entropy::from_seed([5; 32]);
                let started =
                    Exchange::with_cache(method, "ann", stored, &mut entropy, &MOCK_KEY, &cache);
                let (step, _, sent) = log_in(started, plain("two").as_ref());
                (step, sent)
            });
            // The MD5 method can use a digest, and refuses the wrong password all the same.
            assert!(seen.iter().all(|it| *it == seen[0]), "{method:?}: {seen:?}");
            assert_eq!(seen[0].0, Step::Refused);
        }
    }
}

/// Salts are the same at every login, for known users and unknown ones, cached or not.
#[test]
fn salts_tell_nothing() {
    let (users, _) = Users::read("ann:one", None);
    let cache = VerifierCache::of(&users, &MOCK_KEY, &VerifierCache::off());
    let salt = |user: &str, stored: Option<Stored>, seed: u8, cache: &VerifierCache| {
        let mut entropy = Entropy::from_seed([seed; 32]);
        let (mut exchange, _) =
            Exchange::with_cache(Method::Scram, user, stored, &mut entropy, &MOCK_KEY, cache);
        let body = [b"SCRAM-SHA-256\0\0\0\0\x0b".as_slice(), b"n,,n=,r=abc"].concat();
        let Step::Send(Ask::SaslContinue(first)) = exchange.handle_password(&body) else {
            panic!("no server-first message")
        };
        String::from_utf8(first).unwrap().split_once(",s=").unwrap().1.to_owned()
    };
    let off = VerifierCache::off();
    let ann = salt("ann", plain("one"), 1, &off);
    assert_eq!(ann, salt("ann", plain("one"), 2, &off));
    assert_eq!(ann, salt("ann", plain("one"), 3, &cache));
    assert_eq!(ann, salt("ann", None, 4, &off), "as if she had never existed");
    assert_eq!(ann, salt("ann", None, 5, &cache));
    assert_ne!(ann, salt("eve", None, 6, &cache));
}

#[test]
fn a_cached_verifier_lets_its_user_in() {
    let (users, _) = Users::read("ann:one", None);
    let cache = VerifierCache::of(&users, &MOCK_KEY, &VerifierCache::off());
    for (stored, knows, expected) in [
        (plain("one"), plain("one"), None),
        (plain("one"), plain("two"), Some(Reason::WrongPassword)),
        // The list has changed since the cache was made.
        (plain("two"), plain("two"), None),
        (plain("two"), plain("one"), Some(Reason::WrongPassword)),
        (None, plain("one"), Some(Reason::NoSuchUser)),
    ] {
        let mut entropy = Entropy::from_seed([5; 32]);
        let started =
            Exchange::with_cache(Method::Scram, "ann", stored, &mut entropy, &MOCK_KEY, &cache);
        assert_eq!(log_in(started, knows.as_ref()).1, expected);
    }
}

#[test]
fn a_client_may_wait_for_an_empty_challenge() {
    let (mut exchange, _) = start(Method::Scram, plain("one"));
    let choice = b"SCRAM-SHA-256\0\xff\xff\xff\xff";
    assert_eq!(exchange.handle_password(choice), Step::Send(Ask::SaslContinue(Vec::new())));
    let step = exchange.handle_password(b"n,,n=,r=abc");
    assert!(matches!(&step, Step::Send(Ask::SaslContinue(data)) if data.starts_with(b"r=abc")));
}

#[test]
fn how_a_client_breaks_the_protocol() {
    use Violation::{InitialResponseMalformed, MechanismNotOffered, PasswordNotTerminated};
    let cases: &[(Method, &[u8], Violation)] = &[
        (Method::Password, b"", PasswordNotTerminated),
        (Method::Password, b"one", PasswordNotTerminated),
        (Method::Password, b"one\0\0", PasswordNotTerminated),
        (Method::Password, b"one\0more\0", PasswordNotTerminated),
        (Method::Md5, b"md5", PasswordNotTerminated),
        (Method::Scram, b"", InitialResponseMalformed),
        (Method::Scram, b"SCRAM-SHA-256", InitialResponseMalformed),
        (Method::Scram, b"SCRAM-SHA-256\0\0\0\0", InitialResponseMalformed),
        (Method::Scram, b"SCRAM-SHA-256\0\0\0\0\x01", InitialResponseMalformed),
        (Method::Scram, b"SCRAM-SHA-256\0\0\0\0\x01ab", InitialResponseMalformed),
        (Method::Scram, b"SCRAM-SHA-256\0\xff\xff\xff\xffa", InitialResponseMalformed),
        (Method::Scram, b"SCRAM-SHA-256\0\xff\xff\xff\xfe", InitialResponseMalformed),
        (Method::Scram, b"SCRAM-SHA-256-PLUS\0\0\0\0\0", MechanismNotOffered),
        (Method::Scram, b"\0\0\0\0\0", MechanismNotOffered),
        (Method::Scram, b"SCRAM-SHA-256\0\0\0\0\0", Violation::Scram(scram::Violation::Attribute)),
    ];
    for (method, body, violation) in cases {
        let (mut exchange, _) = start(*method, plain("one"));
        let text = String::from_utf8_lossy(body);
        assert_eq!(exchange.handle_password(body), Step::Violation(*violation), "{text:?}");
        let again = exchange.handle_password(body);
        assert_eq!(again, Step::Violation(Violation::OutOfTurn), "{text:?}, again");
    }
    let (mut exchange, _) = start(Method::Trust, None);
    assert_eq!(exchange.handle_password(b"one\0"), Step::Violation(Violation::OutOfTurn));
}

#[test]
fn an_exchange_never_prints_its_secrets() {
    let (exchange, _) = start(Method::Password, plain("hunter2"));
    assert_eq!(format!("{exchange:?}"), r#"Exchange { user: "ann", state: "Password", .. }"#);
}

proptest! {
    /// No bytes make an exchange panic, and none but a proof let anybody in.
    #[test]
    fn any_bytes_are_taken(
        method in proptest::sample::select(vec![Method::Password, Method::Md5, Method::Scram]),
        bodies in proptest::collection::vec(proptest::collection::vec(any::<u8>(), 0..40), 0..4),
    ) {
        let (mut exchange, _) = start(method, plain("a password longer than any of these bodies are"));
        for body in bodies {
            let step = exchange.handle_password(&body);
            let granted = matches!(step, Step::Granted { .. });
            prop_assert!(!granted);
        }
    }
}
