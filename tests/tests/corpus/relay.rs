//! A client receives the same bytes however the kernel cuts the streams into reads.
//!
//! `recordings/*.bin` hold what real clients and a real server said to each other, as
//! `fuzz/record.py` wrote it down; the format is described there. Each is played against a shard
//! in between: the client's side from one end, and the server's from the other as soon as it has
//! heard what it then had heard.

use std::fs;
use std::path::Path;
use std::sync::LazyLock;

use pgherd_core::id::ConnId;
use pgherd_core::time::Duration;
use pgherd_core::wire::{backend, frontend, startup};
use proptest::prelude::*;

use crate::fuzz::conversation::{messages, startup_packet};
use crate::fuzz::rig::{Cuts, Rig, Setting};
use crate::fuzz::servers::{Act, Honest, Recorded, Servers};

/// A recorded conversation, in two halves.
struct Recording {
    name: String,
    startup: Vec<u8>,
    /// What the server said up to its first `ReadyForQuery`.
    login: Vec<u8>,
    /// What passed after that, in order.
    pieces: Vec<(Speaker, Vec<u8>)>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Speaker {
    Client,
    Server,
}

impl Recording {
    fn read(path: &Path) -> Self {
        let bytes = fs::read(path).unwrap();
        let mut rest = &bytes[..];
        let mut pieces = Vec::new();
        while let Some((header, after)) = rest.split_first_chunk::<5>() {
            let len = u32::from_be_bytes(header[1..].try_into().unwrap()) as usize;
            let speaker = match header[0] {
                b'C' => Speaker::Client,
                b'S' => Speaker::Server,
                other => panic!("{}: a piece of {other:#x}", path.display()),
            };
            pieces.push((speaker, after[..len].to_vec()));
            rest = &after[len..];
        }
        let (speaker, startup) = pieces.remove(0);
        assert_eq!(speaker, Speaker::Client);
        let whole = matches!(startup::read(&startup), Ok(startup::Look::Whole(_, len)) if len == startup.len());
        assert!(whole, "{}: it begins with a startup packet", path.display());
        let mut login = Vec::new();
        while !is_ready(&login) {
            let (speaker, bytes) = pieces.remove(0);
            assert_eq!(speaker, Speaker::Server);
            login.extend(bytes);
        }
        let name = path.file_stem().unwrap().to_string_lossy().into_owned();
        Self { name, startup, login, pieces }
    }

    fn said_by(&self, speaker: Speaker) -> Vec<u8> {
        let pieces = self.pieces.iter().filter(|(by, _)| *by == speaker);
        pieces.flat_map(|(_, bytes)| bytes.clone()).collect()
    }

    /// The server, which answers once it has heard what it had heard then.
    fn server(&self) -> Recorded {
        let (mut acts, mut heard) = (Vec::new(), Vec::new());
        for (speaker, bytes) in &self.pieces {
            match speaker {
                Speaker::Client => heard.extend_from_slice(bytes),
                Speaker::Server => acts.push(Act::Say(bytes.clone())),
            }
            let (whole, left) = messages(&heard, &frontend::LOOKS);
            let whole = whole.iter().filter(|(tag, _)| *tag != frontend::tag::TERMINATE);
            acts.extend(whole.map(|(tag, body)| Act::Hear(frontend::compose(*tag, body).to_vec())));
            heard.drain(..heard.len() - left);
        }
        Recorded::new(self.login.clone(), acts)
    }
}

/// Whether the bytes are whole messages of which the last is a `ReadyForQuery`.
fn is_ready(bytes: &[u8]) -> bool {
    let (messages, left) = messages(bytes, &backend::LOOKS);
    left == 0 && messages.last().is_some_and(|(tag, _)| *tag == backend::tag::READY)
}

static RECORDINGS: LazyLock<Vec<Recording>> = LazyLock::new(|| {
    let directory = Path::new(env!("CARGO_MANIFEST_DIR")).join("recordings");
    let files = crate::files(&directory);
    files.iter().map(|file| Recording::read(file)).collect()
});

/// When a client speaks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Manners {
    /// When it has received what it had received when it was recorded.
    Patient,
    /// At once, as if the network were slow. A server reads in its own time, so that even
    /// `CopyData` may come ahead of its `CopyInResponse`.
    Eager,
}

/// What came of a play.
#[derive(Debug, PartialEq, Eq)]
struct Outcome {
    login: Vec<u8>,
    /// What the client received after its login.
    received: Vec<u8>,
    trace: Vec<String>,
}

fn setting(standbys: u8, cuts: &[usize], pace: Option<usize>) -> Setting {
    Setting { standbys, cuts: Cuts::new(cuts), pace, is_traced: true }
}

