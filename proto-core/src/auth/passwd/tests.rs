//! What password files mean, entry by entry.

use super::*;
use crate::entropy::Entropy;
use proptest::prelude::*;

/// What a stored text should turn out to be.
#[derive(Debug, PartialEq)]
enum Is<'a> {
    Password(&'a str),
    Digest(&'a str),
    Wrong(Mistake),
}

fn is(found: &Result<Stored, Mistake>) -> Is<'_> {
    match found {
        Ok(Stored::Plain(password)) => Is::Password(password.expose()),
        Ok(Stored::Md5(digest)) => Is::Digest(std::str::from_utf8(digest).unwrap()),
        Err(mistake) => Is::Wrong(*mistake),
    }
}

#[test]
fn a_stored_secret_is_told_by_its_look() {
    use Is::{Digest, Password, Wrong};
    let key = Key::read("mypoolkey\n");
    let digest = "4827d22203568d0d5b46bf27f000a914";
    let md5 = format!("md5{digest}");
    let md5_upper = format!("md5{}", digest.to_uppercase());
    let md5_cut = &md5[..30];
    let md5_text = format!("TEXT{md5}");
    let cases: &[(&str, Is<'_>)] = &[
        ("hunter2", Password("hunter2")),
        ("TEXThunter2", Password("hunter2")),
        ("TEXTAESnot", Password("AESnot")),
        (&md5_text, Password(&md5)),
        ("text", Password("text")),
        ("md5sum", Password("md5sum")),
        ("md5cafe", Password("md5cafe")),
        (&md5, Digest(digest)),
        (&md5_upper, Wrong(Mistake::Md5Malformed)),
        (md5_cut, Wrong(Mistake::Md5Malformed)),
        ("md5thirty-two-bytes-of-no-hex-at-all", Password("md5thirty-two-bytes-of-no-hex-at-all")),
        ("md5zzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzz", Wrong(Mistake::Md5Malformed)),
        ("AES1soDBPtppom8N8KknAjANw==", Password("secretpw")),
        ("AES1soDBPtppom8N8KknAjANw", Wrong(Mistake::NotBase64)),
        ("AES", Wrong(Mistake::NotEncrypted)),
        ("AESGCM", Wrong(Mistake::NotEncrypted)),
        ("AESGCMAAAA", Wrong(Mistake::NotEncrypted)),
        ("AESGCM!!!!", Wrong(Mistake::NotBase64)),
        ("AESabcd", Wrong(Mistake::NotEncrypted)),
        ("AES and more", Wrong(Mistake::NotBase64)),
        ("SCRAM-SHA-256$4096:c2FsdA==$a2V5:a2V5", Wrong(Mistake::ScramVerifier)),
        ("", Wrong(Mistake::EmptyPassword)),
        ("TEXT", Wrong(Mistake::EmptyPassword)),
        ("a\0b", Wrong(Mistake::ZeroByte)),
    ];
    for (text, expected) in cases {
        let found = read_stored(text, Some(&key));
        assert_eq!(is(&found), *expected, "{text:?}");
    }
}

/// The file of a published Pgpool-II set-up, whose passwords are the user names.
#[test]
fn a_published_file_opens_with_its_key() {
    let text = "postgres:AESFK+C+SsZCGWyT3Ms4q1MOg==\n\
                pgpool:AESQ5bnrN9tu6V2y6NVoE1Pwg==\n\
                reader:AESKo9PIJYuOa9kA/hClNKnUg==\n\
                writer:AES1xhIjMkStiINppUoRE4mPA==\n\
                replicator:AEStWQQrGkATgObEU1EymwlRQ==\n";
    let (users, mistakes) = Users::read(text, Some(&Key::read("jorgeiscool\n")));
    assert_eq!(mistakes, []);
    assert_eq!(users.len(), 5);
    for name in users.names() {
        assert_eq!(users.password(name).map(Secret::expose), Some(name));
    }

    let (users, mistakes) = Users::read(text, Some(&Key::read("jorgeisnotcool")));
    assert!(users.is_empty());
    assert_eq!(mistakes, [1, 2, 3, 4, 5].map(|line| (line, Mistake::WrongKey)));

    let (_, mistakes) = Users::read(text, None);
    assert_eq!(mistakes, [1, 2, 3, 4, 5].map(|line| (line, Mistake::KeyMissing)));
}

#[test]
fn a_file_is_read_line_by_line() {
    let long = "x".repeat(TOKEN_LEN_MAX + 1);
    let text = format!(
        "ann:one\n\
         \n\
         ann:two\r\n\
         no colon\n\
         :nameless\n\
         a\\:b:c\\:d\\\\e:backend:secret\n\
         bob:md54827d22203568d0d5b46bf27f000a914\n\
         eve:\n\
         {long}:x\n\
         max:{long}\n\
         kim:last"
    );
    let (users, mistakes) = Users::read(&text, None);
    let expected = [
        (4, Mistake::NoColon),
        (5, Mistake::EmptyName),
        (8, Mistake::EmptyPassword),
        (9, Mistake::TooLong),
        (10, Mistake::TooLong),
    ];
    assert_eq!(mistakes, expected);
    assert_eq!(users.names().collect::<Vec<_>>(), ["a:b", "ann", "bob", "kim"]);
    assert_eq!(users.password("ann").map(Secret::expose), Some("one"), "the first entry counts");
    assert_eq!(users.password("a:b").map(Secret::expose), Some("c:d\\e"));
    assert_eq!(users.password("kim").map(Secret::expose), Some("last"));
    assert!(users.password("bob").is_none(), "a digest is no password");
    assert!(matches!(users.get("bob"), Some(Stored::Md5(_))));
    assert!(users.get("eve").is_none());
}

#[test]
fn merging_keeps_the_first_list_s_secrets() {
    let (mut users, _) = Users::read("ann:one", None);
    let (others, _) = Users::read("ann:two\nbob:three", None);
    users.merge(others);
    assert_eq!(users.password("ann").map(Secret::expose), Some("one"));
    assert_eq!(users.password("bob").map(Secret::expose), Some("three"));
    assert_eq!(users.iter().count(), 2);
}

#[test]
fn users_never_print_their_secrets() {
    let (users, _) = Users::read("ann:one\nbob:md54827d22203568d0d5b46bf27f000a914", None);
    assert_eq!(format!("{users:?}"), r#"Users({"ann": Plain(…), "bob": Md5(…)})"#);
}

#[test]
fn a_mistake_is_a_clause_with_a_way_out() {
    for mistake in [
        Mistake::NoColon,
        Mistake::EmptyName,
        Mistake::EmptyPassword,
        Mistake::TooLong,
        Mistake::ZeroByte,
        Mistake::KeyMissing,
        Mistake::WrongKey,
        Mistake::NotBase64,
        Mistake::NotEncrypted,
        Mistake::ScramVerifier,
        Mistake::Md5Malformed,
    ] {
        let text = mistake.to_string();
        assert!(text.contains("; "), "{text}: no way out");
        assert!(!text.contains("  ") && !text.ends_with('.'), "{text}");
    }
    assert!(Mistake::TooLong.to_string().contains(&TOKEN_LEN_MAX.to_string()));
}

#[test]
fn a_changed_byte_of_a_new_entry_is_noticed() {
    let key = Key::read("mypoolkey");
    let entry = encrypt(&Secret::new("secretpw"), &key, &mut Entropy::from_seed([1; 32]));
    assert_eq!(is(&read_stored(&entry, Some(&key))), Is::Password("secretpw"));
    for place in (6..entry.len()).step_by(5) {
        let mut changed = entry.clone().into_bytes();
        changed[place] = if changed[place] == b'A' { b'B' } else { b'A' };
        let found = read_stored(std::str::from_utf8(&changed).unwrap(), Some(&key));
        assert!(
            matches!(found, Err(Mistake::WrongKey | Mistake::NotBase64)),
            "byte {place}: {found:?}"
        );
    }
}

/// Files that were written once stay readable: the format of new entries is fixed.
#[test]
fn a_new_entry_of_an_earlier_day_still_opens() {
    let key = Key::read("mypoolkey");
    let entry = "AESGCMMwHo1+dU2yz1ewpMpz8lPHBTrSvFOYd3ugObJcgANqoOPmU9G5TxJQpWwGgN/kwG/IjQMw==";
    assert_eq!(encrypt(&Secret::new("secretpw"), &key, &mut Entropy::from_seed([1; 32])), entry);
    let found = read_stored(entry, Some(&key));
    assert_eq!(is(&found), Is::Password("secretpw"));
}

/// An old entry whose Base64 happens to begin with `GCM` is still an old one. This one was found by
/// encrypting the numbers from zero as Pgpool-II does.
#[test]
fn an_old_entry_may_begin_like_a_new_one() {
    let key = Key::read("mypoolkey");
    let found = read_stored("AESGCMTc4/PK7phXPBWvzRLWA==", Some(&key));
    assert_eq!(is(&found), Is::Password("106274"));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]

    /// What is encrypted is decrypted by the same key and by no other, and differs every time.
    #[test]
    fn encryption_is_undone_by_its_key_only(password in "[^\\x00]{1,40}", seed in any::<[u8; 32]>()) {
        let mut entropy = Entropy::from_seed(seed);
        let (key, other) = (Key::read("one"), Key::read("other"));
        let entry = encrypt(&Secret::new(password.clone()), &key, &mut entropy);
        prop_assert!(entry.starts_with("AESGCM"));
        let found = read_stored(&entry, Some(&key));
        prop_assert_eq!(is(&found), Is::Password(&password));
        let found = read_stored(&entry, Some(&other));
        prop_assert_eq!(is(&found), Is::Wrong(Mistake::WrongKey));
        prop_assert_ne!(entry, encrypt(&Secret::new(password), &key, &mut entropy));
    }
}

proptest! {
    /// Whatever is in a file, reading it ends, and names lines that exist.
    #[test]
    fn any_text_is_read(text in "(\\PC{0,20}|[a:\\\\\n]|AES|md5|TEXT){0,30}") {
        let (users, mistakes) = Users::read(&text, Some(&Key::read("k")));
        let count = text.lines().count();
        prop_assert!(mistakes.iter().all(|&(line, _)| (1..=count).contains(&line)));
        prop_assert!(users.len() + mistakes.len() <= count);
    }

    /// A line that was written is read as it was meant.
    #[test]
    fn a_written_line_reads_back(user in "[^\\x00\n\r]{1,20}", password in "[^\\x00\n\r]{1,20}") {
        let (users, mistakes) = Users::read(&line(&user, &format!("TEXT{password}")), None);
        prop_assert_eq!(mistakes, []);
        prop_assert_eq!(users.password(&user).map(Secret::expose), Some(password.as_str()));
    }
}

#[test]
fn storing_replaces_the_entry_that_counts() {
    let cases: &[(&str, &str, &str)] = &[
        ("", "bob", "bob:new\n"),
        ("bob:old\n", "bob", "bob:new\n"),
        ("bob:old", "bob", "bob:new\n"),
        ("al:x\nbob:old:further:fields\nbob:second\n", "bob", "al:x\nbob:new\nbob:second\n"),
        ("al:x", "bob", "al:x\nbob:new\n"),
        ("no colon\n\n#c:d\n", "bob", "no colon\n\n#c:d\nbob:new\n"),
        ("bobby:x\nbo:b\n", "bob", "bobby:x\nbo:b\nbob:new\n"),
        ("a\\:b:old\n", "a:b", "a\\:b:new\n"),
        ("", "a:b", "a\\:b:new\n"),
    ];
    for (text, user, after) in cases {
        assert_eq!(store(text, user, "new"), *after, "{text:?} and {user}");
    }
}

proptest! {
    /// What has been stored is what is read, whatever stood in the file before.
    #[test]
    fn what_is_stored_is_read(text in "([a-c:\\\\]{0,6}\n){0,4}", user in "[a-c:\\\\]{1,3}") {
        let (users, _) = Users::read(&store(&text, &user, "TEXTnew"), None);
        prop_assert_eq!(users.password(&user).map(Secret::expose), Some("new"));
    }
}
