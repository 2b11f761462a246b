//! The page as a browser's parser sees it: every tag closed, every number a number, nothing from outside it.

use std::cell::RefCell;

use html5ever::{
    TokenizerResult,
    buffer_queue::BufferQueue,
    tokenizer::{TagKind, Token, TokenSink, TokenSinkResult, Tokenizer, TokenizerOpts, states::RawKind},
};

use super::{
    super::{Latency, Report, Sample, figures::comparison, sample},
    write_html,
};

/// Elements that have no end tag.
const VOID: [&str; 3] = ["meta", "br", "link"];

/// What was in the page.
#[derive(Debug, Default)]
struct Page {
    /// Every element, with its attributes.
    elements: Vec<(String, Vec<(String, String)>)>,
    /// The text, without that of style sheets and scripts.
    text: String,
    /// What is still open.
    open: Vec<String>,
    /// What is wrong with it.
    wrong: Vec<String>,
}

#[derive(Default)]
struct Reader(RefCell<Page>);

impl TokenSink for Reader {
    type Handle = ();

    fn process_token(&self, token: Token, _line: u64) -> TokenSinkResult<()> {
        let mut page = self.0.borrow_mut();
        match token {
            Token::TagToken(tag) if tag.kind == TagKind::StartTag => {
                let name = tag.name.to_string();
                let attrs =
                    tag.attrs.iter().map(|attr| (attr.name.local.to_string(), attr.value.to_string()));
                page.elements.push((name.clone(), attrs.collect()));
                if !tag.self_closing && !VOID.contains(&name.as_str()) {
                    page.open.push(name.clone());
                }
                match name.as_str() {
                    "style" => return TokenSinkResult::RawData(RawKind::Rawtext),
                    "script" => return TokenSinkResult::RawData(RawKind::ScriptData),
                    _ => {}
                }
            }
            Token::TagToken(tag) => {
                let open = page.open.pop();
                if open.as_deref() != Some(&*tag.name) {
                    page.wrong.push(format!("</{}> ends {open:?}", tag.name));
                }
            }
            Token::CharacterTokens(text) => {
                if !page.open.last().is_some_and(|open| open == "style" || open == "script") {
                    page.text.push_str(&text);
                }
            }
            Token::NullCharacterToken => page.wrong.push("a null character".to_owned()),
            Token::ParseError(error) => page.wrong.push(error.to_string()),
            Token::CommentToken(_) | Token::DoctypeToken(_) | Token::EOFToken => {}
        }
        TokenSinkResult::Continue
    }
}

impl Page {
    fn of(html: &str) -> Self {
        let opts = TokenizerOpts { exact_errors: true, ..TokenizerOpts::default() };
        let tokenizer = Tokenizer::new(Reader::default(), opts);
        let input = BufferQueue::default();
        input.push_back(html.into());
        while !matches!(tokenizer.feed(&input), TokenizerResult::Done) {}
        tokenizer.end();
        tokenizer.sink.0.into_inner()
    }

    fn attributes(&self) -> impl Iterator<Item = (&str, &str, &str)> {
        self.elements.iter().flat_map(|(element, attrs)| {
            attrs.iter().map(move |(name, value)| (element.as_str(), name.as_str(), value.as_str()))
        })
    }

    fn count(&self, wanted: &str) -> usize {
        self.elements.iter().filter(|(element, _)| element == wanted).count()
    }

    fn having(&self, wanted: &str, class: &str) -> usize {
        self.attributes().filter(|(of, name, value)| (*of, *name, *value) == (wanted, "class", class)).count()
    }
}

fn html(report: &Report) -> String {
    let mut out = Vec::new();
    write_html(&mut out, report).unwrap();
    String::from_utf8(out).unwrap()
}

