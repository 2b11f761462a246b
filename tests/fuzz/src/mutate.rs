//! Inputs near valid ones: a few edits of a seed reach deeper than random bytes.

/// The most edits of one seed: more would leave nothing of it.
const EDITS_MAX: usize = 8;

/// Words that mean something to one reader or another.
const WORDS: &[&[u8]] = &[
    b"null",
    b"true",
    b"1e999",
    b"-1",
    b"99999999999999999999",
    b"\\u0000",
    b"\\ud800",
    b"\xff",
    b"\0",
    b"\xef\xbb\xbf",
    b"{",
    b"}",
    b"[",
    b"]",
    b"\"",
    b",",
    b":",
    b"\n",
    b"\r\n",
    b" ",
    b"=",
    b".",
    b"'",
    b"\"\"\"",
    b"[[brokers]]\n",
    b"\xff\xff\xff\xff",
    b"\x80\x80\x80\x80\x80\x80\x80\x80\x80\x01",
    b"\x1f\x8b\x08",
    b"0s",
    b"1TiB",
    b"env:KEY",
    b"\"eventId\":\"e\",",
    b"9999",
    b"GMT",
    b"\x01",
    b"\x7f",
];

/// What `script` makes of one of `seeds`: its first byte chooses the seed, and every four bytes behind it are an edit. A
/// script whose first byte is `0xff` is an input as it is.
#[must_use]
pub fn mutate(seeds: &[Vec<u8>], script: &[u8]) -> Vec<u8> {
    let Some((&first, edits)) = script.split_first() else { return Vec::new() };
    if first == u8::MAX || seeds.is_empty() {
        return edits.to_vec();
    }
    let mut input = seeds[usize::from(first) % seeds.len()].clone();
    for edit in edits.chunks_exact(4).take(EDITS_MAX) {
        let [what, high, low, byte] = *edit else { continue };
        let at = usize::from(u16::from_be_bytes([high, low])) % (input.len() + 1);
        let end = (at + usize::from(byte)).min(input.len());
        match what % 8 {
            0 if at < input.len() => input[at] = byte,
            1 if at < input.len() => input[at] ^= 1 << (byte % 8),
            2 => input.insert(at, byte),
            3 => drop(input.drain(at..end)),
            4 => input.truncate(at),
            5 => {
                let again = input[at..end].to_vec();
                input.splice(at..at, again);
            }
            6 | 7 => {
                let word = WORDS[usize::from(byte) % WORDS.len()];
                input.splice(at..at, word.iter().copied());
            }
            _ => {}
        }
    }
    input
}
