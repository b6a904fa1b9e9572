//! Bulk: what passes through pgherd is not held by it.

pub use super::pool::one_connection;
pub use super::routing::primary_only;
use crate::client::{Message, compose};
use crate::play::{LIMIT, PRIMARY, Play, secs};
use crate::world::World;

/// The server sends faster than the client reads; pgherd holds little of it.
pub fn a_large_copy_out_passes_in_little_memory(w: &mut impl World) {
    let app = w.connect("app");
    fill(w, &app, "bulk_out");
    let scale = w.scale();
    let (before, mut peak) = (w.memory(), 0);
    let mut passed = 0;
    app.keep_no_data();
    while passed < scale.bulk_len {
        let so_far = usize::try_from(app.state().data_len).expect("less than 16 EB");
        w.query_start(&app, "copy bulk_out to stdout");
        let mut step = 0_u32;
        w.wait("the copy is complete", BULK_LIMIT, |w| {
            step = step.wrapping_add(1);
            if step.is_multiple_of(MEMORY_EVERY) {
                peak = peak.max(w.memory());
            }
            w.has_answer(&app)
        });
        let answer = w.finish(&app).good();
        assert_eq!(answer.tags(), [format!("COPY {ROWS}")]);
        let now = usize::try_from(app.state().data_len).expect("less than 16 EB");
        assert_eq!(now - so_far, ROWS * (ROW_LEN + 1), "every byte of the table");
        passed = now;
    }
    assert!(peak < before + scale.growth_len_max, "{before} grew to {peak}");
    w.run(&app, "truncate bulk_out");
}

/// The client sends faster than the server writes; pgherd holds little of it.
pub fn a_large_copy_in_passes_in_little_memory(w: &mut impl World) {
    let app = w.connect("app");
    w.run(&app, "create table bulk_in (t text)");
    let scale = w.scale();
    let (before, mut peak) = (w.memory(), 0);
    let mut line = vec![b'x'; ROW_LEN];
    line.push(b'\n');
    let piece = line.repeat(LINES_PER_PIECE);
    // Rolled back, so that the disks of the herd need not hold it for long.
    w.run(&app, "begin");
    w.query_start(&app, "copy bulk_in from stdin");
    assert_eq!(w.message(&app), Message::CopyIn);
    let pieces = scale.bulk_len.div_ceil(piece.len()) / IN_SHARE;
    let message = compose::copy_data(&piece);
    for _ in 0..pieces {
        w.send(app.conn, &message);
        w.drain(&app);
        peak = peak.max(w.memory());
    }
    w.post(&app, &compose::copy_done());
    let mut answer = None;
    w.wait("the copy is complete", BULK_LIMIT, |w| {
        w.pump(&app);
        answer = app.take_answer();
        answer.is_some()
    });
    let answer = answer.expect("waited for").good();
    assert_eq!(answer.tags(), [format!("COPY {}", pieces * LINES_PER_PIECE)]);
    assert!(peak < before + scale.growth_len_max, "{before} grew to {peak}");
    w.run(&app, "rollback");
}

/// A client asks for everything and reads nothing: its server waits, everybody else is served.
pub fn a_client_that_never_reads_harms_nobody(w: &mut impl World) {
    let stuck = w.connect("stuck");
    let app = w.connect("app");
    fill(w, &app, "never_read");
    let scale = w.scale();
    let before = w.memory();
    w.stop_reading(stuck.conn);
    let times = scale.bulk_len.div_ceil(ROWS * ROW_LEN);
    let burst = compose::query("copy never_read to stdout").repeat(times);
    w.post(&stuck, &burst);
    let end = w.now() + secs(3);
    while w.now() < end {
        assert_eq!(w.run(&app, "select 1").value(), "1", "others are served");
        let memory = w.memory();
        assert!(memory < before + scale.growth_len_max, "{before} grew to {memory}");
    }
    // It reads after all, and gets everything.
    stuck.keep_no_data();
    w.resume_reading(stuck.conn);
    for _ in 0..times.min(5) {
        assert_eq!(w.finish(&stuck).good().tags(), [format!("COPY {ROWS}")]);
    }
    w.vanish(&stuck);
    assert_eq!(w.run(&app, "select 1").value(), "1");
}

/// One row that fits into no buffer is passed on while it comes.
pub fn a_row_larger_than_every_buffer(w: &mut impl World) {
    let app = w.connect("app");
    app.keep_no_data();
    let scale = w.scale();
    let len = (scale.bulk_len / 4).min(ROW_LEN_MAX);
    let (before, mut peak) = (w.memory(), 0);
    w.query_start(&app, &format!("select repeat('x', {len})"));
    w.wait("the row has come", BULK_LIMIT, |w| {
        peak = peak.max(w.memory());
        w.has_answer(&app)
    });
    assert_eq!(w.finish(&app).good().tags(), ["SELECT 1"]);
    assert_eq!(app.state().data_len, len as u64 + 6, "a count, a length and the text");
    assert!(peak < before + scale.growth_len_max, "{before} grew to {peak}");
}

