//! TLS: what a run says when certificates and names do not fit, against a server that does no more than a handshake, and
//! every event once over a real cluster with TLS.
//!
//! That one runs when `LOADLINE_TEST_FLUVIO_TLS` and its companions say where such a cluster is; see docs/testing.md.

mod cluster;
mod refusals;
mod server;