/// The length of what a client received up to its first `ReadyForQuery`.
fn login_len(received: &[u8]) -> usize {
    let (messages, _) = messages(received, &backend::LOOKS);
    let upto = messages.iter().position(|(tag, _)| *tag == backend::tag::READY);
    let upto = upto.unwrap_or_else(|| panic!("no login: {}", received.escape_ascii()));
    messages[..=upto].iter().map(|(_, body)| body.len() + 5).sum()
}

fn log_in<S: Servers>(rig: &mut Rig<S>, startup: &[u8]) -> (ConnId, usize) {
    let client = rig.accept();
    rig.send(client, startup);
    rig.settle();
    let len = login_len(rig.received(client));
    (client, len)
}

fn play(recording: &Recording, manners: Manners, cuts: &[usize], pace: Option<usize>) -> Outcome {
    let mut rig = Rig::new(setting(0, cuts, pace), recording.server());
    let (client, login) = log_in(&mut rig, &recording.startup);
    let mut due = login;
    for (speaker, bytes) in &recording.pieces {
        match speaker {
            Speaker::Server => due += bytes.len(),
            Speaker::Client => {
                if manners == Manners::Patient {
                    rig.settle();
                    let received = rig.received(client).len();
                    assert_eq!(received, due, "{}: the client waits in vain", recording.name);
                }
                rig.send(client, bytes);
            }
        }
    }
    rig.settle();
    let has_left = recording.said_by(Speaker::Client).ends_with(&frontend::compose_terminate());
    assert_eq!(rig.is_closed(client), has_left, "{}", recording.name);
    assert!(rig.servers.is_over(), "{}: the server waits in vain", recording.name);
    let outcome = Outcome {
        login: rig.received(client)[..login].to_vec(),
        received: rig.received(client)[login..].to_vec(),
        trace: rig.trace().to_vec(),
    };
    rig.finish();
    outcome
}

#[test]
fn there_are_recordings_of_every_kind() {
    assert!(RECORDINGS.len() >= 15, "{}", RECORDINGS.len());
    let all: Vec<u8> = RECORDINGS.iter().flat_map(|r| r.said_by(Speaker::Server)).collect();
    let (all, left) = messages(&all, &backend::LOOKS);
    assert_eq!(left, 0);
    for tag in *b"12CDEGHINSTVZcdnst" {
        assert!(all.iter().any(|(t, _)| *t == tag), "no message {}", tag.escape_ascii());
    }
    let large = RECORDINGS.iter().any(|r| r.said_by(Speaker::Server).len() > 50_000);
    assert!(large, "no large rows");
}

/// Uncut, pgherd is not to be noticed: the client receives what it received from the server, and
/// the server hears what the client said.
#[test]
fn recorded_conversations_pass_unchanged() {
    for recording in RECORDINGS.iter() {
        for manners in [Manners::Patient, Manners::Eager] {
            let name = &recording.name;
            let outcome = play(recording, manners, &[], None);
            let said = recording.said_by(Speaker::Server);
            assert_eq!(
                outcome.received.escape_ascii().to_string(),
                said.escape_ascii().to_string(),
                "{name}, {manners:?}"
            );
            let (mine, _) = messages(&outcome.login, &backend::LOOKS);
            let (theirs, _) = messages(&recording.login, &backend::LOOKS);
            let masked = |messages: &[(u8, &[u8])]| -> Vec<(u8, Vec<u8>)> {
                let secret = |tag| tag == backend::tag::KEY_DATA;
                let body = |tag, body: &[u8]| if secret(tag) { vec![] } else { body.to_vec() };
                messages.iter().map(|(tag, bytes)| (*tag, body(*tag, bytes))).collect()
            };
            assert_eq!(masked(&mine), masked(&theirs), "{name}: another login");
        }
    }
}

/// Lengths of reads, used in turn; none is never cut.
fn cuts() -> impl Strategy<Value = Vec<usize>> {
    prop_oneof![
        Just(vec![1]),
        prop::collection::vec(1usize..12, 1..8),
        prop::collection::vec(1usize..300, 1..20),
        prop::collection::vec(1usize..20_000, 0..10),
    ]
}

/// How many bytes a client takes at a time.
fn pace() -> impl Strategy<Value = Option<usize>> {
    prop_oneof![Just(None), (1usize..2000).prop_map(Some), (2000usize..100_000).prop_map(Some)]
}

