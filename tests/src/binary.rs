//! The program under test: the path of a `loadline` that is as new as its source.
//!
//! Cargo names a binary only to tests of its own package, so it is looked for where Cargo has put this test: in
//! `TARGET/PROFILE/deps`, the binary is in `TARGET/PROFILE`. Cargo is asked to build it first, once per test process,
//! which costs nothing when it is fresh.

use std::{
    env,
    path::{Path, PathBuf},
    process::Command,
    sync::OnceLock,
};

/// The `loadline` to test, built with this test's own profile into its own target directory.
///
/// # Panics
/// If it cannot be built.
#[must_use]
pub fn loadline() -> &'static Path {
    static BINARY: OnceLock<PathBuf> = OnceLock::new();
    BINARY.get_or_init(build)
}

fn build() -> PathBuf {
    let test = env::current_exe().expect("the path of this test");
    let place = test.parent().and_then(Path::parent).expect("TARGET/PROFILE/deps/TEST");
    let target = place.parent().expect("TARGET/PROFILE");
    // The dev profile's directory has another name than the profile.
    let profile = match place.file_name().and_then(|name| name.to_str()).expect("a profile's name") {
        "debug" => "dev",
        profile => profile,
    };
    let mut cargo = Command::new(env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    // What cargo has told this test of its package would look to build scripts that watch it like a change.
    let about_this_test = |name: &str| name.starts_with("CARGO_PKG_") || name.starts_with("CARGO_MANIFEST_");
    for (name, _) in env::vars_os().filter(|(name, _)| name.to_str().is_some_and(about_this_test)) {
        cargo.env_remove(name);
    }
    // The whole workspace and the targets that have dev-dependencies (there are no examples to build), so that each
    // dependency has the features it has for the tests: otherwise half of them would be built once more.
    let built = cargo
        .args(["build", "--quiet", "--workspace", "--bin", "loadline", "--examples", "--profile", profile])
        .arg("--target-dir")
        .arg(target)
        .current_dir(env!("CARGO_MANIFEST_DIR"))
        .status()
        .expect("cargo runs");
    assert!(built.success(), "loadline cannot be built: {built}");
    let binary = place.join("loadline");
    assert!(binary.is_file(), "cargo built loadline, and it is not at {}", binary.display());
    binary
}
