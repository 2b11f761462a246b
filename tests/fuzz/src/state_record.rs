//! Stored values: any bytes give a value or a fault; a value that is read is written as the same; a changed envelope is
//! found.

/// Takes `input` as a stored value of every kind.
pub fn state_record(input: &[u8]) {
    state::fuzzing::decode_any(input);
    let sealed = state::fuzzing::seal(b"key", input);
    assert_eq!(state::fuzzing::open(b"key", &sealed), Some(input), "what is sealed is opened");
    // One changed byte behind the first is found, whichever it is.
    let at = 1 + input.iter().map(|byte| usize::from(*byte)).sum::<usize>() % (sealed.len() - 1);
    let mut changed = sealed;
    changed[at] ^= 1 << (input.len() % 8);
    assert_eq!(state::fuzzing::open(b"key", &changed), None, "a changed byte is not found");
    let _foreign = state::fuzzing::open(b"key", input);
}
