//! One reading of the machine's clocks: the wall clock, and the uptime, which cannot be set.

use std::{fs, sync::OnceLock};

use rustix::time::{ClockId, clock_gettime};

/// Identifies one boot of a machine.
pub(crate) type Boot = [u8; 16];

/// A reading of the clocks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct ClockReading {
    /// The wall clock's time.
    pub(crate) wall: u64,
    /// Milliseconds since the machine was booted, including sleep.
    pub(crate) up: u64,
    /// The boot; none if the system does not say.
    pub(crate) boot: Option<Boot>,
}

/// A reading of this machine's clocks; its wall clock shows `wall`.
pub(crate) fn of_machine(wall: u64) -> ClockReading {
    ClockReading { wall, up: up(), boot: boot() }
}

/// Milliseconds since the machine was booted.
pub(crate) fn up() -> u64 {
    let up = clock_gettime(ClockId::Boottime);
    let (seconds, nanos) = (u64::try_from(up.tv_sec).unwrap_or(0), u64::try_from(up.tv_nsec).unwrap_or(0));
    seconds.saturating_mul(1_000).saturating_add(nanos / 1_000_000)
}

fn boot() -> Option<Boot> {
    static BOOT: OnceLock<Option<Boot>> = OnceLock::new();
    *BOOT.get_or_init(|| parse(&fs::read_to_string("/proc/sys/kernel/random/boot_id").ok()?))
}

fn parse(id: &str) -> Option<Boot> {
    let digits = id.trim().replace('-', "");
    (digits.len() == 32).then(|| u128::from_str_radix(&digits, 16).ok().map(u128::to_be_bytes))?
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_boot_is_told_by_its_id_and_time_goes_on() {
        let id = parse("0f0e0d0c-0000-4000-8000-000000000001\n").unwrap();
        assert_eq!((id[0], id[15]), (0x0f, 1));
        assert!(parse("").is_none() && parse("0f").is_none());
        let (first, second) = (of_machine(7), of_machine(7));
        assert!(first.up > 0 && first.up <= second.up && first.boot == second.boot);
    }
}
