//! `loadline receive`: a small receiver for trying things out.

use std::{io, time::Duration};

use anyhow::Context;

use crate::cli::{Exit, ReceiveArgs, SecretArg};
use crate::commands::{Answer, runtime};
use lab::receiver::{self, Behaviour, Limits, Options, Style};

pub(super) fn receive(args: &ReceiveArgs, answer: Answer) -> anyhow::Result<Exit> {
    let secret = |secret: &SecretArg| -> anyhow::Result<String> {
        let reference = secret.reference().map_err(|fault| anyhow::anyhow!("--secret {fault}"))?;
        Ok(reference.resolve()?.expose().to_owned())
    };
    let secrets = args.secrets.iter().map(secret).collect::<anyhow::Result<_>>()?;
    let behaviour = Behaviour {
        latency: args.latency,
        status: args.status,
        fail_rate: args.fail_rate,
        throttle_rate: args.throttle_rate,
        retry_after: args.retry_after.unwrap_or(Duration::from_secs(1)),
        ..Behaviour::default()
    };
    let options = Options {
        listen: args.listen,
        secrets,
        behaviour,
        limits: Limits::default(),
        seed: 0,
        run_for: args.run_for,
        style: if answer.quiet && !answer.json { Style::Brief } else { Style::for_stdout(answer.json) },
    };
    let interrupted = async {
        if tokio::signal::ctrl_c().await.is_err() {
            std::future::pending::<()>().await;
        }
    };
    let received = runtime()?.block_on(receiver::run(options, io::stdout(), interrupted));
    received.context("the receiver failed")?;
    Ok(Exit::Done)
}
