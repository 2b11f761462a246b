//! What acts on a shipment event, one file per stage; what flows is in [`models`]. Knows no stream and no queue.

mod ack;
mod backoff;
mod breaker;
mod causes;
mod connect;
mod decode;
mod dedupe;
mod deliver;
mod egress;
mod endpoint;
pub mod error_chain;
mod excerpt;
mod halt;
mod health;
mod http_clients;
mod letter_log;
pub mod models;
mod quota;
mod resolver;
mod retry;
mod retry_after;
mod retry_budget;
mod route;
mod rules;
mod schema;
mod sign;
mod stage;
mod subscriptions;
mod tally;
#[cfg(test)]
mod testing;
mod throttle;
mod timed;
mod validate;
mod webhook_id;

pub use ack::{Ack, Settled};
pub use backoff::RetryPolicy;
pub use breaker::{BreakerPolicy, Evidence};
pub use causes::CAUSES;
pub use decode::{Decode, UNREADABLE_BATCH};
pub use dedupe::Dedupe;
pub use deliver::Deliver;
pub use egress::{AddressRefused, Egress};
pub use endpoint::{EXTRA_HEADERS_MAX, Endpoint, EndpointError, UrlError, is_reserved_header, url_errors};
pub use health::{AttemptMark, Gate, Health, HealthCounts, HealthState, LastError};
pub use http_clients::{HttpClientError, HttpClients, HttpOptions, install_crypto};
pub use quota::{Quota, QuotaError, RATE_MAX, RATE_MIN, REFILL_MAX, Replaced};
pub use resolver::{Looking, Lookup, SystemLookup};
pub use retry::{AttemptExt, Retry};
pub use retry_after::retry_after;
pub use retry_budget::{RetryBudget, RetryBudgetPolicy};
pub use route::Route;
pub use rules::{
    AGE_MAX_DEFAULT, AHEAD_MAX_DEFAULT, ID_MAX_DEFAULT, Rules, STATUS_MAX, Statuses, StatusesError,
};
pub use schema::{DEPTH_DEFAULT, DEPTH_LIMIT, Field, Schema, SchemaError};
pub use sign::{SIGNING_KEYS_MAX, Signer, SigningError, SigningKey};
pub use stage::{Stage, Then};
pub use subscriptions::{Index, Subscriptions};
pub use tally::{BrokerTally, Count, Gauge, Gauges, Tally};
pub use throttle::Throttle;
pub use timed::{StageTimes, Timed};
pub use validate::Validate;
pub use webhook_id::webhook_id;
