//! The page that tells a surge run, in a real browser: on a phone and on a desk, light and dark. Without a Chromium on
//! the machine it says that it was skipped.

// A scenario fails by panicking.
#![allow(clippy::expect_used, clippy::panic, clippy::unwrap_used)]

use std::io::{self, Write as _};

use lab::report::{Report, sample, write_html};
use serde::Deserialize;
use tests::Browser;

/// What is looked at in the page.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Look {
    /// How wide the page is shown, and how wide its content is.
    wide: f64,
    content: f64,
    /// Tables whose box is wider than the page.
    boxes_too_wide: u32,
    /// Plots with a size, and lines in them with a length.
    plots: usize,
    lines: usize,
    /// Plots or lines without one.
    empty: u32,
    /// Labels and marks of plots that stand outside of the page.
    cut: Vec<String>,
    /// Numbered marks that cover one another.
    covered: u32,
    /// The size of the smallest text, in pixels.
    smallest: f64,
    /// The least contrast of a text to what is behind it, and which.
    contrast: f64,
    palest: String,
    /// The same for the lines of the plots, to the page.
    line_contrast: f64,
    /// How light the page is, from 0 to 1.
    lightness: f64,
    /// What the pointer is told over the first plot.
    tip: String,
}

const SCRIPT: &str = r"
const all = selector => [...document.querySelectorAll(selector)];
const root = document.documentElement;
const box = element => element.getBoundingClientRect();
const style = element => window.getComputedStyle(element);
const parts = colour => colour.match(/[\d.]+/g).map(Number);
const luminance = colour => {
    const [r, g, b] = parts(colour).map(c => c / 255).map(c => c <= 0.04045 ? c / 12.92 : ((c + 0.055) / 1.055) ** 2.4);
    return 0.2126 * r + 0.7152 * g + 0.0722 * b;
};
const contrast = (a, b) => {
    const [x, y] = [luminance(a), luminance(b)];
    return (Math.max(x, y) + 0.05) / (Math.min(x, y) + 0.05);
};
const behind = element => {
    for (let at = element; at; at = at.parentElement) {
        const colour = style(at).backgroundColor;
        if ((parts(colour)[3] ?? 1) > 0) return colour;
    }
};
const page = style(document.body).backgroundColor;
const says = element => [...element.childNodes].some(node => node.nodeType === 3 && node.data.trim());
const shown = element => box(element).width > 0;
const texts = all('main *').filter(element => says(element) && shown(element) && !element.closest('title, desc'));
const pale = texts.map(element => {
    const svg = element instanceof window.SVGElement;
    const back = element.matches('.chart .badge') ? style(element.previousElementSibling).fill : behind(element);
    return { contrast: contrast(svg ? style(element).fill : style(element).color, back), text: element.textContent };
}).sort((a, b) => a.contrast - b.contrast)[0];
const plots = all('.chart'), lines = all('.chart .line');
const empty = plots.filter(plot => box(plot).width < 80 || box(plot).height < 60).length
    + lines.filter(line => box(line).width < 40 || !(line.getTotalLength() > 0)).length;
const outside = element => box(element).left < 0 || box(element).right > root.clientWidth;
const badges = all('.chart').map(chart => [...chart.querySelectorAll('circle.badge')].map(box));
const covers = (a, b) => a !== b && a.left < b.right - 0.5 && b.left < a.right - 0.5 && a.top < b.bottom - 0.5 && b.top < a.bottom - 0.5;
const first = plots[0];
let tip = '';
if (first) {
    const { left, top, width } = box(first);
    first.dispatchEvent(new window.PointerEvent('pointermove', { clientX: left + width / 2, clientY: top + 50 }));
    tip = document.querySelector('.tip')?.innerText ?? '';
}
return {
    wide: root.clientWidth, content: root.scrollWidth,
    boxesTooWide: all('.box').filter(outside).length,
    plots: plots.length, lines: lines.length, empty,
    cut: all('.chart text, .chart circle').filter(outside).map(element => element.outerHTML),
    covered: badges.flatMap(row => row.filter(a => row.some(b => covers(a, b)))).length,
    smallest: Math.min(...texts.map(element => parseFloat(style(element).fontSize))),
    contrast: pale.contrast, palest: pale.text,
    lineContrast: Math.min(...lines.map(line => contrast(style(line).stroke, page))),
    lightness: luminance(page), tip,
};
";

fn html(report: &Report) -> String {
    let mut page = Vec::new();
    write_html(&mut page, report).unwrap();
    String::from_utf8(page).unwrap()
}

/// The browser, or a word that nothing was tested: it is written past the test's own capture of what it prints.
#[allow(clippy::explicit_write)] // eprintln is captured, and a test that passes shows nothing
fn browser() -> Option<Browser> {
    let browser = Browser::find();
    if browser.is_none() {
        writeln!(io::stderr(), "SKIPPED: no chromium on this machine, so no browser has seen the page")
            .unwrap();
    }
    browser
}

fn assert_readable(look: &Look) {
    assert!(look.content <= look.wide, "the page scrolls sideways: {look:?}");
    assert_eq!((look.boxes_too_wide, look.empty, look.covered), (0, 0, 0), "{look:?}");
    assert_eq!(look.cut, Vec::<String>::new(), "outside of the page");
    assert!(look.smallest >= 11.0, "{look:?}");
    assert!(look.contrast >= 4.5, "{} of {:?}", look.contrast, look.palest);
    assert!(look.line_contrast >= 4.5, "{look:?}");
}

#[test]
fn the_page_is_readable_on_a_phone_and_on_a_desk_in_light_and_dark() {
    let Some(browser) = browser() else { return };
    let report = sample();
    let page = html(&report);
    for (wide, dark) in [(360, false), (360, true), (768, false), (1280, true)] {
        let look: Look = browser.look(&page, wide, dark, SCRIPT);
        assert_readable(&look);
        assert_eq!(look.lightness < 0.1, dark, "{look:?}");
        assert_eq!(look.plots, 6 + report.brokers.len(), "{look:?}");
        assert_eq!(look.lines, 11 + 2 * report.brokers.len(), "{look:?}");
        assert!(look.tip.contains("at 30 s\nlegacy: ") && look.tip.contains("Loadline: "), "{look:?}");
    }
}

#[test]
fn long_words_and_great_numbers_do_not_widen_the_page() {
    let Some(browser) = browser() else { return };
    let mut report = sample();
    let word = "w".repeat(200);
    (report.profile, report.about) = (word.clone(), word.clone());
    report.incidents[0].what = word.clone();
    (report.brokers[0].id, report.brokers[0].about) = (word.clone(), word.clone());
    for system in &mut report.systems {
        system.violations.push(word.clone());
        system.missed_goals.push(word.clone());
        system.figures.peak_lag = u64::MAX;
        for sample in &mut system.samples {
            sample.lag *= 1_000_000;
            sample.spilled *= 100;
        }
    }
    assert_readable(&browser.look(&html(&report), 360, false, SCRIPT));
}
