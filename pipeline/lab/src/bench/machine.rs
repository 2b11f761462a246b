//! The size of the machine a measurement was made on: without it, no figure can be compared with another.

use std::{fs, thread};

use rustix::system::uname;
use serde::Serialize;

/// The machine.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Machine {
    /// Cores this process may use.
    pub cores: usize,
    /// What the processor calls itself, if the system says so.
    pub processor: Option<String>,
    /// Memory in bytes, if the system says so.
    pub memory: Option<u64>,
    /// The system and its version.
    pub kernel: String,
}

impl Machine {
    /// This machine.
    #[must_use]
    pub fn here() -> Self {
        let read = |path| fs::read_to_string(path).unwrap_or_default();
        let system = uname();
        Self {
            cores: thread::available_parallelism().map_or(1, usize::from),
            processor: processor(&read("/proc/cpuinfo")),
            memory: memory(&read("/proc/meminfo")),
            kernel: format!("{} {}", system.sysname().to_string_lossy(), system.release().to_string_lossy()),
        }
    }
}

fn processor(cpuinfo: &str) -> Option<String> {
    let line = cpuinfo.lines().find_map(|line| line.strip_prefix("model name"))?;
    Some(line.trim_start_matches(['\t', ' ', ':']).trim().to_owned()).filter(|name| !name.is_empty())
}

fn memory(meminfo: &str) -> Option<u64> {
    let line = meminfo.lines().find_map(|line| line.strip_prefix("MemTotal:"))?;
    line.split_ascii_whitespace().next()?.parse::<u64>().ok()?.checked_mul(1024)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_linux_says_is_read_and_what_it_does_not_say_is_none() {
        assert_eq!(memory("MemTotal:       24000 kB\nMemFree: 1 kB\n"), Some(24_000 << 10));
        assert_eq!(memory("nothing"), None);
        let cpuinfo = "processor\t: 0\nmodel name\t: Some CPU @ 2.1GHz\nprocessor\t: 1\n";
        assert_eq!(processor(cpuinfo).as_deref(), Some("Some CPU @ 2.1GHz"));
        assert_eq!(processor(""), None);
        let here = Machine::here();
        assert!(here.cores > 0 && !here.kernel.trim().is_empty());
    }
}
