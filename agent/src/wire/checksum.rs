//! The Internet checksum (RFC 1071) and the pseudo-headers that go into it.

use std::net::IpAddr;

/// A one's complement sum of 16-bit words that is still growing.
///
/// Pieces must have an even length, except the last one.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct Sum(u64);

impl Sum {
    /// Adds bytes; an odd last byte counts as the high half of a word.
    pub fn bytes(mut self, bytes: &[u8]) -> Self {
        let mut words = bytes.chunks_exact(2);
        for word in &mut words {
            self.0 += u64::from(u16::from_be_bytes([word[0], word[1]]));
        }
        if let [last] = words.remainder() {
            self.0 += u64::from(*last) << 8;
        }
        self
    }

    /// Adds a number of up to 32 bits as two words.
    pub fn number(mut self, number: u32) -> Self {
        self.0 += u64::from(number >> 16) + u64::from(number & 0xffff);
        self
    }

    /// Adds an address.
    pub fn address(self, address: IpAddr) -> Self {
        match address {
            IpAddr::V4(v4) => self.bytes(&v4.octets()),
            IpAddr::V6(v6) => self.bytes(&v6.octets()),
        }
    }

    /// The checksum field that makes the whole sum come out as zero.
    pub fn checksum(self) -> u16 {
        let mut sum = self.0;
        while sum >> 16 != 0 {
            sum = (sum & 0xffff) + (sum >> 16);
        }
        !u16::try_from(sum).expect("folded to 16 bits")
    }

    /// Whether the sum, taken over a message with its checksum field, is right.
    pub fn is_right(self) -> bool {
        self.checksum() == 0
    }
}

/// The checksum of a message on its own.
pub fn internet(bytes: &[u8]) -> u16 {
    Sum::default().bytes(bytes).checksum()
}

/// The pseudo-header of RFC 793 (IPv4) or RFC 8200 §8.1 (IPv6).
///
/// The two differ in layout, but their words add up to the same sum.
pub fn pseudo_header(source: IpAddr, destination: IpAddr, protocol: u8, length: usize) -> Sum {
    Sum::default()
        .address(source)
        .address(destination)
        .number(u32::from(protocol))
        .number(u32::try_from(length).unwrap_or(u32::MAX))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_example_of_rfc_1071_comes_out() {
        let bytes = [0x00, 0x01, 0xf2, 0x03, 0xf4, 0xf5, 0xf6, 0xf7];
        assert_eq!(internet(&bytes), !0xddf2);
    }

    #[test]
    fn an_odd_last_byte_is_padded_with_zero() {
        assert_eq!(internet(&[1, 2, 3]), internet(&[1, 2, 3, 0]));
    }

    #[test]
    fn a_header_with_its_checksum_is_right_and_any_flipped_bit_makes_it_wrong() {
        let header = [
            0x45, 0xc0, 0x00, 0x28, 0x00, 0x01, 0x00, 0x00, 0xff, 0x70, 0xd0, 0x8c, 0x0a, 0x05, 0x00, 0x01,
            0xe0, 0x00, 0x00, 0x12,
        ];
        assert!(Sum::default().bytes(&header).is_right());
        for bit in 0..header.len() * 8 {
            let mut flipped = header;
            flipped[bit / 8] ^= 1 << (bit % 8);
            assert!(!Sum::default().bytes(&flipped).is_right(), "bit {bit}");
        }
    }
}
