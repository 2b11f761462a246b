//! `loadline dead export`: dead letters leave whole, one JSON object a line, on stdout or in a new file that only its
//! owner may read. Nothing of a letter is left out, so that it may be purged afterwards.

use std::{
    fs::{self, File, OpenOptions},
    io::{self, BufWriter, Write},
    os::unix::fs::OpenOptionsExt,
    path::Path,
};

use anyhow::Context;
use serde_json::json;
use state::Clock;

use super::{super::Answer, ends, reach::Reach};
use crate::{
    cli::{DeadExportArgs, Exit},
    config::Place,
    dead::{Selection, counted, moment},
};

pub(super) async fn export(place: &Place, args: &DeadExportArgs, answer: Answer) -> anyhow::Result<Exit> {
    let now = Clock::System.now();
    let mut selection = args.select.selection(now);
    // A fixed end: a purge with it removes what was exported and nothing that came later.
    let until = selection.until.map_or(now, |until| until.min(now));
    selection.until = Some(until);
    let reach = Reach::find(place, false).await?;
    let Some(path) = &args.to else {
        let mut out = io::stdout().lock();
        let count = write(&reach, &selection, &mut out).await?;
        reach.say(&format!("{} from before {}", counted(count), moment::text(until)), answer)?;
        return ends(count, &selection, place);
    };
    let file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(path);
    let file = file.with_context(|| {
        format!("{} cannot be made; give the name of a new file in a directory that is there", path.display())
    })?;
    let written = write_file(&reach, &selection, file, path).await;
    let count = match written {
        Ok(count) => count,
        Err(error) => {
            // Half an export looks like a whole one.
            let _left = fs::remove_file(path).is_err();
            return Err(error.context(format!("{} is not written", path.display())));
        }
    };
    let mut out = io::stdout().lock();
    let until = moment::text(until);
    if answer.json {
        let told = json!({ "answeredBy": reach.by(), "letters": count, "to": path, "until": until });
        writeln!(out, "{told}")?;
    } else if !answer.quiet {
        let is = if count == 1 { "is" } else { "are" };
        writeln!(out, "{} {is} in {} ({})", counted(count), path.display(), reach.place())?;
        writeln!(
            out,
            "to remove these and none that came later, purge with the same conditions and --until {until}"
        )?;
    }
    ends(count, &selection, place)
}

async fn write_file(reach: &Reach, selection: &Selection, file: File, path: &Path) -> anyhow::Result<u64> {
    let mut out = BufWriter::new(file);
    let count = write(reach, selection, &mut out).await?;
    out.into_inner().map_err(io::IntoInnerError::into_error)?.sync_all()?;
    // The name has to outlive a loss of power too.
    let directory = path.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."));
    File::open(directory)?.sync_all()?;
    Ok(count)
}

async fn write(reach: &Reach, selection: &Selection, out: &mut impl Write) -> anyhow::Result<u64> {
    let (mut count, mut after) = (0, None);
    loop {
        let (letters, next) = reach.letters(selection, after.as_ref(), usize::MAX).await?;
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