/// The page of the report, if it is one that any browser shows in the same way.
fn sound(report: &Report) -> Page {
    let html = html(report);
    let page = Page::of(&html);
    assert_eq!(page.wrong, Vec::<String>::new());
    assert_eq!(page.open, Vec::<String>::new(), "left open");
    let mut ids = Vec::new();
    for (element, name, value) in page.attributes() {
        assert!(!value.contains("NaN") && !value.contains("inf"), "<{element} {name}=\"{value}\">");
        let geometry = ["x", "y", "x1", "x2", "y1", "y2", "cx", "cy", "r", "width", "height"];
        if geometry.contains(&name) {
            assert!(value.trim_end_matches('%').parse::<f64>().is_ok(), "<{element} {name}=\"{value}\">");
        }
        assert!(
            !["src", "href", "xlink:href", "srcset", "action"].contains(&name),
            "{name}={value} leaves the page"
        );
        assert!(!name.starts_with("on"), "{name} is a script");
        if name == "id" {
            ids.push(value.to_owned());
        }
    }
    for (_, _, labels) in page.attributes().filter(|(_, name, _)| *name == "aria-labelledby") {
        assert!(labels.split(' ').all(|label| ids.iter().any(|id| id == label)), "{labels} is nowhere");
    }
    let all = ids.len();
    ids.sort();
    ids.dedup();
    assert_eq!(ids.len(), all, "an id twice");
    let namespace = "http://www.w3.org/2000/svg";
    assert!(!html.replace(namespace, "").contains("http:"), "an address outside the page");
    assert!(!html.contains("https:") && !html.contains("@import"));
    page
}

fn lines(page: &Page) -> Vec<&str> {
    page.attributes().filter(|(of, name, _)| (*of, *name) == ("path", "d")).map(|(_, _, d)| d).collect()
}

#[test]
fn the_page_is_sound_small_and_holds_every_number_of_the_table() {
    let report = sample();
    let page = sound(&report);
    assert!(html(&report).len() < 300_000, "{} bytes", html(&report).len());
    for row in comparison(&report).into_iter().flat_map(|group| group.rows) {
        assert!(page.text.contains(&row.label), "{}", row.label);
        for cell in row.cells {
            assert!(page.text.contains(&cell.text), "{}: {}", row.label, cell.text);
        }
    }
    for text in
        ["inc-4471", "4471", "Every promise kept.", "cedar is down", "18.0 s to 31.0 s", "And 17,318 more."]
    {
        assert!(page.text.contains(text), "{text}");
    }
    assert!(page.attributes().any(|attribute| attribute == ("html", "lang", "en")));
    assert_eq!(page.having("svg", "chart"), 6 + report.brokers.len());
    assert_eq!(page.count("title"), 1 + 6 + report.brokers.len());
    assert_eq!(page.count("desc"), 6 + report.brokers.len());
    let scopes = page.attributes().filter(|(of, name, _)| (*of, *name) == ("th", "scope")).count();
    assert_eq!(scopes, page.count("th"));
}

#[test]
fn every_line_has_points_and_no_more_than_a_screen_shows() {
    let mut report = sample();
    let long: Vec<Sample> = (0..20u64)
        .flat_map(|again| {
            let of = report.systems[0].samples.clone().into_iter();
            of.map(move |sample| Sample { at_ms: sample.at_ms + 60_000 * again, ..sample })
        })
        .collect();
    report.systems[0].samples = long;
    let page = sound(&report);
    let drawn: Vec<_> = lines(&page).into_iter().filter(|d| *d != "M1 6H29").collect();
    // lag, age and latency of both, intake with appended and read of both, spill of one, each broker of both
    assert_eq!(drawn.len(), 6 + 4 + 1 + 2 * report.brokers.len());
    for d in drawn {
        let points = d.matches(['M', 'L']).count();
        assert!((2..=602).contains(&points), "{points} points: {d}");
    }
    assert!(html(&report).len() < 400_000);
}

