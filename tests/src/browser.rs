//! A real browser, if the machine has one, which runs a script in a page. The page is shown in frames of given widths,
//! because a browser's own window cannot be as narrow as a phone.

use std::{env, fs, path::PathBuf, process::Stdio};

use serde::de::DeserializeOwned;
use tokio::{process::Command, time};

use crate::runtime::{PATIENCE, runtime};

/// What a Chromium is called, where it is packaged.
const NAMES: [&str; 3] = ["chromium", "chromium-browser", "google-chrome"];
/// No sandbox, because containers forbid it; nothing else that would look beyond the page.
const FLAGS: [&str; 10] = [
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-dev-shm-usage",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--virtual-time-budget=10000",
];
/// Written around what was found, so that it can be told from the rest of the page.
const MARK: &str = "found-in-the-page";

/// An installed Chromium.
pub struct Browser {
    program: PathBuf,
}

impl Browser {
    /// The first one in the search path.
    #[must_use]
    pub fn find() -> Option<Self> {
        let path = env::var_os("PATH")?;
        let places = env::split_paths(&path).flat_map(|dir| NAMES.map(|name| dir.join(name)));
        places.into_iter().find(|place| place.is_file()).map(|program| Self { program })
    }

    /// Shows the page that many CSS pixels wide and runs `script` in it: the body of a function of the page's `window`
    /// that returns what is to leave.
    ///
    /// # Panics
    /// If the browser fails, takes longer than [`PATIENCE`], or finds something that is not a `T`.
    #[must_use]
    pub fn look<T: DeserializeOwned>(&self, page: &str, wide: u32, dark: bool, script: &str) -> T {
        let dir = tempfile::tempdir().expect("a directory");
        let file = dir.path().join("frame.html");
        fs::write(&file, framed(page, wide, script)).expect("the page is written");
        let mut command = Command::new(&self.program);
        command
            .args(FLAGS)
            .arg(format!("--blink-settings=preferredColorScheme={}", if dark { 0 } else { 1 }))
            .arg(format!("--user-data-dir={}", dir.path().join("profile").display()))
            .arg("--dump-dom")
            .arg(format!("file://{}", file.display()))
            .stdin(Stdio::null())
            .kill_on_drop(true);
        let output = runtime().block_on(async { time::timeout(PATIENCE, command.output()).await });
        let output = output.expect("the browser ends in time").expect("the browser starts");
        let (said, complained) =
            (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
        let found =
            said.split(MARK).nth(1).unwrap_or_else(|| panic!("no page was shown: {complained}\n{said}"));
        serde_json::from_str(found).unwrap_or_else(|error| panic!("{error}: {found}"))
    }
}

/// A page around the page. What the script returns is put into its title, between marks, as JSON with escapes for what
/// HTML would escape; the words around the marks are put together only when it runs.
fn framed(page: &str, wide: u32, script: &str) -> String {
    let source = page.replace('&', "&amp;").replace('"', "&quot;");
    let (head, tail) = MARK.split_at(5);
    format!(
        r#"<!DOCTYPE html>
<meta charset="utf-8">
<title></title>
<script>
function look(window) {{ const document = window.document; {script} }}
addEventListener('load', () => {{
    let found;
    try {{ found = look(document.querySelector('iframe').contentWindow); }} catch (error) {{ found = String(error); }}
    const escape = c => '\\u' + c.charCodeAt(0).toString(16).padStart(4, '0');
    const mark = '{head}' + '{tail}';
    document.title = mark + JSON.stringify(found).replace(/[<>&\u00a0]/g, escape) + mark;
    document.querySelector('iframe').remove();
}});
</script>
<iframe style="width:{wide}px;height:800px;border:0" srcdoc="{source}"></iframe>
"#
    )
}
