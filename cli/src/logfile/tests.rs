//! What ends up in which file.

use std::time::Duration;

use jiff::civil::date;
use jiff::tz::{TimeZone, offset};

use super::*;

/// A directory of one test's own.
struct Room(PathBuf);

impl Room {
    fn new(test: &str) -> Self {
        let dir = format!("pgherd-logfile-{}-{test}", std::process::id());
        Self(std::env::temp_dir().join(dir))
    }

    fn policy(&self, name: &str) -> LogFiles {
        LogFiles {
            directory: self.0.join("log").display().to_string(),
            name: name.to_owned(),
            mode: 0o640,
            is_truncated: false,
            age: None,
            size: None,
        }
    }

    /// The files with their texts, in order of their names.
    fn files(&self) -> Vec<(String, String)> {
        let mut files: Vec<_> = std::fs::read_dir(self.0.join("log"))
            .expect("the directory has been made")
            .map(|entry| entry.expect("it can be read").path())
            .map(|path| {
                let name = path.file_name().expect("it has a name").to_string_lossy().into_owned();
                (name, std::fs::read_to_string(path).expect("a log is text"))
            })
            .collect();
        files.sort();
        files
    }

    fn assert_files(&self, expected: &[(&str, &str)]) {
        let files = self.files();
        let files: Vec<_> = files.iter().map(|(n, t)| (n.as_str(), t.as_str())).collect();
        assert_eq!(files, expected);
    }
}

impl Drop for Room {
    fn drop(&mut self) {
        drop(std::fs::remove_dir_all(&self.0));
    }
}

/// A time on the 2nd of January, two hours east of Greenwich.
fn at(hour: i8, minute: i8) -> Zoned {
    let zone = TimeZone::fixed(offset(2));
    date(2026, 1, 2).at(hour, minute, 0, 0).to_zoned(zone).expect("it is a time")
}

fn log(policy: &LogFiles, now: &Zoned) -> LogFile {
    LogFile::open(policy.clone(), now).expect("a fresh directory can be written to")
}

fn write(log: &mut LogFile, line: &str, now: &Zoned) {
    log.write(line.as_bytes(), now).expect("the disk is not full");
}

#[test]
fn a_file_is_named_for_the_time_and_continued() {
    let room = Room::new("continued");
    let policy = room.policy("pgpool-%Y-%m-%d_%H%M%S.log");
    write(&mut log(&policy, &at(3, 4)), "a\n", &at(3, 4));
    write(&mut log(&policy, &at(3, 4)), "b\n", &at(23, 59));
    room.assert_files(&[("pgpool-2026-01-02_030400.log", "a\nb\n")]);
    let path = room.0.join("log/pgpool-2026-01-02_030400.log");
    let mode = |path: &Path| std::fs::metadata(path).expect("it is there").permissions().mode();
    assert_eq!(mode(&path) & 0o777, 0o640);
    assert_eq!(mode(&room.0.join("log")) & 0o777, 0o700);
}

#[test]
fn a_file_begins_at_multiples_of_the_age_on_the_local_clock() {
    let room = Room::new("age");
    let policy = LogFiles { age: Some(Duration::from_secs(3600)), ..room.policy("%H.log") };
    let mut log = log(&policy, &at(0, 59));
    for (line, now) in [("a", at(0, 59)), ("b", at(1, 0)), ("c", at(1, 59)), ("d", at(4, 1))] {
        write(&mut log, line, &now);
    }
    room.assert_files(&[("00.log", "a"), ("01.log", "bc"), ("04.log", "d")]);
    let day = LogFiles { age: Some(Duration::from_secs(86_400)), ..policy };
    let today = period(&day, &at(0, 0));
    assert_eq!(period(&day, &at(23, 59)), today, "a day ends at midnight");
}

#[test]
fn a_clock_that_is_set_back_goes_on_in_the_file_of_its_time() {
    let room = Room::new("back");
    let age = Some(Duration::from_secs(3600));
    let policy = LogFiles { age, is_truncated: true, ..room.policy("%H.log") };
    let mut log = log(&policy, &at(1, 0));
    for (line, now) in [("a", at(1, 0)), ("b", at(5, 0)), ("c", at(1, 30)), ("d", at(2, 0))] {
        write(&mut log, line, &now);
    }
    room.assert_files(&[("01.log", "ac"), ("02.log", "d"), ("05.log", "b")]);
}

