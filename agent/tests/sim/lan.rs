//! The LANs: who hears what, how late, how often, and with which bits.

use crate::faults::{Fault, Kind};
use crate::random::Random;

/// A packet on an undisturbed link takes this long at most.
pub(crate) const DELAY_US: u64 = 300;

/// A directed link between two nodes.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub(crate) struct Quality {
    pub(crate) cut: bool,
    pub(crate) drop_permille: u64,
    pub(crate) delay_us: u64,
    pub(crate) duplicate_permille: u64,
    pub(crate) corrupt_permille: u64,
    pub(crate) corrupt_bits: u64,
}

impl Quality {
    /// Every packet arrives, as it was sent, in time.
    pub(crate) fn is_clean(&self) -> bool {
        !self.cut && self.drop_permille == 0 && self.corrupt_permille == 0 && self.delay_us == 0
    }
}

/// All directed links.
#[derive(Clone, Debug)]
pub(crate) struct Lan {
    nodes: usize,
    links: Vec<Quality>,
}

impl Lan {
    pub(crate) fn new(nodes: usize) -> Self {
        Self {
            nodes,
            links: vec![Quality::default(); nodes * nodes],
        }
    }

    pub(crate) fn link(&self, from: usize, to: usize) -> &Quality {
        &self.links[from * self.nodes + to]
    }

    /// What the faults in force make of the links.
    pub(crate) fn disturb<'a>(&mut self, faults: impl Iterator<Item = &'a Fault>) {
        self.links.fill(Quality::default());
        for fault in faults {
            match fault.kind {
                Kind::Drop { from, to, permille } => {
                    let link = self.at(from, to);
                    link.drop_permille = link.drop_permille.max(permille);
                }
                Kind::Delay { from, to, most_us } => {
                    let link = self.at(from, to);
                    link.delay_us = link.delay_us.max(most_us);
                }
                Kind::Duplicate { from, to, permille } => self.at(from, to).duplicate_permille = permille,
                Kind::Corrupt {
                    from,
                    to,
                    permille,
                    bits,
                } => {
                    let link = self.at(from, to);
                    (link.corrupt_permille, link.corrupt_bits) = (permille, bits);
                }
                Kind::Cut { from, to } => self.at(from, to).cut = true,
                Kind::Split { mask } => {
                    for from in 0..self.nodes {
                        for to in 0..self.nodes {
                            if (mask >> from) & 1 != (mask >> to) & 1 {
                                self.at(from, to).cut = true;
                            }
                        }
                    }
                }
                _ => {}
            }
        }
    }

    fn at(&mut self, from: usize, to: usize) -> &mut Quality {
        &mut self.links[from * self.nodes + to]
    }

    /// The delays at which a packet's copies arrive.
    pub(crate) fn carry(&self, from: usize, to: usize, random: &mut Random) -> [Option<u64>; 2] {
        let link = self.link(from, to);
        // A delay of its own for each pair keeps the order of packets on an undisturbed link.
        let own = 50 + (from * 41 + to * 67) as u64 % (DELAY_US - 50);
        if link.is_clean() && link.duplicate_permille == 0 {
            return [Some(own), None];
        }
        if link.cut || random.chance(link.drop_permille) {
            return [None, None];
        }
        let mut late = || {
            if link.delay_us > 0 {
                own + random.below(link.delay_us)
            } else {
                own
            }
        };
        let first = late();
        let second = late();
        [
            Some(first),
            random.chance(link.duplicate_permille).then_some(second),
        ]
    }

    /// Flips bits of a packet if the link does that now. True if it did.
    pub(crate) fn corrupt(&self, from: usize, to: usize, payload: &mut Vec<u8>, random: &mut Random) -> bool {
        let link = self.link(from, to);
        if link.corrupt_permille == 0 || !random.chance(link.corrupt_permille) || payload.is_empty() {
            return false;
        }
        match random.below(8) {
            0 => payload.truncate(random.index(payload.len())),
            1 => payload.extend((0..random.between(1, 40)).map(|_| 0)),
            _ => {
                for _ in 0..link.corrupt_bits {
                    let at = random.index(payload.len());
                    payload[at] ^= 1 << random.below(8);
                }
            }
        }
        true
    }
}
