//! `loadline legacy`: the model of the legacy service as a process. Reads orders from stdin, one a line, and writes
//! reports to stdout, one JSON object a line, the last when it stops. The end of stdin stops it.
//!
//! Both streams have threads of their own, so that neither a reader that has stopped reading nor an open stdin can
//! keep the model from ending.

use std::{
    io::{self, BufRead, BufReader, Write},
    thread,
    time::Duration,
};

use anyhow::Context;
use tokio::{
    sync::{mpsc, oneshot},
    time::timeout,
};

use crate::cli::{Exit, LegacyArgs};
use crate::commands::{Answer, runtime};
use lab::legacy::{self, LegacyConfig, LegacyConfigFault, Order, OrderFault, Progress};
use service::{config::LogFormat, logging};

/// How long writing the last report may take.
const LAST_WORD: Duration = Duration::from_secs(1);

pub(super) fn legacy(args: &LegacyArgs, answer: Answer) -> anyhow::Result<Exit> {
    // The service logged every failure; at its failure rate that would be the model's main work.
    logging::init(LogFormat::Text, if answer.quiet { "error" } else { "warn" })?;
    let config = match LegacyConfig::load(&args.config) {
        Ok(config) => config,
        Err(fault) => return refuse(&fault),
    };
    serve(&config, args.every, BufReader::new(io::stdin()), io::stdout())?;
    Ok(Exit::Done)
}

fn refuse(fault: &LegacyConfigFault) -> anyhow::Result<Exit> {
    writeln!(io::stderr().lock(), "loadline: {fault}")?;
    Ok(Exit::Usage)
}

/// Runs the model between two streams.
fn serve(
    config: &LegacyConfig,
    every: Duration,
    input: impl BufRead + Send + 'static,
    output: impl Write + Send + 'static,
) -> anyhow::Result<()> {
    let (give, orders) = mpsc::channel(1);
    let (reports, take) = mpsc::channel(1);
    let (written, done) = oneshot::channel();
    let reading =
        thread::Builder::new().name("orders".to_owned()).spawn(move || read_orders(input, &give))?;
    thread::Builder::new().name("reports".to_owned()).spawn(move || {
        // Not waited for if the model has given up on its reader.
        let _late = written.send(write_reports(take, output));
    })?;
    runtime()?.block_on(async {
        let last = legacy::run(config, every, orders, reports.clone()).await?;
        let said = timeout(LAST_WORD, async {
            // A closed reader may end a run; any other error is reported.
            let _gone = reports.send(last).await;
            drop(reports);
            done.await
        });
        match said.await {
            Ok(Ok(Err(error))) if error.kind() != io::ErrorKind::BrokenPipe => {
                Err(error).context("the reports cannot be written")
            }
            Ok(_) | Err(_) => Ok(()),
        }
    })?;
    // If it is still reading, there was no error; it ends with the process.
    if reading.is_finished()
        && let Ok(read) = reading.join()
    {
        read?;
    }
    Ok(())
}

/// Why reading orders ended.
#[derive(Debug, thiserror::Error)]
enum OrdersFault {
    #[error(transparent)]
    Order(#[from] OrderFault),
    #[error("orders cannot be read: {0}; give them on stdin, one a line")]
    Input(#[from] io::Error),
}

/// Forwards orders until stdin ends or one cannot be parsed, which stops the model.
fn read_orders(input: impl BufRead, give: &mpsc::Sender<Order>) -> Result<(), OrdersFault> {
    for line in input.lines() {
        if give.blocking_send(line?.parse()?).is_err() {
            break;
        }
    }
    Ok(())
}

fn write_reports(mut take: mpsc::Receiver<Progress>, mut output: impl Write) -> io::Result<()> {
    while let Some(progress) = take.blocking_recv() {
        writeln!(output, "{}", serde_json::to_string(&progress)?)?;
        output.flush()?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A model with a log of two records that nobody wants, at the other end of two pipes.
    fn start() -> (io::PipeWriter, BufReader<io::PipeReader>, thread::JoinHandle<anyhow::Result<()>>) {
        let ((orders, give), (take, reports)) = (io::pipe().unwrap(), io::pipe().unwrap());
        let model = thread::spawn(move || {
            let dir = tempfile::tempdir().unwrap();
            let path = dir.path().join("legacy.toml");
            std::fs::write(dir.path().join("log.ndjson"), "{}\n{}\n").unwrap();
            std::fs::write(&path, "log = \"log.ndjson\"\ncommit_interval = \"1ms\"\nsession = \"1h\"\n")
                .unwrap();
            let config = LegacyConfig::load(&path).unwrap();
            serve(&config, Duration::from_millis(1), BufReader::new(orders), reports)
        });
        (give, BufReader::new(take), model)
    }

    fn reports(take: impl BufRead) -> impl Iterator<Item = Progress> {
        take.lines().map(|line| serde_json::from_str(&line.unwrap()).unwrap())
    }

    #[test]
    fn orders_are_carried_out_and_the_last_report_comes_after_stop() {
        let (mut give, take, model) = start();
        let mut reports = reports(take);
        reports.find(|progress| progress.read == 2 && progress.is_idle()).unwrap();
        writeln!(give, "scale 5").unwrap();
        let scaling = reports.find(|progress| progress.rebalancing).unwrap();
        assert_eq!((scaling.consumers, scaling.settled), (5, 2));
        writeln!(give, "stop").unwrap();
        assert_eq!(reports.last().unwrap().settled, 2);
        model.join().unwrap().unwrap();
    }

    #[test]
    fn the_end_of_the_orders_stops_it_and_a_line_that_is_none_fails_it() {
        let (give, take, model) = start();
        drop(give);
        assert!(reports(take).count() > 0);
        model.join().unwrap().unwrap();

        let (mut give, _take, model) = start();
        writeln!(give, "halt").unwrap();
        assert!(model.join().unwrap().unwrap_err().to_string().starts_with("\"halt\" is no order"));
    }

    #[test]
    fn a_reader_that_has_gone_or_never_reads_does_not_keep_it() {
        let (_give, take, model) = start();
        drop(take);
        model.join().unwrap().unwrap();

        let (give, _take, model) = start();
        drop(give);
        model.join().unwrap().unwrap();
    }
}