#[test]
fn only_time_begins_a_file_anew() {
    let room = Room::new("anew");
    let age = Some(Duration::from_secs(3600));
    let policy = LogFiles { age, is_truncated: true, ..room.policy("%H.log") };
    write(&mut log(&room.policy("02.log"), &at(1, 0)), "yesterday's", &at(1, 0));
    let mut log = log(&policy, &at(1, 0));
    write(&mut log, "a", &at(1, 0));
    assert!(log.rotate(Cause::Other, &at(1, 1)));
    write(&mut log, "b", &at(1, 2));
    write(&mut log, "c", &at(2, 0));
    room.assert_files(&[("01.log", "ab"), ("02.log", "c")]);
}

#[test]
fn a_file_begins_behind_the_size() {
    let room = Room::new("size");
    let mut log = log(&LogFiles { size: Some(4), ..room.policy("%M.log") }, &at(1, 1));
    for (line, minute) in [("abc", 1), ("def", 2), ("ghi", 3), ("j", 4)] {
        write(&mut log, line, &at(1, minute));
    }
    room.assert_files(&[("01.log", "abcdef"), ("03.log", "ghij")]);
}

#[test]
fn a_file_that_was_moved_away_is_made_again() {
    let room = Room::new("moved");
    let mut log = log(&room.policy("a.log"), &at(1, 1));
    write(&mut log, "old", &at(1, 1));
    let path = room.0.join("log/a.log");
    std::fs::rename(&path, room.0.join("log/a.log.1")).expect("it is there");
    assert!(log.rotate(Cause::Other, &at(1, 2)));
    write(&mut log, "new", &at(1, 2));
    room.assert_files(&[("a.log", "new"), ("a.log.1", "old")]);
}

#[test]
fn another_name_takes_effect_at_once_and_a_bad_one_not_at_all() {
    let room = Room::new("reload");
    let mut log = log(&room.policy("a.log"), &at(1, 1));
    log.reload(&room.policy("b.log"), &at(1, 1));
    write(&mut log, "b", &at(1, 1));
    log.reload(&room.policy("%"), &at(1, 1));
    write(&mut log, "c", &at(1, 1));
    let files = room.files();
    let [(a, nothing), (b, text)] = files.as_slice() else { panic!("{files:?}") };
    assert_eq!((a.as_str(), nothing.as_str(), b.as_str()), ("a.log", "", "b.log"));
    assert!(text.starts_with("bcannot begin another log file: log_filename"), "{text}");
    assert!(text.ends_with("\nc"), "{text}");
    assert_eq!(log.policy.name, "b.log");
}

#[test]
fn a_directory_that_cannot_be_made_is_named() {
    let room = Room::new("named");
    std::fs::create_dir(&room.0).expect("it is not there yet");
    std::fs::write(room.0.join("log"), "").expect("it is ours");
    let fault = LogFile::open(room.policy("a.log"), &at(1, 1)).err().unwrap_or_default();
    assert!(fault.contains("/log: ") && fault.contains("log_directory"), "{fault}");
}

/// Somebody else may have made the directory and put a link where the file is to be.
#[test]
fn no_link_is_followed() {
    let room = Room::new("link");
    let policy = room.policy("a.log");
    std::fs::create_dir_all(&policy.directory).expect("it can be made");
    let victim = room.0.join("victim");
    std::fs::write(&victim, "mine").expect("it can be written");
    let link = Path::new(&policy.directory).join("a.log");
    std::os::unix::fs::symlink(&victim, link).expect("it can be made");
    let why = LogFile::open(policy, &at(10, 0)).err().expect("it is refused");
    assert!(why.contains("a.log") && why.contains("log_directory"), "{why}");
    assert_eq!(std::fs::read_to_string(victim).expect("it is there"), "mine");
}
