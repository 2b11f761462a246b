//! Formats a value from outside for a message: quoted, escaped and of bounded length.

/// How many characters of a value a message shows: enough to recognise it.
const SHOWN_MAX: usize = 64;

/// `text` in double quotes with control characters and quotes escaped; the beginning and the length if it has more
/// than 64 characters.
pub(crate) fn excerpt(text: &str) -> String {
    match text.char_indices().nth(SHOWN_MAX) {
        None => format!("{text:?}"),
        Some((end, _)) => format!("{:?}… ({} bytes)", &text[..end], text.len()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_short_value_is_shown_whole_and_escaped() {
        assert_eq!(excerpt("a\n\"b\u{7}"), r#""a\n\"b\u{7}""#);
        assert!(!excerpt(&"x".repeat(SHOWN_MAX)).contains('…'));
    }

    #[test]
    fn a_long_value_is_cut_between_characters() {
        let shown = excerpt(&"ü".repeat(SHOWN_MAX + 1));
        assert_eq!(shown, format!("\"{}\"… (130 bytes)", "ü".repeat(SHOWN_MAX)));
    }
}