/// Something that a client says to honest servers.
#[derive(Clone, Copy, Debug)]
enum Saying {
    Query(&'static str),
    Batch(&'static [&'static str]),
    /// Prepares a statement by name and runs it.
    Named(&'static str),
    /// Runs that statement again, if there is one.
    Again,
    /// Closes it.
    Close,
    /// Runs an unnamed statement in one batch, and once more in the next.
    Twice(&'static str),
    CopyIn,
    Sync,
    Long,
    /// Runs a statement in a transaction of its own, which may be on the standby.
    ReadOnly(&'static str),
}

use Saying::{Again, Batch, Close, CopyIn, Long, Named, Query, ReadOnly, Sync, Twice};

/// Each leaves something to be seen in the answers.
const SAYINGS: [Saying; 28] = [
    Query("select 1"),
    Query("select 2 from t"),
    Query("insert into t values (1)"),
    Query("select broken"),
    Query("begin"),
    ReadOnly("select 8"),
    Query("commit"),
    Query("rollback"),
    Query("set work_mem to '1MB'"),
    Query("set search_path to a, b"),
    Batch(&["set timezone to 'UTC'"]),
    Query("discard all"),
    Query("create temp table t (a int)"),
    Query(""),
    Query("select 1; insert into t values (2)"),
    Query("copy t to stdout"),
    Batch(&["select 3"]),
    Batch(&["insert into t values (3)"]),
    Batch(&["select 4", "select broken", "select 5"]),
    Named("select 6"),
    Again,
    Close,
    Twice("select 7"),
    Twice("insert into t values (7)"),
    Query("deallocate all"),
    CopyIn,
    Sync,
    Long,
];

/// What may or may not be done on a standby.
const REFUSED: [Saying; 11] = [
    Query("begin read only"),
    Query("commit"),
    Query("select 1"),
    Query("set work_mem to '1MB'"),
    Query("select pg_advisory_lock(1)"),
    Query("show pool_version"),
    Batch(&["select 2"]),
    Batch(&["set work_mem to '1MB'"]),
    Batch(&["show pool_version"]),
    Batch(&["show pool_version", "select 3"]),
    Sync,
];

impl Saying {
    /// Its messages, in parts between which a client waits.
    fn parts(self) -> Vec<Vec<u8>> {
        let query = |text: &str| frontend::compose_query(text).to_vec();
        let sync = || frontend::compose(frontend::tag::SYNC, b"").to_vec();
        match self {
            Query(text) => vec![query(text)],
            Batch(texts) => {
                let texts = texts.iter().flat_map(|text| [parse("", text), run("")].concat());
                vec![texts.chain(sync()).collect()]
            }
            Named(text) => vec![[parse("named", text), run("named"), sync()].concat()],
            Again => vec![[run("named"), sync()].concat()],
            Close => {
                let close = frontend::compose(frontend::tag::CLOSE, b"Snamed\0").to_vec();
                vec![[close, sync()].concat()]
            }
            Twice(text) => {
                vec![[parse("", text), run(""), sync()].concat(), [run(""), sync()].concat()]
            }
            CopyIn => {
                let data = frontend::compose(frontend::tag::COPY_DATA, b"1\n2\n");
                let done = frontend::compose(frontend::tag::COPY_DONE, b"");
                vec![query("copy t from stdin"), [data, done].concat()]
            }
            Sync => vec![sync()],
            ReadOnly(text) => {
                vec![[query("begin read only"), query(text), query("commit")].concat()]
            }
            Long => vec![query(&format!("select '{}'", "long ".repeat(300)))],
        }
    }
}

fn parse(name: &str, text: &str) -> Vec<u8> {
    let body = [name.as_bytes(), b"\0", text.as_bytes(), b"\0\0\0"].concat();
    frontend::compose(frontend::tag::PARSE, &body).to_vec()
}

/// Binds the unnamed portal to a statement and executes it.
fn run(name: &str) -> Vec<u8> {
    let bind = [b"\0", name.as_bytes(), b"\0\0\0\0\0\0\0"].concat();
    let bind = frontend::compose(frontend::tag::BIND, &bind);
    [&bind[..], &frontend::compose(frontend::tag::EXECUTE, b"\0\0\0\0\0")].concat()
}

/// Plays a client before honest servers, one of them a standby; returns what it received and the
/// trace.
fn talk(said: &[Saying], manners: Manners, setting: Setting) -> (Vec<u8>, Vec<String>) {
    let mut rig = Rig::new(setting, Honest::default());
    let (client, login) = log_in(&mut rig, &startup_packet("user"));
    for bytes in said.iter().flat_map(|saying| saying.parts()) {
        if manners == Manners::Patient {
            rig.settle();
        }
        rig.send(client, &bytes);
    }
    rig.settle();
    // Nothing may be left that only time would bring about.
    let received = rig.received(client)[login..].to_vec();
    rig.pass(Duration::from_secs(1));
    assert_eq!(rig.received(client).len(), login + received.len(), "an answer is late");
    let trace = rig.trace().to_vec();
    rig.finish();
    (received, trace)
}

/// Conversations that once went wrong.
#[test]
fn what_once_went_wrong_goes_well() {
    let cases: &[(&str, &[Saying])] = &[
        (
            "a setting whose answer comes after the next question",
            &[Query("set search_path to a, b"), Query("commit"), Query("select 1")],
        ),
        (
            "a transaction that begins before the last one on the standby has ended",
            &[ReadOnly("select 8"), Query("begin"), Query("insert into t values (1)")],
        ),
        (
            "a name that is taken, on the other server",
            &[Named("select 6"), Query("begin"), Named("select 6")],
        ),
        (
            "a statement that goes in a transaction",
            &[Named("select 6"), Query("begin"), Query("deallocate all"), Named("select 6")],
        ),
        (
            "a statement of the batch before",
            &[Twice("select 7"), Twice("insert into t values (7)"), Twice("select 7")],
        ),
    ];
    for (name, said) in cases {
        let (alone, _) = talk(said, Manners::Patient, setting(0, &[], None));
        for manners in [Manners::Patient, Manners::Eager] {
            for cuts in [&[][..], &[1]] {
                let (received, _) = talk(said, manners, setting(1, cuts, None));
                assert_eq!(
                    received.escape_ascii().to_string(),
                    alone.escape_ascii().to_string(),
                    "{name}, {manners:?}, {cuts:?}"
                );
            }
        }
    }
    // A refusal in the middle of an answer.
    let said = [Query("begin read only"), Query("select 1"), Query("set work_mem to '1MB'")];
    let (received, _) = talk(&said, Manners::Eager, setting(1, &[1], None));
    let (answers, left) = messages(&received, &backend::LOOKS);
    assert_eq!((ready_count(&answers), left), (3, 0));
}

fn ready_count(messages: &[(u8, &[u8])]) -> usize {
    messages.iter().filter(|(tag, _)| *tag == backend::tag::READY).count()
}

fn manners() -> impl Strategy<Value = Manners> {
    prop_oneof![Just(Manners::Patient), Just(Manners::Eager)]
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 96, failure_persistence: None, ..ProptestConfig::default() })]

