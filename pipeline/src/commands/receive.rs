//! `loadline receive`: a small TMS to try things out with.

use std::{io, time::Duration};

use anyhow::Context;

use super::{Answer, runtime};
use crate::{
    cli::{Exit, ReceiveArgs},
    receive::{self, Behaviour, Limits, Options, Style},
};

pub(super) fn receive(args: &ReceiveArgs, answer: Answer) -> anyhow::Result<Exit> {
    let secrets = match &args.secret {
        None => Vec::new(),
        Some(secret) => {
            let reference = secret.reference().map_err(|fault| anyhow::anyhow!("--secret {fault}"))?;
            vec![reference.resolve()?.expose().to_owned()]
        }
    };
    let behaviour = Behaviour {
        latency: args.latency,
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
        style: Style::for_stdout(answer.json),
    };
    let interrupted = async {
        if tokio::signal::ctrl_c().await.is_err() {
            std::future::pending::<()>().await;
        }
    };
    let received = runtime()?.block_on(receive::run(options, io::stdout(), interrupted));
    received.context("the receiver failed")?;
    Ok(Exit::Done)
}
