//! The extended query protocol.

pub use super::routing::standby_only;
use crate::client::{Message, compose};
use crate::play::{Play, secs};
use crate::world::World;

pub use super::routing::primary_only;

/// What every driver does.
pub fn a_statement_by_the_extended_protocol(w: &mut impl World) {
    let app = w.connect("app");
    let answer = w.extended(&app, "select $1::int + 1", &["41"]).good();
    assert_eq!((answer.shape().as_str(), answer.value().as_str()), ("12TDC", "42"));
    assert_eq!(w.extended(&app, "create table by_extended (n int)", &[]).good().shape(), "12nC");
    let answer = w.extended(&app, "insert into by_extended values ($1::int)", &["7"]).good();
    assert_eq!(answer.tags(), ["INSERT 0 1"]);
    assert_eq!(w.extended(&app, "select 1/0", &[]).code(), "22012");
    let answer = w.extended(&app, "select no_such_column from by_extended", &[]);
    assert_eq!((answer.code(), answer.shape().as_str()), ("42703", "E"));
}

/// The pipeline is undone up to its `Sync`; the next one is executed.
pub fn an_error_in_the_middle_of_a_pipeline(w: &mut impl World) {
    let app = w.connect("app");
    w.run(&app, "create table in_pipeline (n int)");
    let insert = |n: u32| {
        compose::statement("insert into in_pipeline values ($1::int)", &[n.to_string().as_str()])
    };
    let pipeline = [
        insert(1),
        compose::statement("select 1/0", &[]),
        insert(2),
        compose::sync(),
        insert(3),
        compose::sync(),
    ];
    w.post(&app, &pipeline.concat());
    let first = w.finish(&app);
    assert_eq!((first.code(), first.status), ("22012", Some(b'I')));
    assert_eq!(first.tags(), ["INSERT 0 1"]);
    assert_eq!(w.finish(&app).good().tags(), ["INSERT 0 1"]);
    assert_eq!(w.truth(0, "select sum(n) from in_pipeline"), "3");
}

/// Many statements in one go, some with a `Sync` of their own and some without.
pub fn a_pipeline_of_many_statements(w: &mut impl World) {
    let app = w.connect("app");
    let (batches, statements) = (20, 25);
    let mut pipeline = Vec::new();
    for batch in 0..batches {
        for n in 0..statements {
            let n = (batch * statements + n).to_string();
            pipeline.extend(compose::statement("select $1::int", &[n.as_str()]));
        }
        pipeline.extend(compose::sync());
    }
    w.post(&app, &pipeline);
    for batch in 0..batches {
        let rows = w.finish(&app).good().rows();
        let expected: Vec<_> =
            (0..statements).map(|n| vec![(batch * statements + n).to_string()]).collect();
        assert_eq!(rows, expected);
    }
}

/// A pipeline is a transaction: what it reads is what it wrote.
pub fn a_pipeline_that_reads_and_writes(w: &mut impl World) {
    let app = w.connect("app");
    w.table(&app, "mixed", 2);
    let pipeline = [
        compose::statement("select count(*) from mixed", &[]),
        compose::statement("insert into mixed values (1)", &[]),
        compose::statement("select count(*) from mixed", &[]),
        compose::sync(),
    ];
    w.post(&app, &pipeline.concat());
    assert_eq!(w.finish(&app).good().rows(), [["0"], ["1"]]);
}

/// `Flush` asks for what there is, and the transaction stays open.
pub fn flush_brings_answers_without_sync(w: &mut impl World) {
    let app = w.connect("app");
    w.post(&app, &[compose::parse("s", "select $1::int"), compose::flush()].concat());
    assert_eq!(w.message(&app), Message::ParseComplete);
    let more = [compose::describe_statement("s"), compose::flush()];
    w.post(&app, &more.concat());
    assert!(matches!(w.message(&app), Message::ParameterDescription(types) if types.len() == 1));
    assert!(matches!(w.message(&app), Message::RowDescription(_)));
    let run = [compose::bind("", "s", &["5"]), compose::execute("", 0), compose::flush()];
    w.post(&app, &run.concat());
    assert_eq!(w.message(&app), Message::BindComplete);
    assert_eq!(w.message(&app), Message::DataRow(vec![Some(b"5".to_vec())]));
    assert_eq!(w.message(&app), Message::CommandComplete("SELECT 1".into()));
    assert!(!w.has_answer(&app), "without a Sync there is no ReadyForQuery");
    w.post(&app, &compose::sync());
    assert_eq!(w.finish(&app).good().shape(), "");
}

