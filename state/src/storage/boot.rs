//! Which boot of the machine this is: a page that was written but not synced survives the process, not the machine.

use std::fs;

const BOOT_ID: &str = "/proc/sys/kernel/random/boot_id";

/// A boot of the machine.
pub(crate) type BootId = [u8; 16];

/// The current one; none where the system does not say.
pub(super) fn current() -> Option<BootId> {
    let text = fs::read_to_string(BOOT_ID).ok()?;
    let digits: String = text.trim().chars().filter(|c| *c != '-').collect();
    u128::from_str_radix(&digits, 16).ok().filter(|id| *id != 0).map(u128::to_be_bytes)
}
