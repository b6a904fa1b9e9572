//! The commands that administer a pgherd that serves, where none does, and their command lines.
#![allow(clippy::indexing_slicing, reason = "a test fails by panicking")]

use std::ffi::OsStr;
use std::fs;
use std::io::{Read as _, Write as _};
use std::os::unix::fs::PermissionsExt as _;
use std::os::unix::net::UnixListener;
use std::process::Command;
use std::sync::mpsc::{Receiver, channel};
use std::thread::JoinHandle;

use pgherd_tests::admin::packet;

use super::{Ended, Room};

pub(super) const TESTS: [(&str, fn()); 7] = [
    ("commands_of_administration_explain_themselves", commands_explain_themselves),
    ("a_command_that_reaches_nobody_says_whom", a_command_that_reaches_nobody_says_whom),
    ("a_mistake_in_the_configuration_is_told", a_mistake_in_the_configuration_is_told),
    ("what_answers_may_be_no_pgherd", what_answers_may_be_no_pgherd),
    ("progress_is_told_as_it_comes", progress_is_told_as_it_comes),
    ("shells_complete_the_commands", shells_complete_the_commands),
    ("bash_completes_what_is_begun", bash_completes_what_is_begun),
];

const COMMANDS: [&str; 9] =
    ["nodes", "stats", "attach", "detach", "promote", "switchover", "recover", "reload", "stop"];

fn run(room: &Room, args: &[&str]) -> Ended {
    room.pgherd(args.iter().map(OsStr::new)).ended()
}

fn commands_explain_themselves() {
    let room = Room::new();
    let all = run(&room, &["--help"]);
    for command in COMMANDS {
        assert!(all.output.contains(&format!("\n  {command} ")), "{command}: {all:?}");
        let help = run(&room, &[command, "--help"]);
        assert_eq!(help.code, 0, "{help:?}");
        for word in
            ["Examples:\n", "--config", "--host", "--port", "--user", "--no-password", "--json"]
        {
            assert!(help.output.contains(word), "{command}: no {word} in {help:?}");
        }
    }
    for args in [
        &["attach"][..],
        &["attach", "x"],
        &["attach", "-1"],
        &["detach", "300"],
        &["stop", "--mode", "never"],
        &["nodes", "--port", "0"],
        &["completion", "tcsh"],
        &["recover", "1", "--yaml"],
    ] {
        let ended = run(&room, args);
        assert_eq!(ended.code, 2, "{args:?}: {ended:?}");
        assert!(ended.errors.starts_with("error: "), "{args:?}: {ended:?}");
    }
}

/// Keeps a password for everybody.
fn keep_password(room: &Room) {
    let path = room.file(".pcppass", "*:*:*:secret\n");
    fs::set_permissions(path, fs::Permissions::from_mode(0o600)).expect("it is ours");
}

fn a_command_that_reaches_nobody_says_whom() {
    let room = Room::new();
    keep_password(&room);
    let port = room.free_port();
    let socket = room.path("").display().to_string();
    let socket = socket.trim_end_matches('/');
    let file = room.config(room.free_port(), &format!("pcp_port = {port}")).display().to_string();
    let shown = port.to_string();
    for (place, told) in [
        (&["--host", "127.0.0.1", "--port", &shown][..], format!("127.0.0.1:{port}: Connection ")),
        (&["--host", socket, "--port", &shown], format!("{socket}/.s.PGSQL.{port}: No such file")),
        (&["--config", &file], format!("localhost:{port}: Connection refused; is it running")),
        (&["--config", &file, "--port", "1"], "localhost:1: Connection refused".to_owned()),
    ] {
        for command in [&["nodes"][..], &["attach", "1"], &["stop"]] {
            let ended = run(&room, &[command, place, &["--user", "admin"]].concat());
            assert_eq!(ended.code, 6, "{ended:?}");
            assert!(ended.errors.contains(&told), "no {told} in {ended:?}");
            assert!(ended.errors.starts_with("pgherd: cannot ask pgherd at "), "{ended:?}");
        }
    }
}

