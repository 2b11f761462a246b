//! What the oracle can hold against a run, as data: brokers, events and records by their places, times in milliseconds
//! from the start of the run. The words are in [`Finding`](crate::oracle::Finding), which knows the names.

use std::sync::Arc;

use crate::receiver::Refusal;

// Fields are what their names say in every variant: `broker`, `event`, `other` and `newer` are places in the evidence,
// `record` a place in the log, `letters` and `records` numbers of them, `at_ms` when it was seen.

/// Something that must not have happened. Their order is that of the report, worst first.
#[allow(missing_docs)] // for the fields: see above
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub enum Violation {
    /// The broker was not given the event, and nobody accounts for it.
    Lost { broker: u16, event: u32 },
    /// The broker took bytes that were never issued.
    Forged { broker: u16, at_ms: u64, webhook_id: Option<Arc<str>> },
    /// The broker took an event that is not for it.
    Unwanted { broker: u16, event: u32, at_ms: u64 },
    /// The broker took the event again, although the sender had been told in time that it had it.
    Duplicate { broker: u16, event: u32, at_ms: u64 },
    /// The broker took the event after `newer`, a newer one of its load; `repeat` if it had taken it before as well.
    OutOfOrder { broker: u16, event: u32, at_ms: u64, newer: u32, repeat: bool },
    /// A record that is no event was settled, and there are fewer dead letters with its bytes than such records.
    GarbageVanished { record: usize, letters: u64, records: u64 },
    /// A record with other bytes under the event's id was settled, and the broker, who wants the event, has fewer dead
    /// letters with these bytes than there are such records.
    ConflictVanished { broker: u16, event: u32, record: usize, letters: u64, records: u64 },
    /// The broker took the event before it was appended, or it never was.
    TooEarly { broker: u16, event: u32, at_ms: u64, appended_ms: Option<u64> },
    /// The event came under two webhook ids.
    TwoIds { broker: u16, event: u32, at_ms: u64, first: Option<Arc<str>>, then: Option<Arc<str>> },
    /// Two events came under one webhook id; `other` came first.
    SharedId { broker: u16, event: u32, at_ms: u64, other: u32, id: Arc<str> },
    /// The event came without a webhook id.
    MissingId { broker: u16, event: u32, at_ms: u64 },
    /// The broker refused requests for their signature: how many, the first of them, and why that one.
    BadSignature { broker: u16, at_ms: u64, requests: u64, why: Refusal },
    /// The broker got more requests than its quota: when that began, and how many too many came in a row.
    OverQuota { broker: u16, at_ms: u64, requests: u64 },
    /// There are more dead letters of one kind for one broker (or for none) than records they can be of.
    LettersTooMany { broker: Option<u16>, event: Option<u32>, record: usize, letters: u64, records: u64 },
    /// A dead letter that fits nothing that was issued; its place among the claims.
    StrayLetter { broker: Option<u16>, event: Option<u32>, letter: usize, why: Stray },
    /// A spilled delivery that fits nothing that was issued.
    StraySpill { broker: u16, event: u32, why: Stray },
    /// The event was given up, although its broker was well and has refused nothing since the append, and whatever it
    /// took of the event it said so.
    GivenUpThoughWell { broker: u16, event: u32, letter: usize },
    /// The event still waits on disk, although its broker was well throughout.
    HeldThoughWell { broker: u16, event: u32 },
    /// The system's account contradicts itself.
    Contradiction(Contradiction),
    /// The run proves nothing.
    Vacuous(Vacuity),
}

/// Why a claim fits nothing that was issued.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stray {
    /// There is no such broker.
    NoSuchBroker,
    /// There is no such event, or it was not appended.
    NoSuchEvent,
    /// The broker does not want it.
    NotWanted,
    /// Nothing that was appended has these bytes.
    NoSuchBytes,
    /// The bytes are an event's, and the claim names another one, or none.
    OtherEvent,
    /// The bytes are those of a sound event: it is for its brokers, and must not be refused for all.
    Sound,
    /// The bytes are no event's: it can be for no broker.
    NoEvent,
}

/// How an account can contradict itself.
#[allow(missing_docs)] // for the fields: see above
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Contradiction {
    /// More was settled than was appended.
    SettledBeyondAppended { settled_to: usize, appended: usize },
    /// More was appended than there is.
    AppendedBeyondLog { appended: usize, log: usize },
    /// It said that nothing was left to do, and so many deliveries were on its disk: forgotten, as nobody is to wait
    /// for.
    HeldThoughDone { held: usize },
}

