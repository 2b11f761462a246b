//! Each target over edits of the seeds in `corpus/` and over random bytes.

#![allow(
    clippy::panic,
    clippy::print_stdout,
    clippy::unwrap_used,
    reason = "only tests; the count is for whoever runs them for long"
)]

use std::{env, fs, path::Path, time::Duration};

use proptest::{
    collection::vec,
    prelude::any,
    test_runner::{Config, RngSeed, TestRunner},
};
use tokio::time::Instant;

/// Inputs of each target in a common test run: a second or two.
const INPUTS: u32 = 4_000;
/// The longest script of edits, in bytes: some are longer inputs by themselves.
const SCRIPT_MAX: usize = 256;

/// The seeds of a target: every file in its directory, in the order of their names.
fn seeds(target: &str) -> Vec<Vec<u8>> {
    let dir = Path::new(env!("CARGO_MANIFEST_DIR")).join("corpus").join(target);
    let mut paths: Vec<_> = fs::read_dir(&dir).unwrap().map(|entry| entry.unwrap().path()).collect();
    paths.sort();
    paths.into_iter().map(|path| fs::read(path).unwrap()).collect()
}

/// The seeds of configs, and the example that has every key.
fn configs() -> Vec<Vec<u8>> {
    let example = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../examples/loadline.toml");
    seeds("config").into_iter().chain([fs::read(example).unwrap()]).collect()
}

/// Runs `target` over `seeds` as they are, then over `inputs` edits of them, or for `FUZZ_SECONDS`; prints how many inputs
/// that were.
fn fuzz(name: &str, seeds: &[Vec<u8>], inputs: u32, target: impl Fn(&[u8])) {
    seeds.iter().for_each(|seed| target(seed));
    let seconds = env::var("FUZZ_SECONDS").ok().and_then(|seconds| seconds.parse().ok());
    let (began, long) = (Instant::now(), seconds.map(Duration::from_secs));
    let mut run: u64 = 0;
    loop {
        let mut config = Config { cases: inputs, failure_persistence: None, ..Config::default() };
        if long.is_some() {
            // One seed for all rounds would be one round.
            config.rng_seed = RngSeed::Random;
        }
        let scripts = vec(any::<u8>(), 0..=SCRIPT_MAX);
        let result = TestRunner::new(config).run(&scripts, |script| {
            target(&fuzz::mutate(seeds, &script));
            Ok(())
        });
        result.unwrap_or_else(|failure| panic!("{name}: {failure}"));
        run += u64::from(inputs);
        if long.is_none_or(|long| began.elapsed() >= long) {
            break;
        }
    }
    println!("{name}: {run} inputs in {:?}", began.elapsed());
}

#[test]
fn any_record_is_decoded_or_rejected() {
    fuzz("any_record_is_decoded_or_rejected", &seeds("decode"), INPUTS, fuzz::decode);
}

#[test]
fn any_body_is_split_or_refused() {
    fuzz("any_body_is_split_or_refused", &seeds("http_body"), INPUTS, fuzz::http_body);
}

#[test]
fn any_gzip_is_unpacked_within_bounds_or_refused() {
    fuzz("any_gzip_is_unpacked_within_bounds_or_refused", &seeds("http_gzip"), INPUTS, fuzz::http_gzip);
}

#[test]
fn any_config_is_read_or_its_problems_named() {
    fuzz("any_config_is_read_or_its_problems_named", &configs(), INPUTS, fuzz::config);
}

#[test]
fn any_retry_after_is_a_wait_or_none() {
    fuzz("any_retry_after_is_a_wait_or_none", &seeds("retry_after"), INPUTS, fuzz::retry_after);
}

#[test]
fn any_stored_value_is_read_or_a_fault() {
    fuzz("any_stored_value_is_read_or_a_fault", &seeds("state_record"), INPUTS, fuzz::state_record);
}

#[test]
fn any_record_of_a_state_topic_is_read_or_refused() {
    fuzz("any_record_of_a_state_topic_is_read_or_refused", &seeds("kafka_state"), INPUTS, fuzz::kafka_state);
}

#[test]
fn any_batch_accounts_for_each_of_its_offsets() {
    fuzz("any_batch_accounts_for_each_of_its_offsets", &seeds("fluvio_batch"), INPUTS, fuzz::fluvio_batch);
}

#[test]
fn any_transfer_file_is_taken_in_whole_or_changes_nothing() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("export");
    // Each opens two directories.
    let inputs = INPUTS / 16;
    fuzz("any_transfer_file_is_taken_in_whole_or_changes_nothing", &[fuzz::exported()], inputs, |input| {
        fuzz::state_transfer(input, &file);
    });
}
