//! Every source file is a module of its crate. One that no module names is not compiled, and its tests do not run.

use std::{fs, path::Path};

use crate::project;

/// The folders of crates.
const ROOTS: [&str; 5] = ["pipeline", "stages", "state", "tests", "benches"];
/// What cargo finds by itself, or the compile-fail test by its manifest.
const FOUND_OTHERWISE: [&str; 4] = ["/examples/", "/compile_fail/", "/fuzz_targets/", "/target/"];

/// All source files below `directory`.
fn sources(directory: &Path, found: &mut Vec<String>) {
    for entry in fs::read_dir(directory).unwrap().map(Result::unwrap) {
        let path = entry.path();
        let name = path.to_str().unwrap().to_owned();
        if entry.file_type().unwrap().is_dir() {
            sources(&path, found);
        } else if name.ends_with(".rs") && !FOUND_OTHERWISE.iter().any(|part| name.contains(part)) {
            found.push(name);
        }
    }
}

/// Whether `file` names `module`, as `mod module;` or by its path.
fn names(file: &Path, module: &str, path: &str) -> bool {
    let Ok(text) = fs::read_to_string(file) else { return false };
    let declared = format!("mod {module};");
    text.lines().any(|line| line.trim_end().ends_with(&declared) || line.contains(&format!("\"{path}\"")))
}

/// Whether some file around the one at `path` makes it a module, or cargo makes a crate of it.
fn is_module(path: &Path) -> bool {
    let file_name = path.file_name().unwrap().to_str().unwrap();
    let (parent, stem) = (path.parent().unwrap(), file_name.trim_end_matches(".rs"));
    if matches!(stem, "lib" | "main" | "build") || parent.join("../Cargo.toml").exists() && is_target(parent)
    {
        return true;
    }
    let (folder, module) = if stem == "mod" {
        (parent.parent().unwrap(), parent.file_name().unwrap().to_str().unwrap())
    } else {
        (parent, stem)
    };
    let own_file = folder.with_extension("rs");
    let siblings =
        fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).filter(|file| file.is_file());
    siblings.chain([own_file]).any(|file| names(&file, module, file_name))
}

/// Whether each file of this folder is a crate.
fn is_target(folder: &Path) -> bool {
    matches!(folder.file_name().unwrap().to_str(), Some("tests" | "benches" | "bin"))
}

#[test]
fn every_source_file_is_a_module_of_its_crate() {
    let mut files = Vec::new();
    for root in ROOTS {
        sources(&project().join(root), &mut files);
    }
    assert!(files.len() > 500, "{} files", files.len());
    files.retain(|file| !is_module(Path::new(file)));
    assert_eq!(files, [] as [&str; 0], "no module names these");
}
