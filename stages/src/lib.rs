//! What acts on a shipment event, one file per stage; what flows is in [`models`]. Knows no stream and no queue.

mod endpoint;
mod health;
pub mod models;
mod quota;
mod stage;

pub use endpoint::Endpoint;
pub use health::Health;
pub use quota::Quota;
pub use stage::{Stage, Then};
