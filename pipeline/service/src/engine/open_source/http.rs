//! The line over the embedded log that producers post to. Posts are answered until the line has ended.

use std::pin::pin;

use state::EmbeddedLog;
use tokio::{sync::oneshot, time::timeout};

use crate::{
    assemble::IntakeStages,
    config::HttpConfig,
    engine::{
        closing::CLOSE_TIMEOUT,
        fault::RunFault,
        line_run::{LineRun, OpenSource},
        view::View,
    },
};
use line::{LineReport, fixed};
use sources::{HttpSource, Listener, StrictCheck, Token};

impl LineRun<'_> {
    pub(super) async fn over_http(
        self,
        http: &HttpConfig,
        started: impl FnOnce(View),
    ) -> Result<LineReport, RunFault> {
        let listener = self.bind(http).await?;
        let intake = EmbeddedLog::new(&self.parts.ledger, http.intake());
        let token = http.token.as_ref().map(|token| Token::new(token.expose()));
        let limits = http.posts(self.config.source.record_max);
        let limits = limits.within(self.parts.connections_max, token.is_some());
        let (line_ended, ended) = oneshot::channel::<()>();
        let source = HttpSource::new(intake.clone(), self.parts.clock.clone());
        let (listening, resumed_at) = (Some(listener.addr()), Some(intake.settled().offset));
        let serving = listener.serve(intake, token, limits, self.stop.clone(), async {
            // Sent or dropped: the line has ended.
            let _dropped = ended.await.is_err();
        });
        let line = async {
            let source =
                OpenSource { resumed_at, listening, ..OpenSource::new(fixed([source.into_partition()])) };
            let report = self.over(source, started).await;
            drop(line_ended);
            report
        };
        let (mut line, mut serving) = (pin!(line), pin!(serving));
        let report = tokio::select! {
            report = &mut line => report,
            // Serving goes on until the line has ended.
            () = &mut serving => return line.await,
        };
        if report.is_ok() {
            serving.await;
        } else {
            // Posts that are being committed are waited for; a ledger that does not answer is not.
            let _timed_out = timeout(CLOSE_TIMEOUT, serving).await.is_err();
        }
        report
    }

    async fn bind(&self, http: &HttpConfig) -> Result<Listener, RunFault> {
        let IntakeStages { decode, validate, .. } = &self.parts.front;
        let listener = Listener::bind(http.listen).await?.reading(decode.clone());
        if !http.strict {
            return Ok(listener);
        }
        let check = StrictCheck::new(decode.clone(), validate.clone(), self.parts.clock.clone());
        Ok(listener.strict(check))
    }
}
