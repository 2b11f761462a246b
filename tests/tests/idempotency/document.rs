//! `docs/idempotency.md` and its second part say what is so: the oracle's words in them are its words, and the tests they
//! name are there.

use std::{fs, path::Path};

/// Both pages.
fn text() -> String {
    let docs = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs");
    ["idempotency.md", "idempotency-memory.md"]
        .map(|page| fs::read_to_string(docs.join(page)).unwrap())
        .concat()
}

/// The document has these lines, one after the other.
#[track_caller]
pub(crate) fn assert_quotes(words: &str) {
    assert!(text().contains(words), "docs/idempotency*.md do not quote:\n{words}");
}

/// The source of a scheme.
fn source(name: &str) -> Option<String> {
    let schemes = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/idempotency/schemes");
    fs::read_to_string(schemes.join(name).with_extension("rs")).ok()
}

#[test]
fn every_scheme_has_its_section_and_the_section_names_tests_that_are_there() {
    let text = text();
    let sections: Vec<&str> = text.split("\n## ").skip(1).collect();
    for name in crate::schemes::NAMES {
        let section = sections.iter().find(|section| section.contains(&format!("schemes/{name}.rs")));
        let section =
            section.unwrap_or_else(|| panic!("docs/idempotency*.md have no section that names {name}.rs"));
        let source = source(name).unwrap_or_else(|| panic!("there is no {name}.rs"));
        let quoted = section.split('`').skip(1).step_by(2);
        let named: Vec<&str> = quoted.filter(|words| words.len() > 20 && is_name(words)).collect();
        assert!(
            named.len() >= 2,
            "the section on {name} names {named:?}: not a test that passes and one that fails"
        );
        for test in named {
            assert!(
                source.contains(&format!("#[test]\nfn {test}()")) || source.contains(&format!("fn {test}()")),
                "{name}: {test}"
            );
        }
    }
}

fn is_name(words: &str) -> bool {
    words.bytes().all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'_')
}
