//! The oracle judges the product, so it uses no code of it.

use std::{fs, path::Path};

/// The product's crates.
const PRODUCT: [&str; 9] =
    ["fluvio_engine", "kafka_engine", "line", "loadline", "service", "sources", "stages", "state", "topics"];

/// The files in `dir` and below, with their text.
fn files(dir: &Path) -> Vec<(String, String)> {
    let entries = fs::read_dir(dir).unwrap().map(|entry| entry.unwrap().path());
    let files = entries.flat_map(|path| {
        if path.is_dir() {
            files(&path)
        } else {
            vec![(path.display().to_string(), fs::read_to_string(path).unwrap())]
        }
    });
    files.collect()
}

/// The crates of the product that `code` names at the beginning of a path, as in `state::Store`.
fn used(code: &str) -> Vec<&'static str> {
    let begins = |name: &str| {
        code.match_indices(&format!("{name}::")).any(|(place, _)| {
            !code[..place].ends_with(|before: char| before.is_alphanumeric() || "_:".contains(before))
        })
    };
    PRODUCT.into_iter().filter(|name| begins(name)).collect()
}

#[test]
fn the_oracle_uses_no_code_of_the_product() {
    let lab = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let mut files = files(&lab.join("oracle"));
    files.retain(|(path, _)| !path.ends_with("independence.rs"));
    files.push(("digest.rs".to_owned(), fs::read_to_string(lab.join("digest.rs")).unwrap()));
    assert!(files.len() > 20, "{} files", files.len());
    for (path, code) in &files {
        assert_eq!(used(code), [] as [&str; 0], "{path}");
    }
}

#[test]
fn a_crate_of_the_product_is_noticed_in_an_import_and_in_a_path() {
    assert_eq!(used("use state::UnixMillis;"), ["state"]);
    assert_eq!(used("use {line::Line, stages::models};"), ["line", "stages"]);
    assert_eq!(used("let a = stages::Subscription;"), ["stages"]);
    assert_eq!(used("super::state::A + online::B + state.line"), [] as [&str; 0]);
}
