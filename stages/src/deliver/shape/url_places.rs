//! A URL with places for fields, in its path and its query. A value is one segment, or a part of one, whatever is in it:
//! every byte that has a meaning in a URL is percent-encoded, and what would still change the path is refused.

use std::fmt::{self, Write};

use url::Url;

use super::{
    super::{
        egress::Egress,
        placeholders::{Piece, PlaceError, pieces},
        url_rules::{UrlError, url_errors},
    },
    facts::{Facts, Text, TextPiece, Unfit},
};

/// The longest URL that is made, in bytes; receivers seldom take more.
const URL_MAX: usize = 8 << 10;

/// What stands in a place to check a URL.
const SAMPLE: &str = "0";

/// A URL with places.
#[derive(Clone, PartialEq, Eq)]
pub struct UrlPlaces {
    text: Text,
    /// The URL with [`SAMPLE`] in each place.
    sample: Url,
}

/// Why a URL with places cannot be used.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum UrlPlacesError {
    /// A place stands for nothing.
    #[error(transparent)]
    Place(#[from] PlaceError),
    /// A place stands where the host is named.
    #[error("has a place before its path: only path and query can depend on the event")]
    BeforePath,
    /// The URL itself, with something in its places, cannot be posted to.
    #[error("cannot be posted to")]
    Url(Vec<UrlError>),
}

impl UrlPlaces {
    /// Reads a URL with places for fields; none if it has no braces.
    ///
    /// # Errors
    /// A place stands for nothing or in the wrong part, or `egress` does not allow the URL.
    pub fn parse(text: &str, egress: &Egress) -> Result<Option<Self>, UrlPlacesError> {
        if !text.contains(['{', '}']) {
            return Ok(None);
        }
        let (pieces, text_of) = (pieces(text)?, Text::parse(text)?);
        let mut sample = String::with_capacity(text.len());
        for piece in pieces {
            match piece {
                Piece::Text(text) => sample.push_str(text),
                Piece::Name(_) if !has_path(&sample) => return Err(UrlPlacesError::BeforePath),
                Piece::Name(_) => sample.push_str(SAMPLE),
            }
        }
        let sample = Url::parse(&sample).map_err(|error| UrlPlacesError::Url(vec![error.into()]))?;
        let errors = url_errors(&sample, egress);
        if errors.is_empty() {
            Ok(Some(Self { text: text_of, sample }))
        } else {
            Err(UrlPlacesError::Url(errors))
        }
    }

    /// The URL with something in its places.
    #[must_use]
    pub fn sample(&self) -> &Url {
        &self.sample
    }

    /// The URL for an event.
    pub(super) fn fill(&self, facts: &Facts<'_>) -> Result<Url, Unfit> {
        let mut text = String::with_capacity(self.sample.as_str().len() + 64);
        let mut last = None;
        for piece in self.text.pieces() {
            match piece {
                TextPiece::Text(piece) => text.push_str(piece),
                TextPiece::Field(field) => {
                    let value = facts.text(field)?;
                    last = Some(field);
                    // The only segments that a URL's readers do not leave where they are, encoded or not.
                    if matches!(&*value, "." | "..") {
                        return Err(Unfit::NoSegment { field: field.name().to_owned() });
                    }
                    percent_encode(&value, &mut text);
                }
            }
        }
        if text.len() > URL_MAX {
            return Err(Unfit::UrlTooLong { max: URL_MAX });
        }
        let segments = |url: &Url| url.path_segments().map(Iterator::count);
        let filled = Url::parse(&text).ok().filter(|url| segments(url) == segments(&self.sample));
        // Dots of a value beside dots of the text.
        filled.ok_or_else(|| Unfit::NoSegment { field: last.map_or("url", |field| field.name()).to_owned() })
    }
}

/// Shows no path, which can hold a secret.
impl fmt::Debug for UrlPlaces {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let origin = self.sample.origin().ascii_serialization();
        f.debug_struct("UrlPlaces").field("origin", &origin).finish_non_exhaustive()
    }
}

/// Whether what is written so far of a URL has come to its path or query.
fn has_path(text: &str) -> bool {
    text.split_once("://").is_some_and(|(_, rest)| rest.contains(['/', '?']))
}

/// Appends `value` with all but the unreserved characters of RFC 3986, section 2.3, encoded.
fn percent_encode(value: &str, to: &mut String) {
    for byte in value.bytes() {
        if byte.is_ascii_alphanumeric() || b"-._~".contains(&byte) {
            to.push(char::from(byte));
        } else {
            // Writing to a string cannot fail.
            write!(to, "%{byte:02X}").unwrap_or_default();
        }
    }
}
