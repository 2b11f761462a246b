//! The jars of Apache Kafka, fetched by Maven into the target directory. Tests that need them at the same time fetch them
//! once: the first one holds a lock on a file, and the others wait for it.

use std::{
    env, fs,
    fs::File,
    path::{Path, PathBuf},
    process::{Command, Stdio},
    sync::OnceLock,
};

use crate::skipped;

/// What Maven is asked for.
const POM: &str = include_str!("../../kafka/pom.xml");
/// The oldest Java that runs it.
const JAVA_MIN: u32 = 17;

/// A class path with the whole of Apache Kafka; none, said aloud, if it cannot be had here.
///
/// # Panics
/// Instead of none if `LOADLINE_TEST_KAFKA` is `required`.
pub(super) fn class_path() -> Option<&'static str> {
    static CLASS_PATH: OnceLock<Result<String, String>> = OnceLock::new();
    match CLASS_PATH.get_or_init(|| fetch().map(|libs| format!("{}/*", libs.display()))) {
        Ok(class_path) => Some(class_path),
        Err(why) => {
            let required = env::var("LOADLINE_TEST_KAFKA").is_ok_and(|value| value == "required");
            assert!(!required, "LOADLINE_TEST_KAFKA is \"required\", but {why}");
            skipped(&format!("it needs an Apache Kafka, but {why} (docs/testing.md)"));
            None
        }
    }
}

fn fetch() -> Result<PathBuf, String> {
    let found = java_version().ok_or("there is no java on the PATH")?;
    if found < JAVA_MIN {
        return Err(format!("java is {found}, and it needs {JAVA_MIN}"));
    }
    let directory = target().join("kafka");
    let (libs, marker) = (directory.join("libs"), directory.join("pom.xml"));
    fs::create_dir_all(&directory).map_err(|error| format!("{}: {error}", directory.display()))?;
    let lock = File::create(directory.join("lock")).map_err(|error| format!("a lock file: {error}"))?;
    lock.lock().map_err(|error| format!("a lock: {error}"))?;
    // The marker is written last: jars of an interrupted or an older fetch are fetched again.
    if fs::read(&marker).is_ok_and(|fetched| fetched == POM.as_bytes()) {
        return Ok(libs);
    }
    let _nothing_there = fs::remove_dir_all(&libs).is_err();
    copy_dependencies(&libs)?;
    fs::write(&marker, POM).map_err(|error| format!("{}: {error}", marker.display()))?;
    Ok(libs)
}

fn copy_dependencies(libs: &Path) -> Result<(), String> {
    let pom = concat!(env!("CARGO_MANIFEST_DIR"), "/kafka/pom.xml");
    let fetched = Command::new("mvn")
        .args(["-q", "-B", "-f", pom, "dependency:copy-dependencies", "-DincludeScope=runtime"])
        .arg(format!("-DoutputDirectory={}", libs.display()))
        .stdin(Stdio::null())
        .output()
        .map_err(|error| format!("mvn, which fetches it, cannot be run: {error}"))?;
    if fetched.status.success() {
        return Ok(());
    }
    let said = String::from_utf8_lossy(&fetched.stdout);
    let first = said.lines().find(|line| line.contains("ERROR")).unwrap_or("nothing was said");
    Err(format!("mvn could not fetch it: {first}"))
}

/// The number of the Java on the `PATH`: 17 for `openjdk version "17.0.15"`.
fn java_version() -> Option<u32> {
    let told = Command::new("java").arg("-version").output().ok()?;
    let told = String::from_utf8_lossy(&told.stderr).into_owned();
    let version = told.split('"').nth(1)?;
    version.split('.').next()?.parse().ok()
}

/// Cargo's target directory, in which this test stands.
fn target() -> PathBuf {
    let test = env::current_exe().expect("the path of this test");
    test.ancestors().nth(3).expect("TARGET/PROFILE/deps/TEST").to_owned()
}
