//! Opens the source that the config names and runs the line over it. Each kind of source has one function; the larger
//! ones have a file of their own.

mod fluvio;
mod http;
mod kafka;

use std::path::PathBuf;

use super::{
    fault::RunFault,
    line_run::{LineRun, OpenSource},
    view::View,
};
use crate::config::{SourceConfig, SourceKind};
use line::{LineReport, fixed};
use sources::{FileMemory, FileOptions, FileSource, ReadLimits, StdinSource};

impl LineRun<'_> {
    /// Opens the source and runs the line over it until it ends or the run is stopped.
    pub(super) async fn open_and_run(self, started: impl FnOnce(View)) -> Result<LineReport, RunFault> {
        let SourceConfig { kind, record_max } = &self.config.source;
        let limits = ReadLimits { record_bytes_max: *record_max, ..ReadLimits::default() };
        match kind {
            SourceKind::File { path, follow, poll, rotated, on_unknown } => {
                let (rotated, on_unknown) = (rotated.clone(), *on_unknown);
                let options =
                    FileOptions { limits, poll: *poll, rotated, on_unknown, ..FileOptions::default() };
                self.over_file(path, *follow, options, started).await
            }
            SourceKind::Stdin => self.over_stdin(limits, started).await,
            SourceKind::Http(http) => self.over_http(http, started).await,
            SourceKind::Fluvio(fluvio) => self.over_fluvio(fluvio, started).await,
            SourceKind::Kafka(kafka) => self.over_kafka(kafka, started).await,
        }
    }

    async fn over_file(
        self,
        path: &PathBuf,
        follow: bool,
        options: FileOptions,
        started: impl FnOnce(View),
    ) -> Result<LineReport, RunFault> {
        let name = FileSource::name_of(path);
        let memory = FileMemory::of(&self.parts.ledger, &name)?;
        let resumed_at = memory.checkpoint.as_ref().map(|checkpoint| checkpoint.offset);
        let source = FileSource::open(path, follow, memory, options, self.parts.clock.clone()).await?;
        let file = Some(source.counts());
        self.over(
            OpenSource { resumed_at, file, ..OpenSource::new(fixed([source.into_partition()])) },
            started,
        )
        .await
    }

    async fn over_stdin(
        self,
        limits: ReadLimits,
        started: impl FnOnce(View),
    ) -> Result<LineReport, RunFault> {
        let clock = self.parts.clock.clone();
        let source = StdinSource::new(tokio::io::stdin(), clock.now(), limits, clock);
        self.over(OpenSource::new(fixed([source.into_partition()])), started).await
    }
}
