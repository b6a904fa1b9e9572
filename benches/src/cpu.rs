//! The CPU time and the memory of a process and everything that it started.

use std::collections::BTreeMap;
use std::fs;
use std::time::Duration;

/// Returns user and system time that a process, its threads and its descendants have used so far,
/// those descendants that have ended and were waited for included.
///
/// Linux only. Of what lives the scheduler tells nanoseconds, of what has ended the kernel keeps
/// hundredths of a second.
#[must_use]
pub fn of_tree(root: u32) -> Duration {
    let processes = snapshot();
    let per_second = rustix::param::clock_ticks_per_second();
    let of_ticks =
        |ticks: u64| Duration::from_nanos((ticks * NANOS).checked_div(per_second).unwrap_or(0));
    processes
        .iter()
        .filter(|(pid, _)| descends(**pid, root, &processes))
        .map(|(pid, process)| {
            let own = scheduled(*pid).unwrap_or_else(|| of_ticks(process.own_ticks));
            own + of_ticks(process.ended_ticks)
        })
        .sum()
}

/// Returns the time that the threads of a process have run, if the kernel counts it.
fn scheduled(pid: u32) -> Option<Duration> {
    let tasks = fs::read_dir(format!("/proc/{pid}/task")).ok()?;
    let time = |task: &fs::DirEntry| {
        let text = fs::read_to_string(task.path().join("schedstat")).ok()?;
        text.split_whitespace().next()?.parse().ok().map(Duration::from_nanos)
    };
    tasks.flatten().map(|task| time(&task)).sum()
}

/// Nanoseconds of a second.
const NANOS: u64 = 1_000_000_000;

/// Returns the memory that a process and its descendants hold now, in bytes: their proportional
/// set size, in which what several processes share counts once.
///
/// Linux only.
#[must_use]
pub fn memory_of_tree(root: u32) -> usize {
    let of_process = |pid: &u32| {
        let text = fs::read_to_string(format!("/proc/{pid}/smaps_rollup")).ok()?;
        let line = text.lines().find_map(|line| line.strip_prefix("Pss:"))?;
        line.split_whitespace().next()?.parse::<usize>().ok()
    };
    let processes = snapshot();
    let tree = processes.keys().filter(|pid| descends(**pid, root, &processes));
    tree.filter_map(of_process).sum::<usize>() * 1024
}

/// Returns how many files a process and its descendants have open now.
///
/// Linux only.
#[must_use]
pub fn files_of_tree(root: u32) -> usize {
    let processes = snapshot();
    let tree = processes.keys().filter(|pid| descends(**pid, root, &processes));
    tree.filter_map(|pid| fs::read_dir(format!("/proc/{pid}/fd")).ok()).map(Iterator::count).sum()
}

struct Process {
    parent: u32,
    /// Its own time.
    own_ticks: u64,
    /// That of children which have ended and were waited for.
    ended_ticks: u64,
}

fn snapshot() -> BTreeMap<u32, Process> {
    let Ok(entries) = fs::read_dir("/proc") else { return BTreeMap::new() };
    entries
        .flatten()
        .filter_map(|entry| {
            let pid = entry.file_name().to_str()?.parse().ok()?;
            let stat = fs::read(entry.path().join("stat")).ok()?;
            Some((pid, parse(&String::from_utf8_lossy(&stat))?))
        })
        .collect()
}

/// Reads `/proc/PID/stat` (proc(5)): after the name, which may hold anything, the parent is the
/// 2nd field, and the 12th to 15th are utime, stime, cutime and cstime.
fn parse(stat: &str) -> Option<Process> {
    let (_, fields) = stat.rsplit_once(')')?;
    let mut fields = fields.split_whitespace();
    let parent = fields.nth(1)?.parse().ok()?;
    let mut times = fields.skip(9).map_while(|field| field.parse::<u64>().ok());
    let mut pair = || Some(times.next()? + times.next()?);
    Some(Process { parent, own_ticks: pair()?, ended_ticks: pair()? })
}

fn descends(mut pid: u32, root: u32, processes: &BTreeMap<u32, Process>) -> bool {
    // A cycle cannot be, but a snapshot that is not of one moment could show one.
    for _ in 0..DEPTH_MAX {
        if pid == root {
            return true;
        }
        let Some(process) = processes.get(&pid) else { return false };
        pid = process.parent;
    }
    false
}

/// Generations that are followed. Proxies start children, hardly grandchildren.
const DEPTH_MAX: usize = 16;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_summed_whatever_the_name_is() {
        let stat = "17 (a) b (c) S 5 17 17 0 -1 4194304 1 2 3 4 100 20 3 4 20 0 1 0 9";
        let process = parse(stat).unwrap();
        assert_eq!((process.parent, process.own_ticks, process.ended_ticks), (5, 120, 7));
        assert!(parse("17 (a) S 5 17").is_none());
    }

    #[test]
    fn work_of_this_process_is_seen() {
        let own = std::process::id();
        let before = of_tree(own);
        let mut sum = 0u64;
        while of_tree(own) < before + Duration::from_millis(30) {
            sum = (0..1_000_000u64).fold(sum, |sum, i| std::hint::black_box(sum.wrapping_add(i)));
        }
    }

    #[test]
    fn descendants_are_told_from_others() {
        let process = |parent| Process { parent, own_ticks: 1, ended_ticks: 0 };
        let processes =
            BTreeMap::from([(1, process(0)), (2, process(1)), (3, process(2)), (4, process(1))]);
        let of_two: Vec<u32> =
            processes.keys().copied().filter(|pid| descends(*pid, 2, &processes)).collect();
        assert_eq!(of_two, [2, 3]);
    }
}
