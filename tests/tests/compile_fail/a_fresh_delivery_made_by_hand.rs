//! A delivery that calls itself fresh.

use stages::models::{Delivery, Fresh, Permitted};

pub fn fresh(delivery: Delivery) -> Fresh {
    Fresh::new(delivery)
}

pub fn permitted(fresh: Fresh) -> Permitted {
    fresh.permit()
}

fn main() {}
