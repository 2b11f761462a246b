//! Texts with places in braces, such as `https://tms.example/loads/{loadId}`: cuts one into its pieces. Braces have no
//! other use in it, so what is meant as a place is never sent as it stands.

/// A piece of a text.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Piece<'t> {
    /// Stands as it is.
    Text(&'t str),
    /// The name between two braces.
    Name(&'t str),
}

/// Why a text cannot be cut.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PlaceError {
    /// Two braces in a row.
    #[error("has `{{{{`: a place has one brace at each side, as in {{loadId}}")]
    Doubled,
    /// A brace without its other one.
    #[error("has a brace without its other one: write places as {{loadId}}, and no other braces")]
    Unpaired,
    /// It begins like a JSON pointer and is none.
    #[error("has the place {{{pointer}}}, which is no JSON pointer: write ~ as ~0 and / as ~1 within a name")]
    Pointer {
        /// What stands there.
        pointer: String,
    },
    /// No such name.
    #[error("has the place {{{name}}}, which stands for nothing here")]
    Unknown {
        /// The name.
        name: String,
    },
}

/// The pieces of `text`, none of them empty but names.
pub(super) fn pieces(text: &str) -> Result<Vec<Piece<'_>>, PlaceError> {
    let mut pieces = Vec::new();
    let mut rest = text;
    while let Some(at) = rest.find(['{', '}']) {
        let (before, from) = rest.split_at(at);
        if from.starts_with("{{") || from.starts_with("}}") {
            return Err(PlaceError::Doubled);
        }
        let inside = from.strip_prefix('{').ok_or(PlaceError::Unpaired)?;
        let (name, after) = inside.split_once('}').ok_or(PlaceError::Unpaired)?;
        if name.contains('{') {
            return Err(PlaceError::Unpaired);
        }
        if !before.is_empty() {
            pieces.push(Piece::Text(before));
        }
        pieces.push(Piece::Name(name));
        rest = after;
    }
    if !rest.is_empty() {
        pieces.push(Piece::Text(rest));
    }
    Ok(pieces)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_text_is_cut_at_its_braces() {
        use Piece::{Name, Text};
        assert_eq!(pieces("a{b}{c}d").unwrap(), [Text("a"), Name("b"), Name("c"), Text("d")]);
        assert_eq!(pieces("{}").unwrap(), [Name("")]);
        assert_eq!(pieces("").unwrap(), []);
    }

    #[test]
    fn braces_that_enclose_nothing_are_refused() {
        for text in ["{{a}}", "a}}", "{a{{b}"] {
            let error = pieces(text).unwrap_err();
            assert!(matches!(error, PlaceError::Doubled | PlaceError::Unpaired), "{text}: {error:?}");
        }
        for text in ["{a", "a}", "}{", "{a{b}}"] {
            assert_eq!(pieces(text), Err(PlaceError::Unpaired), "{text}");
        }
        assert_eq!(pieces("{{loadId}}"), Err(PlaceError::Doubled));
    }
}
