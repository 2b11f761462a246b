//! The schemes: eight that look right, and Loadline's.

mod forgetting_too_soon;
mod in_memory_set;
mod key_by_event;
mod key_by_offset;
mod loadline;
mod mark_after_send;
mod mark_before_send;
mod retry_from_the_top;
mod store_not_flushed;

/// Their names.
pub(crate) const NAMES: [&str; 9] = [
    "mark_before_send",
    "mark_after_send",
    "key_by_offset",
    "key_by_event",
    "in_memory_set",
    "forgetting_too_soon",
    "store_not_flushed",
    "retry_from_the_top",
    "loadline",
];
