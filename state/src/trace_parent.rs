//! Parses and prints a `traceparent`: an event's place in a distributed trace. A malformed one is ignored.
//!
//! W3C Trace Context, level 1, section 3.2: <https://www.w3.org/TR/trace-context-1/#traceparent-header>.

use std::fmt;

use bincode::{Decode, Encode};

/// The length of version 00's text, in bytes.
const TEXT_LEN: usize = 55;
/// The one flag that level 1 knows.
const SAMPLED: u8 = 1;

/// A trace id, the parent span's id, and whether the trace is recorded.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Encode, Decode)]
pub struct TraceParent {
    trace_id: [u8; 16],
    parent_id: [u8; 8],
    sampled: bool,
}

impl TraceParent {
    /// Makes one; none if one of the ids is all zeros, which the specification forbids.
    #[must_use]
    pub fn new(trace_id: [u8; 16], parent_id: [u8; 8], sampled: bool) -> Option<Self> {
        let is_valid = trace_id != [0; 16] && parent_id != [0; 8];
        is_valid.then_some(Self { trace_id, parent_id, sampled })
    }

    /// Parses `text`; none if it is malformed. Of a version later than 00 the parts of version 00 are used (section
    /// 3.2.4); flags unknown to level 1 are dropped (section 3.2.2.5).
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let bytes = text.as_bytes();
        let version = hex::<1>(bytes.get(..2)?)?[0];
        let ends_well = match version {
            0xff => false,
            0 => bytes.len() == TEXT_LEN,
            _ => bytes.get(TEXT_LEN).is_none_or(|next| *next == b'-'),
        };
        let is_parted = [2, 35, 52].iter().all(|at| bytes.get(*at) == Some(&b'-'));
        if !(ends_well && is_parted) {
            return None;
        }
        let flags = hex::<1>(bytes.get(53..TEXT_LEN)?)?[0];
        Self::new(hex(bytes.get(3..35)?)?, hex(bytes.get(36..52)?)?, flags & SAMPLED != 0)
    }

    /// The trace's id.
    #[must_use]
    pub fn trace_id(&self) -> [u8; 16] {
        self.trace_id
    }

    /// The parent span's id.
    #[must_use]
    pub fn parent_id(&self) -> [u8; 8] {
        self.parent_id
    }

    /// Whether the trace is recorded.
    #[must_use]
    pub fn is_sampled(&self) -> bool {
        self.sampled
    }
}

/// Lower-case hexadecimal, the only form the specification allows.
fn hex<const LEN: usize>(text: &[u8]) -> Option<[u8; LEN]> {
    let digit = |byte: u8| match byte {
        b'0'..=b'9' => Some(byte - b'0'),
        b'a'..=b'f' => Some(byte - b'a' + 10),
        _ => None,
    };
    let mut bytes = [0; LEN];
    if text.len() != 2 * LEN {
        return None;
    }
    for (byte, pair) in bytes.iter_mut().zip(text.chunks_exact(2)) {
        *byte = digit(pair[0])? << 4 | digit(pair[1])?;
    }
    Some(bytes)
}

/// Version 00.
impl fmt::Display for TraceParent {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { trace_id, parent_id, sampled } = self;
        let (trace, parent) = (u128::from_be_bytes(*trace_id), u64::from_be_bytes(*parent_id));
        write!(f, "00-{trace:032x}-{parent:016x}-{:02x}", u8::from(*sampled))
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const TEXT: &str = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";

    #[test]
    fn what_the_specification_shows_is_read_and_written_back() {
        let parent = TraceParent::parse(TEXT).unwrap();
        assert_eq!((parent.trace_id()[0], parent.parent_id()[7], parent.is_sampled()), (0x0a, 0x31, true));
        assert_eq!(parent.to_string(), TEXT);
    }

    #[test]
    fn what_is_malformed_is_none() {
        let cut = &TEXT[..54];
        let zero_trace = "00-00000000000000000000000000000000-b7ad6b7169203331-01";
        let zero_parent = "00-0af7651916cd43dd8448eb211c80319c-0000000000000000-01";
        for text in ["", "00", cut, zero_trace, zero_parent, &TEXT.to_uppercase(), &TEXT.replace('-', "_")] {
            assert_eq!(TraceParent::parse(text), None, "{text}");
        }
        for text in
            [format!("{TEXT}-00"), format!("{TEXT}0"), format!("ff{}", &TEXT[2..]), format!(" {TEXT}")]
        {
            assert_eq!(TraceParent::parse(&text), None, "{text}");
        }
    }

    #[test]
    fn a_later_version_is_taken_for_what_version_00_has_of_it() {
        for text in [format!("cc{}", &TEXT[2..]), format!("cc{}-what-else", &TEXT[2..])] {
            assert_eq!(TraceParent::parse(&text).unwrap().to_string(), TEXT, "{text}");
        }
        assert_eq!(TraceParent::parse(&format!("cc{}.what-else", &TEXT[2..])), None);
    }

    #[test]
    fn flags_nobody_knows_are_dropped() {
        for (flags, sampled) in [("00", false), ("02", false), ("03", true), ("ff", true)] {
            let parent = TraceParent::parse(&format!("{}{flags}", &TEXT[..53])).unwrap();
            assert_eq!(parent.is_sampled(), sampled, "{flags}");
        }
    }

    proptest! {
        #[test]
        fn any_text_is_read_or_not_but_never_a_panic(text in "\\PC{0,70}") {
            let _either = TraceParent::parse(&text);
        }

        #[test]
        fn what_is_written_is_read_back(trace in 1u128.., parent in 1u64.., sampled: bool) {
            let written = TraceParent::new(trace.to_be_bytes(), parent.to_be_bytes(), sampled).unwrap();
            prop_assert_eq!(TraceParent::parse(&written.to_string()), Some(written));
        }
    }
}
