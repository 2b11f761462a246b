//! What holds for every page of the documentation: its links lead somewhere, its first lines say whom it is for, and it can
//! be read in one sitting unless it is a reference.

use std::{collections::HashSet, fs, path::Path};

use crate::project;

/// The most words of a page that is read from its beginning to its end, as `wc -w` counts them.
const WORDS_MAX: usize = 1_500;
/// The most words of the README.
const README_MAX: usize = 950;

/// A page, named from the project's directory.
#[derive(Debug)]
pub(crate) struct Source {
    pub(crate) name: String,
    pub(crate) text: String,
}

/// Every page, sorted by name.
pub(crate) fn pages() -> Vec<Source> {
    let mut pages: Vec<Source> = ["", "docs", "examples"].into_iter().flat_map(pages_in).collect();
    pages.sort_by(|a, b| a.name.cmp(&b.name));
    assert!(pages.len() > 20, "{} pages", pages.len());
    pages
}

fn pages_in(directory: &str) -> Vec<Source> {
    let entries = fs::read_dir(project().join(directory)).unwrap().map(|entry| entry.unwrap().path());
    let is_page = |path: &std::path::PathBuf| path.extension().is_some_and(|extension| extension == "md");
    let name = |path: &Path| path.file_name().unwrap().to_str().unwrap().to_owned();
    entries
        .filter(is_page)
        .map(|path| Source {
            name: Path::new(directory).join(name(&path)).to_str().unwrap().to_owned(),
            text: fs::read_to_string(&path).unwrap(),
        })
        .collect()
}

/// The anchors of a page's headings, as they are made for the web.
pub(crate) fn anchors(text: &str) -> impl Iterator<Item = String> {
    let headings = prose(text).filter(|line| line.starts_with('#'));
    headings.map(|line| slug(line.trim_start_matches('#').trim()))
}

fn slug(heading: &str) -> String {
    let kept = heading.to_lowercase();
    let kept = kept.chars().filter(|c| c.is_alphanumeric() || matches!(c, ' ' | '-' | '_'));
    kept.map(|c| if c == ' ' { '-' } else { c }).collect()
}

/// The lines outside of blocks.
fn prose(text: &str) -> impl Iterator<Item = &str> {
    let mut inside = false;
    text.lines().filter(move |line| {
        let fence = line.trim_start().starts_with("```");
        inside ^= fence;
        !inside && !fence
    })
}

/// Where a page's links lead, without those to other sites.
fn links(text: &str) -> Vec<&str> {
    let behind = prose(text).flat_map(|line| line.split("](").skip(1));
    behind
        .filter_map(|rest| rest.split_once(')'))
        .map(|(link, _)| link)
        .filter(|l| !l.contains("://"))
        .collect()
}

#[test]
fn every_link_leads_to_a_file_and_a_heading_that_are_there() {
    let mut astray = Vec::new();
    for page in pages() {
        let directory = project().join(&page.name).parent().unwrap().to_owned();
        for link in links(&page.text) {
            let (file, anchor) = link.split_once('#').unwrap_or((link, ""));
            let text = if file.is_empty() {
                Ok(page.text.clone())
            } else if directory.join(file).is_dir() {
                Ok(String::new())
            } else {
                fs::read_to_string(directory.join(file))
            };
            let there =
                text.is_ok_and(|text| anchor.is_empty() || anchors(&text).any(|heading| heading == anchor));
            if !there {
                astray.push(format!("{}: {link}", page.name));
            }
        }
    }
    assert_eq!(astray, [] as [&str; 0]);
}

#[test]
fn every_page_says_in_its_first_lines_whom_it_is_for_and_is_short_unless_it_is_a_reference() {
    for page in pages().iter().filter(|page| page.name.starts_with("docs/")) {
        let first = page.text.lines().filter(|line| !line.is_empty()).nth(1).unwrap_or_default();
        assert!(first.starts_with("**For:** "), "{}: {first:?} does not say whom it is for", page.name);
        let words = page.text.split_whitespace().count();
        let reference = first.contains("Reference.");
        assert!(reference || words <= WORDS_MAX, "{} has {words} words and is no reference", page.name);
    }
    let readme = pages().into_iter().find(|page| page.name == "README.md").unwrap();
    let words = readme.text.split_whitespace().count();
    assert!(words <= README_MAX, "the README has {words} words");
}

#[test]
fn every_page_is_in_the_index() {
    let pages = pages();
    let index = pages.iter().find(|page| page.name == "docs/README.md").unwrap();
    let listed: HashSet<&str> = links(&index.text).into_iter().collect();
    for page in &pages {
        let Some(name) = page.name.strip_prefix("docs/").filter(|name| *name != "README.md") else {
            continue;
        };
        assert!(listed.contains(name), "docs/README.md does not list {name}");
    }
}

#[test]
fn headings_and_links_are_read_outside_of_blocks() {
    let text =
        "# A `b` c, d-e\n[x](y.md#z) [w](https://w)\n```sh\n# no heading\n[n](o)\n```\n## Two  words\n";
    assert_eq!(anchors(text).collect::<Vec<_>>(), ["a-b-c-d-e", "two--words"]);
    assert_eq!(links(text), ["y.md#z"]);
}

#[test]
fn every_place_of_the_code_map_is_there() {
    let map = pages().into_iter().find(|page| page.name == "docs/code-map.md").unwrap();
    let spans = prose(&map.text).flat_map(|line| line.split('`').skip(1).step_by(2));
    let places: Vec<&str> = spans.filter(|place| place.contains('/')).collect();
    assert!(places.len() > 30, "{places:?}");
    for place in places {
        assert!(project().join(place).exists(), "docs/code-map.md names {place}, which is not there");
    }
}

/// The types each stage of a chain takes and gives, as the comments beside it say.
fn columns(source: &str) -> Vec<String> {
    let comments = source.lines().filter_map(|line| line.split_once("// ")).map(|(_, comment)| comment);
    let types = comments.filter(|comment| comment.contains(" -> ") || comment.contains("exactly once"));
    types.map(|comment| comment.split_whitespace().collect::<Vec<_>>().join(" ")).collect()
}

#[test]
fn the_readme_shows_the_chain_as_it_is_assembled() {
    let readme = pages().into_iter().find(|page| page.name == "README.md").unwrap();
    let shown = columns(readme.text.split("```rust\n").nth(1).unwrap().split("```").next().unwrap());
    let assembled = fs::read_to_string(project().join("pipeline/service/src/assemble.rs")).unwrap();
    assert_eq!(shown, columns(&assembled));
    assert_eq!(shown.len(), 9, "{shown:?}");
}
