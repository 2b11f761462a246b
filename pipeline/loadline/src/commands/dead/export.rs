//! `loadline dead export`: writes complete dead letters, one JSON object a line, to stdout or to a new file that only
//! its owner may read. They may be purged afterwards, because nothing is left out.

use std::{
    fs::{self, File, OpenOptions},
    io::{self, BufWriter, Write},
    os::unix::fs::OpenOptionsExt,
    path::Path,
};

use anyhow::Context;
use serde_json::json;
use state::{Clock, timestamp};

use super::{super::Answer, ends, host::Host};
use crate::cli::{DeadExportArgs, Exit};
use service::{
    config::Target,
    dead::{Selection, counted},
};

pub(super) async fn export(target: &Target, args: &DeadExportArgs, answer: Answer) -> anyhow::Result<Exit> {
    let now = Clock::System.now();
    let mut selection = args.select.selection(now);
    // A fixed end, so that a purge with the same bound removes only what was exported.
    let until = selection.until.map_or(now, |until| until.min(now));
    selection.until = Some(until);
    let host = Host::find(target, false).await?;
    let Some(path) = &args.to else {
        let mut out = io::stdout().lock();
        let count = write(&host, &selection, &mut out).await?;
        host.say(&format!("{} from before {}", counted(count), timestamp::text(until)), answer)?;
        return ends(count, &selection, target);
    };
    let file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(path);
    let file = file.with_context(|| {
        format!("{} cannot be made; give the name of a new file in a directory that is there", path.display())
    })?;
    let written = write_file(&host, &selection, file, path).await;
    let count = match written {
        Ok(count) => count,
        Err(error) => {
            // An incomplete export looks like a complete one.
            let _left = fs::remove_file(path).is_err();
            return Err(error.context(format!("{} is not written", path.display())));
        }
    };
    let mut out = io::stdout().lock();
    let until = timestamp::text(until);
    if answer.json {
        let told = json!({ "answeredBy": host.by(), "letters": count, "to": path, "until": until });
        writeln!(out, "{told}")?;
    } else if !answer.quiet {
        let is = if count == 1 { "is" } else { "are" };
        writeln!(out, "{} {is} in {} ({})", counted(count), path.display(), host.place())?;
        writeln!(
            out,
            "to remove these and none that came later, purge with the same conditions and --until {until}"
        )?;
    }
    ends(count, &selection, target)
}

async fn write_file(host: &Host, selection: &Selection, file: File, path: &Path) -> anyhow::Result<u64> {
    let mut out = BufWriter::new(file);
    let count = write(host, selection, &mut out).await?;
    out.into_inner().map_err(io::IntoInnerError::into_error)?.sync_all()?;
    // The name must survive a loss of power, too.
    let directory = path.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."));
    File::open(directory)?.sync_all()?;
    Ok(count)
}

async fn write(host: &Host, selection: &Selection, out: &mut impl Write) -> anyhow::Result<u64> {
    let (mut count, mut after) = (0, None);
    loop {
        let (letters, next) = host.letters(selection, after.as_ref(), usize::MAX).await?;
        for letter in &letters {
            serde_json::to_writer(&mut *out, letter)?;
            out.write_all(b"\n")?;
        }
        count += letters.len() as u64;
        if next.is_none() {
            out.flush()?;
            return Ok(count);
        }
        after = next;
    }
}
