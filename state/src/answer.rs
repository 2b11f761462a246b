//! What a receiver said as it refused an event: the beginning of its answer, kept with the failed attempt.
//!
//! It is text from outside. It holds no character that could control a terminal or break a line, wherever it is shown.
//!
//! In the stored form it stands behind a zero byte in the attempt's cause, which itself has none. So the layout is the
//! same as before there were answers, and every earlier history can be read.

use std::borrow::Cow;

use bincode::{
    BorrowDecode, Decode, Encode,
    de::{BorrowDecoder, Decoder},
    enc::Encoder,
    error::{DecodeError, EncodeError},
};

use crate::{attempt::FailedAttempt, clock::UnixMillis, text::is_unprintable};

/// How much of an answer is kept, in bytes.
pub const ANSWER_MAX: usize = 1024;

/// Between the cause and the answer.
const SEPARATOR: char = '\0';

/// The beginning of `body` as text of at most [`ANSWER_MAX`] bytes: line breaks and tabs are spaces, bytes that are not
/// UTF-8 and characters that must not be printed are U+FFFD.
#[must_use]
pub fn excerpt(body: &[u8]) -> String {
    let mut text = String::from_utf8_lossy(&body[..body.len().min(ANSWER_MAX)]).into_owned();
    if text.contains(is_unprintable) {
        text = text.replace(['\r', '\n', '\t'], " ").replace(is_unprintable, "\u{fffd}");
    }
    text.truncate(text.floor_char_boundary(ANSWER_MAX));
    text.truncate(text.trim_end().len());
    text
}

/// The stored form of a failed attempt.
type Fields = (UnixMillis, Option<u16>, String, bool);

impl FailedAttempt {
    fn of((at, status, mut cause, may_have_arrived): Fields) -> Self {
        let answer = cause.find(SEPARATOR).map(|end| cause.split_off(end).split_off(SEPARATOR.len_utf8()));
        Self { at, status, cause, may_have_arrived, answer }
    }
}

impl Encode for FailedAttempt {
    fn encode<E: Encoder>(&self, encoder: &mut E) -> Result<(), EncodeError> {
        let Self { at, status, cause, may_have_arrived, answer } = self;
        let cause = match answer {
            None => Cow::Borrowed(cause),
            Some(answer) => Cow::Owned(format!("{cause}{SEPARATOR}{answer}")),
        };
        (*at, *status, cause.as_str(), *may_have_arrived).encode(encoder)
    }
}

impl<C> Decode<C> for FailedAttempt {
    fn decode<D: Decoder<Context = C>>(decoder: &mut D) -> Result<Self, DecodeError> {
        Fields::decode(decoder).map(Self::of)
    }
}

impl<'de, C> BorrowDecode<'de, C> for FailedAttempt {
    fn borrow_decode<D: BorrowDecoder<'de, Context = C>>(decoder: &mut D) -> Result<Self, DecodeError> {
        Fields::decode(decoder).map(Self::of)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::codec;

    /// A failed attempt as the release before answers encoded it.
    #[derive(Encode)]
    struct Earlier {
        at: u64,
        status: Option<u16>,
        cause: String,
        may_have_arrived: bool,
    }

    #[test]
    fn an_attempt_of_the_release_before_is_read_and_one_without_an_answer_is_written_like_it() {
        let earlier = Earlier {
            at: 7,
            status: Some(503),
            cause: "503 service unavailable".into(),
            may_have_arrived: true,
        };
        let bytes = codec::encode("test", &earlier).unwrap();
        let attempt: FailedAttempt = codec::decode("test", &bytes).unwrap();
        assert_eq!((attempt.at, attempt.status, attempt.answer.as_ref()), (7, Some(503), None));
        assert_eq!((&*attempt.cause, attempt.may_have_arrived), ("503 service unavailable", true));
        assert_eq!(codec::encode("test", &attempt).unwrap(), bytes);
    }

    #[test]
    fn an_answer_controls_nothing_wherever_it_is_shown_and_stays_readable() {
        let body = b"{\n\t\"error\": \"no\x1b[2J such load\xff\"\r\n}\xe2\x80\xae \n";
        assert_eq!(excerpt(body), "{  \"error\": \"no\u{fffd}[2J such load\u{fffd}\"  }\u{fffd}");
        assert_eq!(excerpt(b""), "");
        // Cut between characters, and not longer for what was replaced.
        for body in ["\u{e9}".repeat(ANSWER_MAX).into_bytes(), vec![0xff; 2 * ANSWER_MAX], vec![0x1b; 9_000]]
        {
            let text = excerpt(&body);
            assert!(text.len() <= ANSWER_MAX && text.len() > ANSWER_MAX - 4, "{}", text.len());
        }
    }

    proptest! {
        #[test]
        fn what_is_stored_comes_back(cause in "[^\0]{0,50}", body in prop::option::of(any::<Vec<u8>>()), at: u64) {
            let answer = body.map(|body| excerpt(&body));
            let attempt = FailedAttempt { at, status: Some(422), cause, may_have_arrived: true, answer };
            let bytes = codec::encode("test", &attempt).unwrap();
            prop_assert_eq!(codec::decode::<FailedAttempt>("test", &bytes).unwrap(), attempt);
        }
    }
}
