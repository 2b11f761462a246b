//! What the system says of a process, by proc(5) of Linux: CPU time of the whole and of each thread, and memory.
//! Elsewhere, and of a process that has gone, there is nothing.

use std::{fs, path::Path, time::Duration};

use rustix::param::clock_ticks_per_second;

/// CPU time of a thread, by its name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct ThreadCpu {
    /// The thread's id; that of the main thread is the process's.
    pub id: u32,
    /// Its name, at most 15 bytes.
    pub name: String,
    /// CPU time used so far, user and system.
    pub cpu: Duration,
}

/// Memory of a process, in bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Memory {
    /// The resident set now (`VmRSS`).
    pub now: u64,
    /// The largest it has been (`VmHWM`).
    pub most: u64,
}

/// The CPU time a process has used so far, threads that have ended included.
#[must_use]
pub(crate) fn cpu(pid: u32) -> Option<Duration> {
    Some(parse_stat(&fs::read_to_string(format!("/proc/{pid}/stat")).ok()?, clock_ticks_per_second())?.1)
}

/// The CPU time of each thread there is.
#[must_use]
pub(crate) fn threads(pid: u32) -> Option<Vec<ThreadCpu>> {
    let tasks = fs::read_dir(format!("/proc/{pid}/task")).ok()?;
    Some(tasks.flatten().filter_map(|task| thread(&task.path())).collect())
}

fn thread(task: &Path) -> Option<ThreadCpu> {
    let id = task.file_name()?.to_str()?.parse().ok()?;
    // One that has ended since it was listed has no say.
    let (name, cpu) = parse_stat(&fs::read_to_string(task.join("stat")).ok()?, clock_ticks_per_second())?;
    Some(ThreadCpu { id, name, cpu })
}

/// A process's memory.
#[must_use]
pub(crate) fn memory(pid: u32) -> Option<Memory> {
    parse_status(&fs::read_to_string(format!("/proc/{pid}/status")).ok()?)
}

/// Name and CPU time in a line of `stat`. The name stands in parentheses and may hold some itself.
fn parse_stat(line: &str, ticks_per_second: u64) -> Option<(String, Duration)> {
    let (before, after) = line.rsplit_once(')')?;
    let (_, name) = before.split_once('(')?;
    // The first one after the name is field 3; utime and stime are fields 14 and 15.
    let mut times = after.split_ascii_whitespace().skip(11).map(str::parse::<u64>);
    let ticks = times.next()?.ok()?.checked_add(times.next()?.ok()?)?;
    let nanos = u128::from(ticks) * 1_000_000_000 / u128::from(ticks_per_second.max(1));
    Some((name.to_owned(), Duration::from_nanos(u64::try_from(nanos).ok()?)))
}

fn parse_status(status: &str) -> Option<Memory> {
    let field = |name: &str| {
        let line = status.lines().find_map(|line| line.strip_prefix(name))?;
        line.split_ascii_whitespace().next()?.parse::<u64>().ok()?.checked_mul(1024)
    };
    Some(Memory { now: field("VmRSS:")?, most: field("VmHWM:")? })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cpu_time_and_name_are_found_behind_any_name() {
        let stat = "4242 (a (b) c) S 1 4242 4242 0 -1 4194560 9001 0 0 0 137 63 5 6 20 0 9 0 81 1 2 3";
        let expected = ("a (b) c".to_owned(), Duration::from_secs(2));
        assert_eq!(parse_stat(stat, 100), Some(expected));
        assert_eq!(parse_stat("4242 (cut) S 1 4242", 100), None);
        assert_eq!(parse_stat("", 100), None);
    }

    #[test]
    fn memory_is_given_in_bytes() {
        let status = "Name:\tloadline\nVmHWM:\t   61440 kB\nVmRSS:\t    1024 kB\nThreads:\t5\n";
        assert_eq!(parse_status(status), Some(Memory { now: 1 << 20, most: 60 << 20 }));
        assert_eq!(parse_status("Name:\tzombie\n"), None);
    }

    #[cfg(target_os = "linux")]
    #[test]
    fn this_process_is_known_and_one_that_is_not_there_is_not() {
        let me = std::process::id();
        let all = threads(me).unwrap();
        assert!(all.iter().any(|thread| thread.id == me));
        let Memory { now, most } = memory(me).unwrap();
        assert!(cpu(me).is_some() && now > 1 << 20 && most >= now);
        assert_eq!((cpu(0), memory(0), threads(0)), (None, None, None));
    }
}
