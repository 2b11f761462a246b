//! A JSON pointer (RFC 6901) to a value inside a record: through objects by key, through arrays by index. It never
//! points to the whole record.

/// Why a text is no pointer to a value inside a record.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PointerFault {
    /// It is empty or has no leading slash.
    #[error("is not a JSON pointer: write it like `/data/loadId`")]
    NoSlash,
    /// A tilde stands alone.
    #[error("has a `~` that is neither `~0` (for `~`) nor `~1` (for `/`)")]
    BadEscape,
    /// It ends behind an array's last element.
    #[error("has the element `-`, which is behind an array's last: give a number")]
    BehindLast,
}

/// A JSON pointer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Pointer {
    pub(crate) text: String,
    /// The keys or indexes on the way, unescaped; never empty.
    pub(crate) keys: Vec<String>,
}

impl Pointer {
    /// For the presets, whose keys need no escaping.
    pub(crate) fn of(keys: &[&str]) -> Self {
        Self {
            text: keys.iter().map(|key| format!("/{key}")).collect(),
            keys: keys.iter().map(|&key| key.to_owned()).collect(),
        }
    }

    pub(crate) fn parse(text: &str) -> Result<Self, PointerFault> {
        let path = text.strip_prefix('/').ok_or(PointerFault::NoSlash)?;
        let mut keys = Vec::new();
        for token in path.split('/') {
            if token == "-" {
                return Err(PointerFault::BehindLast);
            }
            keys.push(unescape(token).ok_or(PointerFault::BadEscape)?);
        }
        Ok(Self { text: text.to_owned(), keys })
    }

    /// Whether one is read from the value of the other, or from a part of it.
    pub(crate) fn overlaps(&self, other: &Self) -> bool {
        self.keys.starts_with(&other.keys) || other.keys.starts_with(&self.keys)
    }
}

/// The array element that a pointer's token names, if it can name one: digits without leading zeros.
pub(crate) fn index(token: &str) -> Option<usize> {
    let index: usize = token.parse().ok()?;
    (index.to_string() == token).then_some(index)
}

/// RFC 6901, section 4: `~1` stands for `/` and `~0` for `~`.
fn unescape(token: &str) -> Option<String> {
    let mut key = String::with_capacity(token.len());
    let mut chars = token.chars();
    while let Some(next) = chars.next() {
        key.push(match next {
            '~' => match chars.next()? {
                '0' => '~',
                '1' => '/',
                _ => return None,
            },
            other => other,
        });
    }
    Some(key)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pointer_is_unescaped_once() {
        assert_eq!(Pointer::parse("/a~1b/~01//ü").unwrap().keys, ["a/b", "~1", "", "ü"]);
    }

    #[test]
    fn what_is_no_pointer_is_refused() {
        for text in ["", "status", "#/status", "$.status"] {
            assert_eq!(Pointer::parse(text), Err(PointerFault::NoSlash), "{text}");
        }
        for text in ["/a~", "/a~2b", "/~~0"] {
            assert_eq!(Pointer::parse(text), Err(PointerFault::BadEscape), "{text}");
        }
        assert_eq!(Pointer::parse("/stops/-"), Err(PointerFault::BehindLast));
    }

    #[test]
    fn digits_without_leading_zeros_name_an_element() {
        assert_eq!(
            ["0", "17", "007", "-1", "+1", "", "a"].map(index),
            [Some(0), Some(17), None, None, None, None, None]
        );
    }
}
