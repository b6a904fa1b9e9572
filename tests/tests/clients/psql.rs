//! What people do with psql.

use std::io::Write;
use std::process::{Output, Stdio};

use super::{check, program, run, text};

/// Feeds a script to psql, which stops at the first error.
fn script(port: u16, input: &str) -> Output {
    let mut command = program("psql", port);
    command.args(["-X", "-A", "-t", "-v", "ON_ERROR_STOP=1"]);
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command
        .spawn()
        .unwrap_or_else(|error| panic!("psql: {error}; install the package \"postgresql-client\""));
    let mut stdin = child.stdin.take().expect("it was asked for");
    stdin.write_all(input.as_bytes()).expect("psql reads its input");
    drop(stdin);
    child.wait_with_output().expect("psql ends")
}

pub(crate) fn describes_tables(port: u16) {
    let output = script(
        port,
        "\\t off\n\
         create table described (n int primary key, t text not null default 'x');\n\
         create index on described (t);\n\
         begin;\n\\d described\ncommit;\n\\dt\n\\l\n\\du\n\\dn+\n\\df pg_backend_pid\n\\conninfo\n",
    );
    let out = check("psql", &output);
    for part in ["described_pkey", "not null", "described_t_idx", "pg_backend_pid"] {
        assert!(out.contains(part), "no {part} in {out}");
    }
}

pub(crate) fn runs_several_statements(port: u16) {
    let out = run(program("psql", port).args([
        "-XAt",
        "-c",
        "select 1; select 2; begin; create table several (n int); insert into several values (7); \
         commit; select n from several",
        "-c",
        "select 'second command'",
    ]));
    assert!(out.contains("1\n2\n") && out.ends_with("7\nsecond command\n"), "{out}");
}

pub(crate) fn runs_one_command_and_leaves(port: u16) {
    for _ in 0..20 {
        assert_eq!(run(program("psql", port).args(["-XAt", "-c", "select 40 + 2"])), "42\n");
    }
}

pub(crate) fn copies_from_and_to_files(port: u16) {
    let dir = std::env::temp_dir().join(format!("pgherd-psql-{}", std::process::id()));
    std::fs::create_dir_all(&dir).expect("temporary files can be made");
    let (from, to) = (dir.join("from.csv"), dir.join("to.csv"));
    let rows: String = (0..10_000).map(|n| format!("{n},text {n}\n")).collect();
    std::fs::write(&from, &rows).expect("temporary files can be written");
    let output = script(
        port,
        &format!(
            "create table copied (n int, t text);\n\\copy copied from '{}' csv\nbegin;\n\
             \\copy (select * from copied order by n) to '{}' csv\ncommit;\n",
            from.display(),
            to.display()
        ),
    );
    check("psql", &output);
    let copied = std::fs::read_to_string(&to).expect("psql has written it");
    assert!(copied == rows, "what came out is not what went in");
    std::fs::remove_dir_all(&dir).expect("temporary files can be removed");
}

pub(crate) fn uses_variables_and_loops(port: u16) {
    let output = script(
        port,
        "\\set n 5\n\
         select :n + 1 as next \\gset\n\
         select :'next' || ' is next';\n\
         select format('select %s', n) from generate_series(1, 3) as n \\gexec\n\
         select 10 as a, 'x' as b \\gdesc\n\
         \\set FETCH_COUNT 100\n\
         select count(*) from generate_series(1, 1000);\n\
         select generate_series(1, 1000);\n",
    );
    let out = check("psql", &output);
    assert!(out.contains("6 is next\n1\n2\n3\n"), "{out}");
    assert!(out.ends_with("999\n1000\n"), "{out}");
}

pub(crate) fn exits_with_an_error(port: u16) {
    let output = program("psql", port).args(["-X", "-c", "select 1/0"]).output().expect("psql");
    assert_eq!(output.status.code(), Some(1));
    assert!(text(&output.stderr).contains("division by zero"));

    let output = script(port, "select 1;\nselect nonsense;\nselect 2;\n");
    assert_eq!(output.status.code(), Some(3), "the script stops");
    assert_eq!(text(&output.stdout), "1\n");

    let output = program("psql", port)
        .env("PGPASSWORD", "wrong")
        .args(["-X", "-w", "-c", "select 1"])
        .output()
        .expect("psql");
    assert_eq!(output.status.code(), Some(2), "the connection fails");
    assert!(text(&output.stderr).contains("password authentication failed"));
}
