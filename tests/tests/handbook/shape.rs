//! Whether something printed has the shape a page shows: the same lines in the same order, any others between them,
//! numbers and times being what they may.
//!
//! A word that begins with a digit is any number or time, as many of them in a row as there are; `…` is the rest of a
//! line, or of its middle.

/// The first line of `expected` that `said` does not have where it should.
pub(crate) fn missing<'e>(expected: &'e [String], said: &str) -> Option<&'e str> {
    let mut lines = said.lines();
    expected.iter().find(|line| !lines.any(|said| fits(line, said))).map(String::as_str)
}

fn fits(expected: &str, said: &str) -> bool {
    let said = words(said);
    let mut rest = said.as_str();
    let wanted = words(expected);
    let mut parts = wanted.split('…').map(str::trim);
    let Some(part) = parts.next().and_then(|first| rest.strip_prefix(first)) else { return false };
    rest = part;
    let parts: Vec<&str> = parts.collect();
    let Some((last, between)) = parts.split_last() else { return rest.is_empty() };
    for part in between {
        match rest.find(part) {
            Some(at) => rest = &rest[at + part.len()..],
            None => return false,
        }
    }
    rest.ends_with(last)
}

/// The words of a line, with every number and time as `#`.
fn words(line: &str) -> String {
    let mut words: Vec<String> = Vec::new();
    for word in line.split_whitespace() {
        let bare = word.trim_start_matches(['~', '"', '(', '+', '-']);
        let number = bare.starts_with(|c: char| c.is_ascii_digit());
        let end = if word.ends_with([',', ';', ':', ')']) { &word[word.len() - 1..] } else { "" };
        match (number, words.last_mut()) {
            (true, Some(last)) if last == "#" => *last = format!("#{end}"),
            (true, _) => words.push(format!("#{end}")),
            (false, _) => words.push(word.to_owned()),
        }
    }
    words.join(" ")
}

#[test]
fn numbers_may_be_others_and_words_may_not() {
    let missing = |expected: &str, said: &str| missing(&[expected.to_owned()], said).is_some();
    assert!(!missing("300 wait, the oldest for 12s", "x\n7 wait, the oldest for 3m 12s"));
    assert!(!missing("broker bolt … of 50/s", "broker  bolt  open  7  of 1/s"));
    assert!(!missing("lagging … refused", "lagging because refused"));
    assert!(missing("300 wait", "300 wait, the oldest"), "a line is matched whole");
    assert!(missing("broker bolt", "broker acme"));
    assert!(missing("lagging … refused", "lagging because reset"));
}

#[test]
fn lines_come_in_their_order() {
    let expected = ["a".to_owned(), "b".to_owned()];
    assert_eq!(missing(&expected, "x\na\ny\nb\n"), None);
    assert_eq!(missing(&expected, "b\na\n"), Some("b"));
}
