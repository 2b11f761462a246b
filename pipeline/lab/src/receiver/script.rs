//! How a receiver's behaviour changes over time: a script of phases, and the task that plays it.

use std::time::Duration;

use tokio::time;

use super::{Behaviour, BehaviourError, Control};

/// A behaviour for a while.
#[derive(Clone, Debug, PartialEq)]
pub struct Phase {
    /// How the receiver behaves.
    pub behaviour: Behaviour,
    /// For how long; of no account in the last phase of a script that does not repeat.
    pub lasts: Duration,
}

/// Behaviours in turn.
#[derive(Clone, Debug, PartialEq)]
pub struct Script {
    /// The phases, in order. The first is the receiver's behaviour at the start.
    pub first: Phase,
    /// Those that follow.
    pub then: Vec<Phase>,
    /// Whether to begin again after the last; otherwise the last stays for good.
    pub repeats: bool,
}

impl Script {
    /// The same behaviour throughout.
    #[must_use]
    pub fn always(behaviour: Behaviour) -> Self {
        Self { first: Phase { behaviour, lasts: Duration::MAX }, then: Vec::new(), repeats: false }
    }

    /// All phases, in order.
    pub fn phases(&self) -> impl Iterator<Item = &Phase> {
        std::iter::once(&self.first).chain(&self.then)
    }
}

/// Steers a receiver by a script, until the script has come to its last phase; drop the future to stop earlier.
///
/// # Errors
/// A phase has a behaviour that cannot be had.
pub async fn play(script: &Script, control: &Control) -> Result<(), BehaviourError> {
    loop {
        for (nth, phase) in script.phases().enumerate() {
            control.set(phase.behaviour.clone())?;
            let last = nth == script.then.len();
            if last && !script.repeats {
                return Ok(());
            }
            time::sleep(phase.lasts).await;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::{Keys, Receiver};
    use super::*;

    fn fails(fail_rate: f64, secs: u64) -> Phase {
        let behaviour = Behaviour { fail_rate, ..Behaviour::default() };
        Phase { behaviour, lasts: Duration::from_secs(secs) }
    }

    fn control() -> Control {
        let addr = std::net::SocketAddr::from(([127, 0, 0, 1], 0));
        Receiver::bind(addr, Behaviour::default(), Keys::unchecked()).unwrap().control()
    }

    #[tokio::test(start_paused = true)]
    async fn phases_follow_one_another_and_the_last_stays() {
        let script =
            Script { first: fails(1.0, 4), then: vec![fails(0.5, 1), fails(0.0, 0)], repeats: false };
        let control = control();
        let (end, mut rates) = (play(&script, &control), Vec::new());
        tokio::pin!(end);
        for _ in 0..6 {
            let ended = time::timeout(Duration::from_millis(1_001), &mut end).await.is_ok();
            rates.push(control.behaviour().fail_rate);
            if ended {
                break;
            }
        }
        assert_eq!(rates, [1.0, 1.0, 1.0, 0.5, 0.0]);
    }

    #[tokio::test(start_paused = true)]
    async fn a_repeating_script_begins_again_and_never_ends() {
        let script = Script { first: fails(0.0, 2), then: vec![fails(1.0, 1)], repeats: true };
        let control = control();
        let (end, mut rates) = (play(&script, &control), Vec::new());
        tokio::pin!(end);
        for _ in 0..6 {
            assert!(time::timeout(Duration::from_millis(1_000), &mut end).await.is_err());
            rates.push(control.behaviour().fail_rate);
        }
        assert_eq!(rates, [0.0, 1.0, 0.0, 0.0, 1.0, 0.0]);
    }
}
