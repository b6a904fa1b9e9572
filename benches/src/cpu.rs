//! The CPU time and the memory of a process and everything that it started.

use std::collections::BTreeMap;
use std::fs;
use std::time::Duration;

/// Returns user and system time that a process, its threads and its descendants have used so far,
/// those that have ended and were waited for included.
///
/// Linux only. The kernel counts in nanoseconds and tells in hundredths of a second, which is fine
/// enough for runs of seconds.
#[must_use]
pub fn of_tree(root: u32) -> Duration {
    let processes = snapshot();
    let ticks: u64 = processes
        .iter()
        .filter(|(pid, _)| descends(**pid, root, &processes))
        .map(|(_, process)| process.ticks)
        .sum();
    let per_second = rustix::param::clock_ticks_per_second();
    Duration::from_millis((ticks * 1000).checked_div(per_second).unwrap_or_default())
}

/// Returns the memory that a process and its descendants hold now, in bytes: their resident sets.
///
/// Linux only.
#[must_use]
pub fn memory_of_tree(root: u32) -> usize {
    let processes = snapshot();
    let page = rustix::param::page_size();
    processes
        .keys()
        .filter(|pid| descends(**pid, root, &processes))
        .filter_map(|pid| fs::read_to_string(format!("/proc/{pid}/statm")).ok())
        .filter_map(|statm| statm.split_whitespace().nth(1)?.parse::<usize>().ok())
        .map(|pages| pages * page)
        .sum()
}

struct Process {
    parent: u32,
    ticks: u64,
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
    let times: Vec<u64> = fields.skip(9).take(4).map_while(|field| field.parse().ok()).collect();
    (times.len() == 4).then(|| Process { parent, ticks: times.iter().sum() })
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
        assert_eq!((process.parent, process.ticks), (5, 127));
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
        let process = |parent| Process { parent, ticks: 1 };
        let processes =
            BTreeMap::from([(1, process(0)), (2, process(1)), (3, process(2)), (4, process(1))]);
        let of_two: Vec<u32> =
            processes.keys().copied().filter(|pid| descends(*pid, 2, &processes)).collect();
        assert_eq!(of_two, [2, 3]);
    }
}
