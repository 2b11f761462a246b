//! The body of an answer: a few bytes, or one that is announced and never comes.

use std::{
    convert::Infallible,
    pin::Pin,
    task::{Context, Poll},
};

use bytes::Bytes;
use http_body_util::Full;
use hyper::body::{Body, Frame, SizeHint};

/// How many bytes a body that never comes is said to have.
const ANNOUNCED: u64 = 9;

/// The body of an answer.
#[derive(Debug)]
pub(crate) enum AnswerBody {
    /// All of it at once.
    Whole(Full<Bytes>),
    /// Announced, and never sent.
    Hanging,
}

impl AnswerBody {
    /// A body of this text.
    pub(crate) fn text(text: &'static str) -> Self {
        Self::Whole(Full::new(Bytes::from_static(text.as_bytes())))
    }
}

impl Body for AnswerBody {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        match self.get_mut() {
            Self::Whole(body) => Pin::new(body).poll_frame(context),
            Self::Hanging => Poll::Pending,
        }
    }

    fn is_end_stream(&self) -> bool {
        match self {
            Self::Whole(body) => body.is_end_stream(),
            Self::Hanging => false,
        }
    }

    fn size_hint(&self) -> SizeHint {
        match self {
            Self::Whole(body) => body.size_hint(),
            Self::Hanging => SizeHint::with_exact(ANNOUNCED),
        }
    }
}