#[test]
fn text_from_outside_stays_text() {
    let evil = "</title><script>alert(1)</script>\"'<img src=x onerror=y>&amp;\u{202e}\0";
    let mut report = sample();
    report.profile = evil.to_owned();
    report.about = evil.to_owned();
    report.brokers[0].id = evil.to_owned();
    report.brokers[0].about = evil.to_owned();
    report.incidents[0].what = evil.to_owned();
    report.phases[0].name = evil.to_owned();
    report.systems[0].name = evil.to_owned();
    report.systems[0].violations[0] = evil.to_owned();
    report.systems[1].missed_goals.push(evil.to_owned());
    let page = sound(&report);
    assert_eq!((page.count("script"), page.count("img")), (1, 0));
    let shown = evil.replace(['\u{202e}', '\0'], "\u{fffd}");
    assert!(page.text.matches(&shown).count() >= 12, "{}", page.text.matches(&shown).count());
}

#[test]
fn a_goal_that_was_missed_is_said_first_and_marked_where_it_stands() {
    let mut report = sample();
    report.systems[1].missed_goals = vec!["the p99 of brokers that are well was 90 ms".to_owned()];
    let page = sound(&report);
    assert!(page.text.contains("Every promise kept, one goal missed."), "{}", page.text);
    assert!(page.text.contains("1 goal missed") && !page.text.contains("Every promise kept. "));
    assert_eq!((page.having("p", "verdict missed"), page.having("td", "missed")), (1, 1));
}

#[test]
fn a_report_of_one_system_or_of_none_is_a_page() {
    let mut report = sample();
    report.systems.remove(0);
    let page = sound(&report);
    assert!(!page.text.contains("legacy") && page.text.contains("Loadline: 0 lost"));
    assert_eq!(page.having("svg", "chart"), 5 + report.brokers.len());
    report.systems.clear();
    assert!(sound(&report).text.contains("nothing was run"));
    report.incidents.clear();
    report.phases.clear();
    report.brokers.clear();
    sound(&report);
}

#[test]
fn a_plot_that_has_nothing_to_show_says_so() {
    let mut report = sample();
    for system in &mut report.systems {
        system.samples.clear();
    }
    let page = sound(&report);
    assert_eq!(page.having("svg", "chart"), 0);
    assert!(page.text.contains("Nothing was seen of it."));
}

#[test]
fn one_sample_is_a_dot() {
    let mut report = sample();
    for system in &mut report.systems {
        system.samples.truncate(1);
    }
    let page = sound(&report);
    assert!(lines(&page).iter().filter(|d| d.ends_with("h0")).count() >= 6, "{:?}", lines(&page));
    report.phases.clear();
    report.systems[0].samples = vec![Sample::default()];
    sound(&report);
}

#[test]
fn no_value_is_too_great_or_too_odd() {
    for odd in [f64::NAN, f64::INFINITY, f64::NEG_INFINITY, -1.0, f64::MAX, 1e-300] {
        let mut report = sample();
        let brokers = report.brokers.len();
        for phase in &mut report.phases {
            phase.to_ms = u64::MAX;
        }
        report.incidents[0].to_ms = Some(0);
        report.incidents[1].from_ms = u64::MAX;
        for system in &mut report.systems {
            system.figures.peak_lag = u64::MAX;
            system.figures.drain_ms = None;
            system.figures.latency = vec![Some(Latency { p50_ms: odd, p99_ms: odd })];
            system.brokers.truncate(2);
            for (nth, sample) in system.samples.iter_mut().enumerate() {
                let number = if nth % 2 == 0 { u64::MAX } else { 0 };
                sample.at_ms = if nth > 200 { u64::MAX } else { sample.at_ms };
                (sample.lag, sample.appended, sample.oldest_age_ms, sample.spilled) =
                    (number, number, number, number);
                sample.taken = vec![number; brokers - 1];
                sample.p99_ms = Some(odd);
            }
        }
        let page = sound(&report);
        assert!(page.text.contains("18.4 E"));
        assert!(!page.text.contains("NaN") && !page.text.contains("inf "));
    }
}
