//! Answers by what is in a post, for a receiver whose behaviour a [`Behaviour`](super::Behaviour) cannot tell: a function
//! of the post decides. It replaces the behaviour, not the signature check or the bounds on requests.

use bytes::Bytes;
use http::request::Parts;

/// What comes of a post.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RuleAnswer {
    /// This status (500 if it is none); the event is taken with a 2xx.
    Status(u16),
    /// This status, and a `Retry-After` of so many seconds.
    After(u16, u64),
    /// This status, and a body that says that the event is not taken, whatever the status says.
    Says(u16, &'static str),
    /// 200 and a body that never ends. The event does not count as taken.
    HangingBody,
    /// Nothing, ever.
    Nothing,
    /// The connection is closed.
    Cut,
}

/// A post that came whole.
#[derive(Clone, Copy, Debug)]
pub struct Post<'a> {
    /// Its request line and headers.
    pub head: &'a Parts,
    /// Its body.
    pub body: &'a Bytes,
}

/// Decides what comes of a post; called on the way to the answer, from many tasks.
pub type Rule = dyn Fn(Post<'_>) -> RuleAnswer + Send + Sync;
