//! The stages that process a shipment event, one file or folder each, in the order of the line. The payloads between
//! them are in [`models`]; the receiver of a delivery is its [`Broker`]. Knows no stream and no queue.

mod stage;
mod stage_times;

mod ack;
mod at_pointer;
mod decode;
mod dedupe;
mod deliver;
mod retry;
mod route;
mod throttle;
mod validate;

mod broker;
pub mod models;

mod cloud_event;
mod dead_letter_causes;
pub mod error_chain;
mod excerpt;
mod json_value;
#[cfg(feature = "simulation")]
pub mod simulation;
mod tally;
#[cfg(any(test, feature = "testing"))]
pub mod testing;

pub use ack::{Ack, Settled};
pub use broker::{Broker, Halt, LoadFilter, Subscription, Terms, WhenFull};
pub use cloud_event::BinaryEvent;
pub use dead_letter_causes::DEAD_LETTER_CAUSES;
pub use decode::{
    DEPTH_DEFAULT, DEPTH_LIMIT, Decode, EVENTS_DEFAULT, Events, Field, Place, PointerFault, Schema,
    SchemaError, Split, UnknownZone, Zone, read_time,
};
pub use dedupe::Dedupe;
pub use deliver::{
    AddressRefused, Answers, AttemptOf, BODY_RULE_TEXT_MAX, BatchPolicy, Body, BodyError, ClientAuth,
    CloudEvents, Deliver, EXTRA_HEADERS_MAX, Egress, EgressProxy, Endpoint, EndpointError,
    HEADER_SIGNATURES_MAX, HeaderSignature, HeaderSignatureError, HttpClientError, HttpClients, HttpOptions,
    JsonTemplate, Lookup, LookupFuture, Meaning, Mode, NoToken, OAuth2, OwnTls, PlaceError, PlaceField,
    PlaceText, SIGNING_KEYS_MAX, Shape, Signer, SigningError, SigningKey, Special, SystemLookup,
    TEMPLATE_MAX, TemplateError, TlsSeen, Trial, Unfit, UrlError, UrlPlaces, UrlPlacesError, install_crypto,
    is_json_pointer, is_reserved_header, retry_after, trial_clients, try_once, url_errors, webhook_id,
};
pub use retry::{
    AttemptExt, AttemptMark, BreakerPolicy, Evidence, Gate, Health, HealthCounts, HealthState, LastError,
    Probe, Retry, RetryBudget, RetryBudgetPolicy, RetryPolicy,
};
pub use route::{Answer, FieldRule, FieldTest, Index, Route, Subscriber, Subscribers, Subscriptions};
pub use stage::{Stage, Then, Timed};
pub use stage_times::StageTimes;
pub use tally::{BrokerTally, Count, Gauge, Gauges, Tally};
pub use throttle::{
    Allowed, Lease, Portion, Quota, QuotaError, RATE_MAX, RATE_MIN, REFILL_MAX, Replaced, Throttle,
};
pub use validate::{
    AGE_MAX_DEFAULT, AHEAD_MAX_DEFAULT, ID_MAX_DEFAULT, Rules, STATUS_MAX, Statuses, StatusesError,
    UnknownStatus, Validate,
};
