//! Two attempts for one permit.

use stages::{Deliver, Stage, models::Permitted};

pub async fn post(deliver: Deliver, permitted: Permitted) {
    let _first = deliver.run(permitted).await;
    let _second = deliver.run(permitted).await;
}

fn main() {}
