//! Records of the state topics: any bytes are a record or a name of a delivery, which is written as the same, or refused.

/// Takes `input` as a record of either topic, and as a name in the topic of waiting deliveries.
pub fn kafka_state(input: &[u8]) {
    kafka_engine::follow::decode_any(input);
}
