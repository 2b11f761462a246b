//! The core of a shard stays pure: its files name nothing that waits, asks for the time or shares what others change.

use std::{fs, path::Path};

/// The files that are not the core's, besides tests.
const DRIVERS: [&str; 5] = ["driver.rs", "env.rs", "perform.rs", "attempt.rs", "mod.rs"];

/// What would make it depend on more than its inputs.
const IMPURE: [&str; 9] =
    ["Instant::now", "elapsed()", ".await", "async ", "Semaphore", "mpsc", "oneshot", ".health.", "Clock"];

#[test]
fn the_core_names_nothing_that_waits_or_asks_for_the_time() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("src/shard");
    let mut read = 0;
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        let name = path.file_name().unwrap().to_string_lossy().into_owned();
        if !name.ends_with(".rs") || name.ends_with("_tests.rs") || DRIVERS.contains(&name.as_str()) {
            continue;
        }
        let text = fs::read_to_string(&path).unwrap();
        let product = text.split("#[cfg(test)]").next().unwrap_or_default();
        for (number, line) in
            product.lines().enumerate().filter(|(_, line)| !line.trim_start().starts_with("//"))
        {
            let found = IMPURE.iter().find(|word| line.contains(**word));
            assert_eq!(found, None, "{name}:{}: {line}", number + 1);
        }
        read += 1;
    }
    assert!(read > 12, "only {read} files of the core were read");
}
