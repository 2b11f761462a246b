//! Makes text from outside (ids, names, messages of files and receivers) safe to print: it stays on its line,
//! controls no terminal, and cannot imitate other output.

use std::fmt::{self, Write};

/// Whether a character must not be printed as it is: it controls a terminal, ends a line, turns the direction of what
/// follows, or cannot be seen.
#[must_use]
pub fn is_unprintable(c: char) -> bool {
    c.is_control()
        || matches!(c,
            '\u{ad}' | '\u{61c}' | '\u{180e}' | '\u{feff}'
            | '\u{200b}'..='\u{200f}'
            | '\u{2028}'..='\u{202e}'
            | '\u{2060}'..='\u{206f}'
            | '\u{fff9}'..='\u{fffb}'
            | '\u{e0000}'..='\u{e007f}')
}

/// A text as one word of a line: unchanged if it is one, otherwise in quotes with escapes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Word<'t>(pub &'t str);

impl fmt::Display for Word<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self(text) = self;
        let splits = |c: char| c.is_whitespace() || matches!(c, '"' | '\\' | '=') || is_unprintable(c);
        if !text.is_empty() && !text.contains(splits) {
            return f.write_str(text);
        }
        f.write_char('"')?;
        for c in text.chars() {
            match c {
                '"' | '\\' => write!(f, "\\{c}")?,
                c => write_fit(f, c)?,
            }
        }
        f.write_char('"')
    }
}

/// A text whose unprintable characters are escaped; spaces and quotes stay.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Escaped<'t>(pub &'t str);

impl fmt::Display for Escaped<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if !self.0.contains(is_unprintable) {
            return f.write_str(self.0);
        }
        self.0.chars().try_for_each(|c| write_fit(f, c))
    }
}

fn write_fit(f: &mut fmt::Formatter<'_>, c: char) -> fmt::Result {
    match c {
        '\n' | '\r' | '\t' => write!(f, "{}", c.escape_default()),
        c if is_unprintable(c) => write!(f, "{}", c.escape_unicode()),
        c => f.write_char(c),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_word_stays_and_everything_else_is_quoted_on_one_line() {
        for word in ["e-1", "é", "a.b/c:7", "荷物"] {
            assert_eq!(Word(word).to_string(), word);
        }
        let table = [
            ("", "\"\""),
            ("a b", "\"a b\""),
            ("a=b", "\"a=b\""),
            ("a\" event=\"b", "\"a\\\" event=\\\"b\""),
            ("a\nb\\", "\"a\\nb\\\\\""),
            ("\u{1b}[2J", "\"\\u{1b}[2J\""),
            ("a\u{2028}b\u{202e}c\u{200b}", "\"a\\u{2028}b\\u{202e}c\\u{200b}\""),
        ];
        for (text, shown) in table {
            assert_eq!(Word(text).to_string(), shown);
        }
    }

    #[test]
    fn fit_text_keeps_its_spaces_and_quotes() {
        assert_eq!(Escaped("a \"b\"").to_string(), "a \"b\"");
        assert_eq!(Escaped("a \"b\"\r\n\u{9b}").to_string(), "a \"b\"\\r\\n\\u{9b}");
    }
}
