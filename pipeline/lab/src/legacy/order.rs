//! The orders the model is given while it runs, one a line.

use std::str::FromStr;

use super::MEMBERS_MAX;

/// An order to the running model.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Order {
    /// Rebalance to so many consumers, 1 to [`MEMBERS_MAX`]: `scale 12`.
    Scale(u32),
    /// End: `stop`.
    Stop,
}

/// A line that is no order.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{line:?} is no order: give \"scale N\" with 1 to {MEMBERS_MAX}, or \"stop\"")]
pub struct OrderFault {
    /// The beginning of the line.
    line: String,
}

impl FromStr for Order {
    type Err = OrderFault;

    fn from_str(line: &str) -> Result<Self, OrderFault> {
        let mut words = line.split_whitespace();
        let order = match (words.next(), words.next(), words.next()) {
            (Some("stop"), None, None) => Some(Self::Stop),
            (Some("scale"), Some(consumers), None) => consumers
                .parse()
                .ok()
                .filter(|consumers| (1..=MEMBERS_MAX).contains(consumers))
                .map(Self::Scale),
            _ => None,
        };
        order.ok_or_else(|| OrderFault { line: line.chars().take(40).collect() })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_order_is_understood_and_anything_else_is_refused() {
        assert_eq!("scale 12".parse(), Ok(Order::Scale(12)));
        assert_eq!(" stop\r\n".parse(), Ok(Order::Stop));
        for line in ["", "scale", "scale 0", "scale 1001", "scale -1", "scale 3 4", "stop now", "halt"] {
            assert!(line.parse::<Order>().is_err(), "{line}");
        }
        let told = "halt".parse::<Order>().unwrap_err().to_string();
        assert_eq!(told, "\"halt\" is no order: give \"scale N\" with 1 to 1000, or \"stop\"");
    }
}
