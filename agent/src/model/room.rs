//! How many addresses one advert can carry.

use super::vrrp::{Authentication, Instance, VrrpVersion};
use lb_shared::names::Family;

/// The MTU of a link nothing is known about: Ethernet's.
pub const MTU: u32 = 1_500;
/// Addresses an advert can count: its count is one byte.
pub const COUNTED_MAX: usize = 255;
/// keepalived takes the Ethernet header off the MTU too, although the MTU does not cover it. Both nodes of a pair must
/// come to the same list.
const ETHERNET: usize = 14;
const VRRP: usize = 8;
const AUTH_DATA: usize = 8;
/// `auth_type AH`.
const AUTH_HEADER: usize = 24;
/// `auth_hmac`.
const TRAILER: usize = 28;

impl Instance {
    /// How many of its addresses, from the first on, an advert carries over a link of this MTU. An advert is never
    /// fragmented; the rest is held and not advertised, as in keepalived.
    pub fn advert_room(&self, mtu: u32) -> usize {
        let (header, address) = match self.family {
            Family::Inet => (20, 4),
            Family::Inet6 => (40, 16),
        };
        let data = match (self.version, self.family) {
            (VrrpVersion::V2, Family::Inet) => AUTH_DATA,
            (VrrpVersion::V2 | VrrpVersion::V3, Family::Inet | Family::Inet6) => 0,
        };
        let proof = match (&self.authentication, self.family) {
            (Authentication::Header(_), Family::Inet) => AUTH_HEADER,
            (Authentication::Signed(_), Family::Inet | Family::Inet6) => TRAILER,
            (Authentication::None | Authentication::Pass(_) | Authentication::Header(_), _) => 0,
        };
        let mtu = usize::try_from(mtu).unwrap_or(usize::MAX);
        let free = mtu.saturating_sub(ETHERNET + header + VRRP + data + proof);
        // The first one stays: an advert without addresses is refused.
        (free / address).clamp(1, COUNTED_MAX)
    }
}
