//! One fuzz target under libFuzzer, chosen by the environment variable `FUZZ_TARGET`. Which there are, `tests/fuzz/src/`
//! says; how to run one, docs/testing.md.
#![no_main]

use std::{path::PathBuf, sync::LazyLock};

use libfuzzer_sys::fuzz_target;

static TARGET: LazyLock<fn(&[u8])> = LazyLock::new(|| {
    match std::env::var("FUZZ_TARGET").as_deref() {
        Ok("config") => fuzz::config,
        Ok("decode") => fuzz::decode,
        Ok("fluvio_batch") => fuzz::fluvio_batch,
        Ok("http_body") => fuzz::http_body,
        Ok("http_gzip") => fuzz::http_gzip,
        Ok("kafka_state") => fuzz::kafka_state,
        Ok("retry_after") => fuzz::retry_after,
        Ok("state_record") => fuzz::state_record,
        Ok("state_transfer") => state_transfer,
        other => panic!("FUZZ_TARGET is {other:?}: set it to the name of a target in tests/fuzz/src/"),
    }
});

/// Where the target that reads a file has it.
static FILE: LazyLock<(tempfile::TempDir, PathBuf)> = LazyLock::new(|| {
    let dir = tempfile::tempdir().expect("a directory for the file");
    let file = dir.path().join("export");
    (dir, file)
});

fn state_transfer(input: &[u8]) {
    fuzz::state_transfer(input, &FILE.1);
}

fuzz_target!(|input: &[u8]| TARGET(input));