/// Why a run proves nothing.
#[allow(missing_docs)] // for the fields: see above
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Vacuity {
    /// Nothing was appended.
    NothingAppended,
    /// Nothing was appended twice.
    NoDuplicates,
    /// No record was faulty.
    NoFaultyRecord,
    /// New events came at less than twice the base rate, or at the base time none at all; both in events a second.
    NoSurge { base: f64, peak: f64 },
    /// The broker took everything and always said so in time.
    NoFault { broker: u16 },
    /// Whatever the broker took, the sender was told in time.
    NoLostAnswer { broker: u16 },
    /// The system was killed less often.
    TooFewKills { kills: usize, promised: usize },
}

/// The kind of a violation.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[allow(missing_docs)] // they are the variants of Violation
pub enum Kind {
    Lost,
    Forged,
    Unwanted,
    Duplicate,
    OutOfOrder,
    GarbageVanished,
    ConflictVanished,
    TooEarly,
    TwoIds,
    SharedId,
    MissingId,
    BadSignature,
    OverQuota,
    LettersTooMany,
    StrayLetter,
    StraySpill,
    GivenUpThoughWell,
    HeldThoughWell,
    Contradiction,
    Vacuous,
}

impl Kind {
    /// How many kinds there are.
    pub const COUNT: usize = Self::Vacuous as usize + 1;
}

impl Violation {
    /// Its kind.
    #[must_use]
    pub fn kind(&self) -> Kind {
        match self {
            Self::Lost { .. } => Kind::Lost,
            Self::Forged { .. } => Kind::Forged,
            Self::Unwanted { .. } => Kind::Unwanted,
            Self::Duplicate { .. } => Kind::Duplicate,
            Self::OutOfOrder { .. } => Kind::OutOfOrder,
            Self::GarbageVanished { .. } => Kind::GarbageVanished,
            Self::ConflictVanished { .. } => Kind::ConflictVanished,
            Self::TooEarly { .. } => Kind::TooEarly,
            Self::TwoIds { .. } => Kind::TwoIds,
            Self::SharedId { .. } => Kind::SharedId,
            Self::MissingId { .. } => Kind::MissingId,
            Self::BadSignature { .. } => Kind::BadSignature,
            Self::OverQuota { .. } => Kind::OverQuota,
            Self::LettersTooMany { .. } => Kind::LettersTooMany,
            Self::StrayLetter { .. } => Kind::StrayLetter,
            Self::StraySpill { .. } => Kind::StraySpill,
            Self::GivenUpThoughWell { .. } => Kind::GivenUpThoughWell,
            Self::HeldThoughWell { .. } => Kind::HeldThoughWell,
            Self::Contradiction(_) => Kind::Contradiction,
            Self::Vacuous(_) => Kind::Vacuous,
        }
    }

    /// The broker it concerns, by its place.
    #[must_use]
    pub fn broker(&self) -> Option<u16> {
        match *self {
            Self::Lost { broker, .. }
            | Self::Forged { broker, .. }
            | Self::Unwanted { broker, .. }
            | Self::Duplicate { broker, .. }
            | Self::OutOfOrder { broker, .. }
            | Self::ConflictVanished { broker, .. }
            | Self::TooEarly { broker, .. }
            | Self::TwoIds { broker, .. }
            | Self::SharedId { broker, .. }
            | Self::MissingId { broker, .. }
            | Self::BadSignature { broker, .. }
            | Self::OverQuota { broker, .. }
            | Self::StraySpill { broker, .. }
            | Self::GivenUpThoughWell { broker, .. }
            | Self::HeldThoughWell { broker, .. }
            | Self::Vacuous(Vacuity::NoFault { broker } | Vacuity::NoLostAnswer { broker }) => Some(broker),
            Self::LettersTooMany { broker, .. } | Self::StrayLetter { broker, .. } => broker,
            Self::GarbageVanished { .. } | Self::Contradiction(_) | Self::Vacuous(_) => None,
        }
    }

    /// The event it concerns, by its place.
    #[must_use]
    pub fn event(&self) -> Option<u32> {
        match *self {
            Self::Lost { event, .. }
            | Self::Unwanted { event, .. }
            | Self::Duplicate { event, .. }
            | Self::OutOfOrder { event, .. }
            | Self::ConflictVanished { event, .. }
            | Self::TooEarly { event, .. }
            | Self::TwoIds { event, .. }
            | Self::SharedId { event, .. }
            | Self::MissingId { event, .. }
            | Self::StraySpill { event, .. }
            | Self::GivenUpThoughWell { event, .. }
            | Self::HeldThoughWell { event, .. } => Some(event),
            Self::LettersTooMany { event, .. } | Self::StrayLetter { event, .. } => event,
            Self::Forged { .. }
            | Self::GarbageVanished { .. }
            | Self::BadSignature { .. }
            | Self::OverQuota { .. }
            | Self::Contradiction(_)
            | Self::Vacuous(_) => None,
        }
    }
}
