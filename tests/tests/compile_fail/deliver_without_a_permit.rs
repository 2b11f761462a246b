//! A delivery that has not waited for its broker's quota.

use stages::{Deliver, HttpClients, Stage, models::Fresh};
use state::Clock;

pub async fn post(clients: HttpClients, fresh: Fresh) {
    let deliver = Deliver::new(clients, Clock::System, 65_536);
    let _attempt = deliver.run(fresh).await;
}

fn main() {}
