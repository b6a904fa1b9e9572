//! Prepared statements and portals, as PostgreSQL 15.18 has answered to the same messages.

use super::*;

/// What is answered, errors and warnings by their SQLSTATEs.
fn told(bench: &mut Bench, parts: &[Vec<u8>]) -> String {
    let (_, bytes) = bench.say(&parts.concat());
    let word = |(tag, body): &(char, Vec<u8>)| {
        let text = String::from_utf8_lossy(body).into_owned();
        match tag {
            'E' | 'N' => {
                text.split('\0').find_map(|f| f.strip_prefix('C')).unwrap_or_default().to_owned()
            }
            other => other.to_string(),
        }
    };
    messages(&bytes).iter().map(word).collect::<Vec<_>>().join(" ")
}

fn run(sql: &str) -> Vec<u8> {
    [parse_message("", sql), bind_message("", "", &[]), execute_message("", 0)].concat()
}

fn close(kind: char, name: &str) -> Vec<u8> {
    message(b'C', format!("{kind}{name}\0").as_bytes())
}

fn describe(kind: char, name: &str) -> Vec<u8> {
    message(b'D', format!("{kind}{name}\0").as_bytes())
}

#[test]
#[expect(clippy::too_many_lines, reason = "a table of conversations")]
fn statements_and_portals_live_as_long_as_they_should() {
    let mut bench = Bench::ready();
    bench.sql("create table t (a int)");
    let (parse, bind, execute) = (parse_message, bind_message, execute_message);
    let cases: Vec<(&str, Vec<Vec<u8>>, &str)> = vec![
        (
            "a name is taken",
            vec![parse("a", "select 1"), parse("a", "select 1"), bind("", "a", &[]), sync()],
            "1 42P05 Z",
        ),
        ("it is still there", vec![bind("", "a", &[]), execute("", 0), sync()], "2 D C Z"),
        ("an unknown one", vec![bind("", "zz", &[]), sync()], "26000 Z"),
        (
            "a query forgets the unnamed one",
            vec![parse("", "select 1"), sync(), query("select 2"), bind("", "", &[]), sync()],
            "1 Z T D C Z 26000 Z",
        ),
        (
            "so does a wrong successor",
            vec![parse("", "select 1"), parse("", "selec"), sync(), bind("", "", &[]), sync()],
            "1 42601 Z 26000 Z",
        ),
        ("closing nothing is fine", vec![close('S', "no"), close('P', "no"), sync()], "3 3 Z"),
        (
            "a portal ends with Sync",
            vec![parse("", "select 1"), bind("p", "", &[]), sync(), execute("p", 0), sync()],
            "1 2 Z 34000 Z",
        ),
        (
            "or goes on in a transaction",
            vec![
                query("begin"),
                parse("", "select generate_series(1, 3)"),
                bind("p", "", &[]),
                execute("p", 1),
                sync(),
                execute("p", 1),
                sync(),
                bind("p", "", &[]),
                sync(),
                query("rollback"),
            ],
            "C Z 1 2 D s Z D s Z 42P03 Z C Z",
        ),
        (
            "until that is over",
            vec![
                run("begin"),
                parse("", "select 1"),
                bind("p", "", &[]),
                run("commit"),
                execute("p", 0),
                sync(),
            ],
            "1 2 C 1 2 1 2 C 34000 Z",
        ),
        (
            "a query may be run to its end twice",
            vec![run("select 1"), execute("", 0), sync()],
            "1 2 D C C Z",
        ),
        (
            "another statement may not",
            vec![run("insert into t values (1)"), execute("", 0), sync()],
            "1 2 C 55000 Z",
        ),
        (
            "what must be alone",
            vec![run("select 1"), run("discard all"), sync()],
            "1 2 D C 1 2 25001 Z",
        ),
        ("and is", vec![run("discard all"), sync()], "1 2 C Z"),
        (
            "a statement of SQL is one of the protocol",
            vec![
                query("prepare sq as select 7"),
                bind("", "sq", &[]),
                execute("", 0),
                describe('S', "sq"),
                close('S', "sq"),
                sync(),
                query("execute sq"),
            ],
            "C Z 2 D C t T 3 Z 26000 Z",
        ),
        (
            "and the other way round",
            vec![parse("prot", "select 5"), sync(), query("execute prot; deallocate prot")],
            "1 Z T D C C Z",
        ),
        (
            "a table that has gone",
            vec![
                query("create temp table tmp (a int)"),
                parse("tt", "select * from tmp"),
                sync(),
                query("drop table tmp"),
                bind("", "tt", &[]),
                sync(),
            ],
            "C Z 1 Z C Z 42P01 Z",
        ),
        ("what is not there", vec![parse("x", "select nofunc()"), sync()], "42883 Z"),
        (
            "a failed transaction",
            vec![
                query("begin; select 1/0"),
                parse("x", "select 1"),
                sync(),
                parse("y", "rollback"),
                sync(),
                query("rollback"),
            ],
            "C 22012 Z 25P02 Z 1 Z C Z",
        ),
    ];
    for (what, parts, expected) in cases {
        assert_eq!(told(&mut bench, &parts), expected, "{what}");
    }
}
