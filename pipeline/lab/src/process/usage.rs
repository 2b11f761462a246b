//! What the system says of a process, by proc(5) of Linux: CPU time of the whole and of each thread, and memory.
//! Elsewhere, and of a process that has gone, there is nothing.

use std::time::Duration;

#[cfg(target_os = "linux")]
pub use linux::{cpu, memory, threads};

/// CPU time of a thread, by its name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ThreadCpu {
    /// The thread's id; that of the main thread is the process's.
    pub id: u32,
    /// Its name, at most 15 bytes.
    pub name: String,
    /// CPU time used so far, user and system.
    pub cpu: Duration,
}

/// Memory of a process, in bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Memory {
    /// The resident set now (`VmRSS`).
    pub now: u64,
    /// The largest it has been (`VmHWM`).
    pub most: u64,
}

#[cfg(target_os = "linux")]
mod linux {
    use std::time::Duration;

    use procfs::process::{Process, Stat};

    use super::{Memory, ThreadCpu};

    /// The CPU time a process has used so far, threads that have ended included.
    #[must_use]
    pub fn cpu(pid: u32) -> Option<Duration> {
        Some(cpu_of(&process(pid)?.stat().ok()?))
    }

    /// The CPU time of each thread there is.
    #[must_use]
    pub fn threads(pid: u32) -> Option<Vec<ThreadCpu>> {
        let tasks = process(pid)?.tasks().ok()?;
        // One that has ended since it was listed has no say.
        let stats = tasks.filter_map(|task| task.ok()?.stat().ok());
        let threads = stats.map(|stat| {
            let cpu = cpu_of(&stat);
            ThreadCpu { id: stat.pid.cast_unsigned(), name: stat.comm, cpu }
        });
        Some(threads.collect())
    }

    /// A process's memory.
    #[must_use]
    pub fn memory(pid: u32) -> Option<Memory> {
        let status = process(pid)?.status().ok()?;
        let bytes = |kib: Option<u64>| kib?.checked_mul(1024);
        Some(Memory { now: bytes(status.vmrss)?, most: bytes(status.vmhwm)? })
    }

    fn process(pid: u32) -> Option<Process> {
        Process::new(i32::try_from(pid).ok()?).ok()
    }

    fn cpu_of(stat: &Stat) -> Duration {
        let ticks = u128::from(stat.utime) + u128::from(stat.stime);
        let nanos = ticks * 1_000_000_000 / u128::from(procfs::ticks_per_second().max(1));
        Duration::from_nanos(u64::try_from(nanos).unwrap_or(u64::MAX))
    }
}

/// Nothing is known here.
#[cfg(not(target_os = "linux"))]
#[must_use]
pub fn cpu(_: u32) -> Option<Duration> {
    None
}

/// Nothing is known here.
#[cfg(not(target_os = "linux"))]
#[must_use]
pub fn threads(_: u32) -> Option<Vec<ThreadCpu>> {
    None
}

/// Nothing is known here.
#[cfg(not(target_os = "linux"))]
#[must_use]
pub fn memory(_: u32) -> Option<Memory> {
    None
}

#[cfg(all(test, target_os = "linux"))]
mod tests {
    use super::*;

    #[test]
    fn this_process_is_known_and_one_that_is_not_there_is_not() {
        let me = std::process::id();
        let started = std::thread::Builder::new().name("a (b) c".to_owned());
        let (ends, ended) = std::sync::mpsc::sync_channel::<()>(0);
        let thread = started.spawn(move || ended.recv().is_err()).unwrap();
        // A thread names itself when it begins.
        while !threads(me).unwrap().iter().any(|thread| thread.name == "a (b) c") {
            std::thread::yield_now();
        }
        drop(ends);
        assert!(thread.join().unwrap());
        assert!(threads(me).unwrap().iter().any(|thread| thread.id == me));
        let Memory { now, most } = memory(me).unwrap();
        assert!(cpu(me).is_some() && now > 1 << 20 && most >= now);
        assert_eq!((cpu(0), memory(0), threads(0)), (None, None, None));
    }

    #[test]
    fn cpu_time_grows_with_work() {
        let before = cpu(std::process::id()).unwrap();
        let mut sum = 0_u64;
        while cpu(std::process::id()).unwrap() == before {
            sum = (0..100_000).fold(sum, |sum, next| std::hint::black_box(sum + next));
        }
    }
}