/// `CopyFail` ends the copy and nothing else.
pub fn a_copy_that_the_client_gives_up(w: &mut impl World) {
    let app = w.connect("app");
    w.run(&app, "create table given_up (n int)");
    w.query_start(&app, "copy given_up from stdin");
    assert_eq!(w.message(&app), Message::CopyIn);
    w.post(&app, &[compose::copy_data(b"1\n"), compose::copy_fail("enough")].concat());
    let answer = w.finish(&app);
    assert_eq!((answer.code(), answer.status), ("57014", Some(b'I')));
    assert!(answer.trouble().contains("enough"), "{}", answer.trouble());
    assert_eq!(w.run(&app, "select count(*) from given_up").value(), "0");
    assert_eq!(w.copy_in(&app, "copy given_up from stdin", b"7\n", 3).good().tags(), ["COPY 3"]);
}

/// The server refuses a line in the middle; what the client still sends is skipped.
pub fn a_copy_that_the_server_refuses_half_way(w: &mut impl World) {
    let app = w.connect("app");
    w.run(&app, "create table refused (n int)");
    w.query_start(&app, "copy refused from stdin");
    assert_eq!(w.message(&app), Message::CopyIn);
    let mut data = compose::copy_data(b"1\n").repeat(10);
    data.extend(compose::copy_data(b"this is not a number\n"));
    data.extend(compose::copy_data(b"2\n").repeat(2000));
    w.post(&app, &data);
    // A client cannot know yet that the copy has failed.
    w.post(&app, &compose::copy_done());
    let answer = w.finish(&app);
    assert_eq!((answer.code(), answer.status), ("22P02", Some(b'I')));
    assert_eq!(w.run(&app, "select count(*) from refused").value(), "0");
    w.run(&app, "select 1");
}

/// Its connection is good for the next client, and nothing was copied.
pub fn a_client_that_dies_in_a_copy(w: &mut impl World) {
    let app = w.connect("app");
    w.run(&app, "create table died_in_copy (n int)");
    w.run(&app, "insert into died_in_copy select generate_series(1, 20000)");
    w.terminate(&app);
    for sql in ["copy died_in_copy from stdin", "copy died_in_copy to stdout"] {
        let dying = w.connect("dying");
        w.query_start(&dying, sql);
        assert!(matches!(w.message(&dying), Message::CopyIn | Message::CopyOut));
        if sql.contains("from") {
            w.send(dying.conn, &compose::copy_data(b"1\n").repeat(100));
            w.wait("it has left", LIMIT, |w| w.unsent(dying.conn) == 0);
        }
        w.vanish(&dying);
        let next = w.connect("next");
        assert_eq!(w.run(&next, "select count(*) from died_in_copy").value(), "20000", "{sql}");
        w.terminate(&next);
    }
    assert!(w.server_connections(PRIMARY) <= 1);
}

/// Makes a table of [`ROWS`] rows of [`ROW_LEN`] characters.
fn fill(w: &mut impl World, app: &crate::client::Client, name: &str) {
    w.run(app, &format!("create table {name} (t text)"));
    let mut line = vec![b'x'; ROW_LEN];
    line.push(b'\n');
    let piece = line.repeat(LINES_PER_PIECE);
    let sql = format!("copy {name} from stdin");
    let answer = w.copy_in(app, &sql, &piece, ROWS / LINES_PER_PIECE).good();
    assert_eq!(answer.tags(), [format!("COPY {ROWS}")]);
    for node in 1..=STANDBYS {
        w.wait_truth(node, &format!("select count(*) from {name}"), &ROWS.to_string());
    }
}

/// Standbys of the default setup.
const STANDBYS: usize = 2;
/// Characters of a row.
const ROW_LEN: usize = 1023;
/// Rows of a table that is copied again and again until a lot has passed: 2 MiB of them.
const ROWS: usize = 2048;
/// Rows that are sent at once.
const LINES_PER_PIECE: usize = 32;
/// A copy into the herd is written to several disks, and is so many times smaller.
const IN_SHARE: usize = 4;
/// How often memory is looked at: that takes a system call.
const MEMORY_EVERY: u32 = 16;
/// A gigabyte through a build without optimisation on a busy machine.
const BULK_LIMIT: std::time::Duration = secs(600);
/// A server refuses a value of 1 GB, in bytes; it holds a value several times to send it.
const ROW_LEN_MAX: usize = 200_000_000;
