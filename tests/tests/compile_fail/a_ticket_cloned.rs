//! A ticket settled twice.

use line::Ticket;
use state::Recorded;

pub fn settle(ticket: Ticket, one: Recorded, other: Recorded) {
    ticket.clone().settle(one);
    ticket.settle(other);
}

fn main() {}