    /// However reads are cut and however slowly the client takes its answers, it receives what the
    /// real server once said; and the same play gives the same outputs again.
    #[test]
    fn relaying_does_not_depend_on_read_sizes(
        which in 0..RECORDINGS.len(), manners in manners(), cuts in cuts(), pace in pace(),
    ) {
        let recording = &RECORDINGS[which];
        let outcome = play(recording, manners, &cuts, pace);
        let said = recording.said_by(Speaker::Server);
        prop_assert!(outcome.received == said, "{}: another answer", &recording.name);
        prop_assert_eq!(outcome, play(recording, manners, &cuts, pace));
    }

    /// With a standby beside the primary, too, where statements go to and fro between them.
    #[test]
    fn routing_is_not_seen_in_answers(
        said in prop::collection::vec(prop::sample::select(&SAYINGS[..]), 0..12),
        cuts in cuts(), pace in pace(),
    ) {
        let (alone, _) = talk(&said, Manners::Patient, setting(0, &[], None));
        for manners in [Manners::Patient, Manners::Eager] {
            let (received, trace) = talk(&said, manners, setting(1, &cuts, pace));
            prop_assert_eq!(
                received.escape_ascii().to_string(), alone.escape_ascii().to_string(),
                "{:?}", manners
            );
            let (_, again) = talk(&said, manners, setting(1, &cuts, pace));
            prop_assert_eq!(trace, again, "another trace");
        }
    }

    /// What a transaction on the standby may not do is refused between the servers' answers, in
    /// its turn, and every statement has its end.
    #[test]
    fn refusals_wait_for_their_turn(
        said in prop::collection::vec(prop::sample::select(&REFUSED[..]), 0..10),
        cuts in cuts(), pace in pace(),
    ) {
        let (whole, _) = talk(&said, Manners::Patient, setting(1, &[], None));
        let (received, _) = talk(&said, Manners::Patient, setting(1, &cuts, pace));
        prop_assert_eq!(
            received.escape_ascii().to_string(), whole.escape_ascii().to_string(), "patient"
        );
        // Whether a COMMIT has been answered decides where the next transaction may begin.
        let (eager, _) = talk(&said, Manners::Eager, setting(1, &cuts, pace));
        let (all, left) = messages(&eager, &backend::LOOKS);
        prop_assert_eq!(left, 0);
        let (whole, _) = messages(&whole, &backend::LOOKS);
        prop_assert_eq!(ready_count(&all), ready_count(&whole), "eager");
    }
}
