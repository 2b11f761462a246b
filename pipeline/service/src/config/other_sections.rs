//! The sections that a broker's table is read beside.

use super::{DeliveryConfig, LimitsConfig, SchemaConfig};

/// The sections that reading a broker needs.
pub(super) struct OtherSections<'c> {
    pub(super) delivery: &'c DeliveryConfig,
    pub(super) limits: &'c LimitsConfig,
    pub(super) schema: &'c SchemaConfig,
}