fn a_mistake_in_the_configuration_is_told() {
    let room = Room::new();
    let file = room.file("pgherd.toml", "pcp_port = [\n").display().to_string();
    let ended = run(&room, &["nodes", "--config", &file]);
    assert!(ended.code == 3 && ended.errors.contains("pgherd.toml:1"), "{ended:?}");
    let ended = run(&room, &["nodes", "--config", "absent.toml"]);
    assert!(ended.code == 3 && ended.errors.contains("absent.toml"), "{ended:?}");
}

/// Somebody else may listen at a socket of that name, and say whatever it likes.
fn what_answers_may_be_no_pgherd() {
    let room = Room::new();
    keep_password(&room);
    let directory = room.path("");
    let directory = directory.display().to_string();
    let directory = directory.trim_end_matches('/');
    for (said, told) in [
        (&b"GET / HTTP/1.0\r\n\r\n"[..], "the answer is no PCP: "),
        (b"m\0\0\0\x07abc", "the answer is no PCP: "),
        (b"", "the connection was closed before the answer was complete"),
        (b"E\0\0\0\x16SFATAL\0Mtoo many\0\0", "refuses user \"admin\": too many"),
    ] {
        let path = format!("{directory}/.s.PGSQL.9898");
        let listener = UnixListener::bind(&path).expect("the name is free");
        let liar = std::thread::spawn(move || {
            let (mut stream, _) = listener.accept().expect("somebody comes");
            let mut room = [0; 5];
            stream.read_exact(&mut room).expect("a request for a salt");
            stream.write_all(said).expect("it is read");
        });
        let ended = run(&room, &["nodes", "--host", directory, "--user", "admin"]);
        liar.join().expect("it has lied");
        fs::remove_file(&path).expect("it is ours");
        assert!(ended.code == 6 && ended.errors.contains(told), "no {told} in {ended:?}");
        assert_eq!(ended.output, "");
    }
    // By the other name, it is Pgpool-II's words and exit code.
    let ended = room.tool("pcp_node_count", &["-w", "-U", "admin", "-h", directory]);
    let told = format!(
        "ERROR: connection to socket \"{directory}/.s.PGSQL.9898\" failed with error \"No such file \
         or directory\"\n"
    );
    assert_eq!((ended.code, ended.errors.as_str()), (1, told.as_str()));
}

/// A server of PCP that lets everybody in, tells of progress, and answers when it is told to.
fn slow_server(path: &str, may_answer: Receiver<()>) -> JoinHandle<Vec<u8>> {
    let listener = UnixListener::bind(path).expect("the name is free");
    std::thread::spawn(move || {
        let (mut stream, _) = listener.accept().expect("somebody comes");
        let mut next = |answer: &[u8]| {
            let mut header = [0; 5];
            stream.read_exact(&mut header).expect("a request");
            let len = u32::from_be_bytes(header[1..].try_into().expect("four bytes")) - 4;
            let mut payload = vec![0; usize::try_from(len).expect("it is short")];
            stream.read_exact(&mut payload).expect("all of it");
            stream.write_all(answer).expect("it is read");
            [&header[..1], &payload].concat()
        };
        next(&packet(b'm', b"salt"));
        next(&packet(b'r', b"AuthenticationOK\0"));
        let asked = next(&packet(b'N', b"SNOTICE\0Mcopying\0D12 MB are left\0\0"));
        may_answer.recv().expect("the test goes on");
        stream.write_all(&packet(b'c', b"CommandComplete\0")).expect("it is read");
        asked
    })
}

