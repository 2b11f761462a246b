//! One reader over real files, step by step.

use std::{fs::OpenOptions, io::Write, path::Path};

use state::SourceFiles;

use super::*;

fn append(path: &Path, content: &str) {
    let mut file = OpenOptions::new().create(true).append(true).open(path).unwrap();
    file.write_all(content.as_bytes()).unwrap();
}

/// The window between the last read of the old file and the first sight of the new one's content.
#[test]
fn the_old_file_is_looked_at_once_more_after_its_successor_was_seen() {
    let directory = tempfile::tempdir().unwrap();
    let [path, rotated] = ["log", "log.1"].map(|name| directory.path().join(name));
    append(&path, "a\n");
    for (follow, last) in [(true, Step::Idle), (false, Step::End)] {
        let options = FileOptions { rotate_wait: Duration::ZERO, ..FileOptions::default() };
        let known_files = KnownFiles::new(SourceFiles::default(), 0);
        let mut reader =
            Reader::new(path.clone(), follow, options, (known_files, None), Clock::System).unwrap();
        let (mut block, now) = ([0; 64], Instant::now());
        assert_eq!(reader.step(&mut block, now).unwrap(), Step::NextFile, "found");
        assert_eq!(reader.step(&mut block, now).unwrap(), Step::Bytes(2));
        fs::rename(&path, &rotated).unwrap();
        append(&path, "c\n");
        assert_eq!(reader.step(&mut block, now).unwrap(), Step::Retry);
        append(&rotated, "b\n");
        assert_eq!(reader.step(&mut block, now).unwrap(), Step::Bytes(2));
        assert_eq!(&block[..2], b"b\n");
        assert_eq!(reader.step(&mut block, now).unwrap(), Step::Retry);
        assert_eq!(reader.step(&mut block, now).unwrap(), Step::NextFile);
        assert_eq!(reader.step(&mut block, now).unwrap(), Step::Bytes(2));
        assert_eq!(reader.step(&mut block, now).unwrap(), last);
    }
}
