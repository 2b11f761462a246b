//! Ends a simulation that takes no further step: something in it turns in circles and lets no simulated time pass.

use std::{
    sync::mpsc::{RecvTimeoutError, SyncSender, sync_channel},
    thread,
    time::Duration,
};

use crate::{violation::Promise, world::World};

/// Looks in a row without a new step between them that end a simulation: a minute, of which a simulation takes milliseconds.
const LOOKS: u32 = 60;

/// A thread that looks on; dropped, it ends.
pub(crate) struct Watch {
    _ends: SyncSender<()>,
}

impl Watch {
    pub(crate) fn start(world: World) -> Self {
        let (ends, ended) = sync_channel(0);
        thread::spawn(move || {
            let (mut last, mut looks) = (0, 0);
            while ended.recv_timeout(Duration::from_secs(1)) == Err(RecvTimeoutError::Timeout) {
                let steps = world.state().trace.count();
                looks = if steps == last { looks + 1 } else { 0 };
                last = steps;
                if looks >= LOOKS {
                    let detail = "something turns in circles, and no simulated time passes".to_owned();
                    world.check(Err((Promise::GoesOn, detail)));
                    return;
                }
            }
        });
        Self { _ends: ends }
    }
}
