//! Numbers in files: `track_file`.

use std::path::PathBuf;

/// A `track_file`.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct TrackFile {
    pub name: String,
    pub file: NumberFile,
    /// What its own weight and `reverse` make of the number; lines that follow it may have others.
    pub multiplier: Multiplier,
}

/// A file with a number in it.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct NumberFile {
    pub path: PathBuf,
    pub init: Option<InitFile>,
}

/// `init_file`: the file is made when there is none.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct InitFile {
    pub value: i32,
    /// At the start of the agent the number is written even if there is a file.
    pub overwrite: bool,
}

/// A weight and its direction.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Multiplier {
    pub weight: i32,
    pub reverse: bool,
}

/// A product at or below it puts an instance into FAULT.
const FAULT_AT: i64 = -254;
/// The most a file adds to a priority.
const ADDS_MAX: i64 = 253;
/// A product at or below it takes a real server down.
const DOWN_AT: i64 = -2_147_483_648;

impl Multiplier {
    /// What a number adds to the priority of an instance, at most 253; `None`: a fault (as keepalived).
    ///
    /// Weight 0: any number but 0 is a fault; in reverse, 0 is.
    pub fn priority(self, number: i32) -> Option<i32> {
        self.apply(number, FAULT_AT, ADDS_MAX)
    }

    /// What a number adds to the weight of a real server; `None`: the server is down (as keepalived).
    pub fn weight_of_server(self, number: i32) -> Option<i32> {
        self.apply(number, DOWN_AT, i64::from(i32::MAX))
    }

    fn apply(self, number: i32, fault_at: i64, most: i64) -> Option<i32> {
        if self.weight == 0 {
            return ((number != 0) == self.reverse).then_some(0);
        }
        let product = i64::from(number) * i64::from(self.weight);
        let product = if self.reverse { -product } else { product };
        (product > fault_at).then(|| i32::try_from(product.min(most)).unwrap_or(i32::MAX))
    }
}

impl NumberFile {
    /// The number in what was read of the file: C notation at its beginning, 0 where there is none. `None`: it fits no
    /// number here, and the number before stays (as keepalived).
    pub fn number(text: &[u8]) -> Option<i32> {
        let text = text.trim_ascii_start();
        let (negative, digits) = match text.split_first() {
            Some((b'-', rest)) => (true, rest),
            Some((b'+', rest)) => (false, rest),
            Some(_) | None => (false, text),
        };
        let is_hex = |byte: &u8| byte.is_ascii_hexdigit();
        let (base, digits) = match digits {
            [b'0', b'x' | b'X', rest @ ..] if rest.first().is_some_and(is_hex) => (16, rest),
            [b'0', rest @ ..] => (8, rest),
            _ => (10, digits),
        };
        let values = digits.iter().map_while(|byte| char::from(*byte).to_digit(base));
        let mut number: i64 = 0;
        for value in values {
            number = number
                .saturating_mul(i64::from(base))
                .saturating_add(i64::from(value));
        }
        i32::try_from(if negative { -number } else { number }).ok()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_number_is_read_as_c_reads_it_and_anything_else_is_0() {
        let cases: [(&[u8], Option<i32>); 20] = [
            (b"", Some(0)),
            (b"\n", Some(0)),
            (b"5", Some(5)),
            (b"  5\n", Some(5)),
            (b"-50\n", Some(-50)),
            (b"+7", Some(7)),
            (b"0x1f", Some(31)),
            (b"-0X10", Some(-16)),
            (b"010", Some(8)),
            (b"0x", Some(0)),
            (b"08", Some(0)),
            (b"12 monkeys", Some(12)),
            (b"12.9", Some(12)),
            (b"down", Some(0)),
            (b"- 5", Some(0)),
            (b"\xff\xfe", Some(0)),
            (b"2147483647", Some(i32::MAX)),
            (b"-2147483648", Some(i32::MIN)),
            (b"2147483648", None),
            (b"99999999999999999999999999", None),
        ];
        for (text, want) in cases {
            assert_eq!(
                NumberFile::number(text),
                want,
                "{:?}",
                String::from_utf8_lossy(text)
            );
        }
    }

    #[test]
    fn weights_multiply_and_weight_0_knows_only_0_and_anything_else() {
        // weight, reverse, number: added to a priority, to a server's weight
        let cases = [
            (1, false, 5, Some(5), Some(5)),
            (2, false, -50, Some(-100), Some(-100)),
            (2, true, -50, Some(100), Some(100)),
            (1, false, -253, Some(-253), Some(-253)),
            (1, false, -254, None, Some(-254)),
            (1, false, 254, Some(253), Some(254)),
            (254, false, i32::MAX, Some(253), Some(i32::MAX)),
            (254, false, i32::MIN, None, None),
            (1, false, i32::MIN, None, None),
            (0, false, 0, Some(0), Some(0)),
            (0, false, 1, None, None),
            (0, false, -1, None, None),
            (0, true, 0, None, None),
            (0, true, 3, Some(0), Some(0)),
        ];
        for (weight, reverse, number, priority, server) in cases {
            let it = Multiplier { weight, reverse };
            let got = (it.priority(number), it.weight_of_server(number));
            assert_eq!(got, (priority, server), "{it:?} {number}");
        }
    }
}
