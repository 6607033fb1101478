//! What the room is told and what it answers with.

use super::datagram::Advert;
use crate::model::{NotifyState, NotifyWho};
use crate::wire::LinkIndex;
use lb_shared::event::What;
use lb_shared::names::{GroupName, InstanceName};
use lb_shared::state::Term;
use std::collections::BTreeSet;
use std::net::IpAddr;

/// What an instance stands on: its own link and address, as far as they are there.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct Ground {
    /// The link of its `interface`; `None` while it does not exist, and for a unicast instance without one.
    pub link: Option<LinkIndex>,
    /// The link its adverts leave by, if it is another one.
    pub sends_by: Option<LinkIndex>,
    /// The VRF that packets for it come by.
    pub vrf: Option<LinkIndex>,
    /// The MTU of `link`.
    pub mtu: Option<u32>,
    /// The source of its adverts: the primary address, link-local for IPv6.
    pub source: Option<IpAddr>,
    /// Addresses of this host: adverts from them are our own.
    pub own_addresses: Vec<IpAddr>,
    /// Why it cannot take part: `interface eth0 is down`.
    pub faults: BTreeSet<String>,
}

/// What the trackers make of an instance, group trackers included.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct Terms {
    pub terms: Vec<Term>,
    /// A tracker has no first result yet: an instance that has not started waits for it.
    pub waiting: bool,
    /// Failed trackers of weight 0: `script chk_haproxy failed`.
    pub faults: Vec<String>,
}

/// One thing that follows from an input.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Effect {
    /// Put an advert on the wire.
    Send { instance: InstanceName, advert: Advert },
    /// Its view is another one now.
    Changed {
        instance: InstanceName,
        what: What,
        text: String,
        why: Option<String>,
    },
    /// The group's view is another one now, or gone if the group was removed.
    GroupChanged { group: GroupName, text: String },
    /// The instance is gone.
    Removed { instance: InstanceName },
    /// Announce every address this many times, now.
    Announce { instance: InstanceName, rounds: u32 },
    /// Announce one address on each interface elsewhere, now.
    AnnounceElsewhere { instance: InstanceName, all: bool },
    /// Announce the source of its adverts, now.
    AnnounceSource { instance: InstanceName },
    /// A state was entered: scripts, FIFOs, mail.
    Notify {
        who: NotifyWho,
        state: NotifyState,
        priority: u8,
    },
    /// The effective priority changed and `notify_priority_changes` is set.
    PriorityNotify {
        instance: InstanceName,
        state: NotifyState,
        priority: u8,
    },
    /// A master heard a lower one and stays; `priority` is ours.
    MasterRxLowerPriority { instance: InstanceName, priority: u8 },
}
