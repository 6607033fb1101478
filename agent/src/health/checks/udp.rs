//! `UDP_CHECK`: what is sent, and whether what comes back is good.

use crate::model::{UdpCheck, UdpReply};

/// What is wrong with a reply; `None` when it is good.
pub fn reply_trouble(wanted: &UdpReply, got: &[u8]) -> Option<String> {
    let UdpReply {
        pattern,
        length_min,
        length_max,
    } = wanted;
    if !(*length_min..=*length_max).contains(&got.len()) {
        return Some(format!(
            "the reply has {} bytes, want {length_min} to {length_max}",
            got.len()
        ));
    }
    let fits = pattern.len() <= got.len()
        && pattern
            .iter()
            .zip(got)
            .all(|((value, mask), byte)| byte & mask == value & mask);
    (!fits).then(|| "the reply is not the one that is required".to_owned())
}

/// Room for the longest reply that could be good, and one byte more.
pub fn reply_room(check: &UdpCheck) -> usize {
    check.reply.as_ref().map_or(1, |it| it.length_max + 1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_reply_is_measured_and_compared_where_it_counts() {
        let wanted = UdpReply {
            pattern: vec![(0xab, 0xff), (0x0c, 0x0f)],
            length_min: 2,
            length_max: 4,
        };
        for (got, good) in [
            (&[0xab, 0x0c][..], true),
            (&[0xab, 0xfc, 1, 2], true),
            (&[0xab, 0x0d], false),
            (&[0xaa, 0x0c], false),
            (&[0xab], false),
            (&[0xab, 0x0c, 1, 2, 3], false),
        ] {
            assert_eq!(reply_trouble(&wanted, got).is_none(), good, "{got:?}");
        }
    }

    #[test]
    fn a_pattern_longer_than_the_reply_does_not_fit() {
        let wanted = UdpReply {
            pattern: vec![(1, 0xff); 3],
            length_min: 0,
            length_max: 255,
        };
        assert!(reply_trouble(&wanted, &[1, 1]).is_some());
    }
}