fn progress_is_told_as_it_comes() {
    let room = Room::new();
    keep_password(&room);
    let directory = room.path("");
    let directory = directory.display().to_string();
    let directory = directory.trim_end_matches('/');
    let path = format!("{directory}/.s.PGSQL.9898");
    for (flags, payload, done) in [
        (&[][..], &b"O1\0"[..], "node 1 was recovered\n"),
        (&["--dry-run"], b"O1\0dry-run\0", "node 1 was left as it is: this was a dry run\n"),
    ] {
        let (answer, may_answer) = channel();
        let server = slow_server(&path, may_answer);
        let args = [&["recover", "1"], flags, &["--host", directory, "--user", "admin"]].concat();
        let mut running = room.pgherd(args.iter().map(OsStr::new));
        running.wait_said("copying: 12 MB are left\n");
        answer.send(()).expect("the server waits for that");
        let ended = running.ended();
        assert_eq!((ended.code, ended.output.as_str()), (0, done), "{ended:?}");
        assert_eq!(ended.errors, "copying: 12 MB are left\n");
        assert_eq!(server.join().expect("it has answered"), payload);
        fs::remove_file(&path).expect("it is ours");
    }
    // Pgpool-II's program tells of that only where it tells of everything.
    let recover = ["-w", "-U", "admin", "-h", directory, "-n", "1"];
    for (flags, told) in
        [(&[][..], ""), (&["-d"], "BACKEND NOTICE:  copying\nDETAIL:  12 MB are left\n")]
    {
        let (answer, may_answer) = channel();
        let server = slow_server(&path, may_answer);
        answer.send(()).expect("the server will wait for that");
        let ended = room.tool("pcp_recovery_node", &[&recover, flags].concat());
        assert_eq!((ended.code, ended.errors.as_str()), (0, ""), "{ended:?}");
        assert!(ended.output.contains(told), "{ended:?}");
        assert!(ended.output.contains("pcp_recovery_node -- Command Successful\n"), "{ended:?}");
        assert_eq!(ended.output.contains("NOTICE"), !told.is_empty(), "{ended:?}");
        server.join().expect("it has answered");
        fs::remove_file(&path).expect("it is ours");
    }
}

fn shells_complete_the_commands() {
    let room = Room::new();
    for (shell, mark) in [
        ("bash", "complete -F _pgherd"),
        ("zsh", "#compdef pgherd"),
        ("fish", "complete -c pgherd"),
    ] {
        let ended = run(&room, &["completion", shell]);
        assert_eq!((ended.code, ended.errors.as_str()), (0, ""), "{ended:?}");
        assert!(ended.output.contains(mark), "no {mark} in {ended:?}");
        for command in COMMANDS {
            assert!(ended.output.contains(command), "{shell}: no {command}");
        }
    }
}

/// A shell that reads the script offers what may follow.
fn bash_completes_what_is_begun() {
    let room = Room::new();
    let script = run(&room, &["completion", "bash"]);
    let file = room.file("pgherd.bash", &script.output);
    for (words, offered) in [
        (&["de"][..], "demo detach"),
        (&["switchover", "--no"], "--no-password"),
        (&["stop", "--mode", "f"], "fast"),
        (&["completion", ""], "-h --help bash zsh fish"),
    ] {
        let typed = words.iter().map(|word| format!("'{word}'")).collect::<Vec<_>>().join(" ");
        let (last, before) = match words {
            [.., before, last] => (*last, *before),
            [last] => (*last, "pgherd"),
            [] => ("", ""),
        };
        let ask = format!(
            "source '{}' && COMP_WORDS=(pgherd {typed}) COMP_CWORD={} && \
             _pgherd pgherd '{last}' '{before}' && echo \"${{COMPREPLY[*]}}\"",
            file.display(),
            words.len()
        );
        let mut bash = Command::new("bash");
        let ended = room.start(bash.args(["--norc", "--noprofile", "-c", &ask])).ended();
        assert_eq!((ended.code, ended.output.trim()), (0, offered), "{words:?}: {ended:?}");
    }
}