/// A row limit suspends the portal, and the next `Execute` goes on where it stopped.
pub fn rows_come_a_few_at_a_time(w: &mut impl World) {
    let app = w.connect("app");
    let pipeline = [
        compose::parse("", "select generate_series(1, 5)"),
        compose::bind("", "", &[]),
        compose::execute("", 2),
        compose::execute("", 2),
        compose::execute("", 2),
        compose::sync(),
    ];
    w.post(&app, &pipeline.concat());
    let answer = w.finish(&app).good();
    assert_eq!(answer.shape(), "12DDsDDsDC");
    assert_eq!(answer.rows(), [["1"], ["2"], ["3"], ["4"], ["5"]]);

    // In a transaction a named portal outlives the Sync.
    w.run(&app, "begin");
    let open = [
        compose::parse("", "select generate_series(1, 3)"),
        compose::bind("p", "", &[]),
        compose::execute("p", 1),
        compose::sync(),
    ];
    w.post(&app, &open.concat());
    assert_eq!(w.finish(&app).good().shape(), "12Ds");
    w.post(&app, &[compose::execute("p", 0), compose::sync()].concat());
    assert_eq!(w.finish(&app).good().shape(), "DDC");
    w.post(&app, &[compose::close_portal("p"), compose::sync()].concat());
    assert_eq!(w.finish(&app).good().shape(), "3");
    w.run(&app, "commit");
}

/// A closed statement can be prepared anew; one that was never there can be closed too.
pub fn closed_statements_are_gone(w: &mut impl World) {
    let app = w.connect("app");
    let prepare = |sql| [compose::parse("s", sql), compose::sync()].concat();
    let run = [compose::bind("", "s", &[]), compose::execute("", 0), compose::sync()].concat();
    w.post(&app, &prepare("select 1"));
    w.finish(&app).good();
    w.post(&app, &prepare("select 2"));
    assert_eq!(w.finish(&app).code(), "42P05", "the name is taken");
    w.post(&app, &[compose::close_statement("s"), compose::sync()].concat());
    assert_eq!(w.finish(&app).good().shape(), "3");
    w.post(&app, &run);
    assert_eq!(w.finish(&app).code(), "26000");
    w.post(&app, &prepare("select 3"));
    w.finish(&app).good();
    w.post(&app, &run);
    assert_eq!(w.finish(&app).good().value(), "3");
    w.post(&app, &[compose::close_statement("never"), compose::sync()].concat());
    assert_eq!(w.finish(&app).good().shape(), "3");
    w.run(&app, "deallocate all");
    w.post(&app, &run);
    assert_eq!(w.finish(&app).code(), "26000");
}

/// After an error the server reads on until `Sync` and answers nothing.
pub fn an_error_skips_everything_until_sync(w: &mut impl World) {
    let app = w.connect("app");
    w.post(&app, &[compose::parse("", "selec"), compose::flush()].concat());
    let Message::Error(fields) = w.message(&app) else { panic!("a syntax error") };
    assert_eq!(fields.code(), "42601");
    w.post(&app, &[compose::statement("select 1", &[]), compose::flush()].concat());
    w.never("an answer in front of the Sync", secs(1), |w| {
        w.pump(&app);
        app.has_message()
    });
    w.post(&app, &compose::sync());
    assert_eq!(w.finish(&app).good().shape(), "");
    w.run(&app, "select 1");
}

/// A statement that was prepared in a transaction is used outside of it, in batches that are sent
/// together: the other server gets to know it on the way.
pub fn batches_sent_together_find_their_statement(w: &mut impl World) {
    let app = w.connect("app");
    w.run(&app, "begin");
    w.post(&app, &[compose::parse("s", "select $1::int + 1"), compose::sync()].concat());
    w.finish(&app).good();
    w.run(&app, "commit");
    let batch = |n: u32| {
        let n = n.to_string();
        [compose::bind("", "s", &[n.as_str()]), compose::execute("", 0), compose::sync()].concat()
    };
    w.post(&app, &(0..9).flat_map(batch).collect::<Vec<u8>>());
    for n in 0..9 {
        assert_eq!(w.finish(&app).good().value(), (n + 1).to_string());
    }
}
