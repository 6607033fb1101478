//! Who is at the other end, and what that allows.

use lb_shared::paths;
use lb_shared::request::Role;
use std::io;
use std::os::fd::{AsFd as _, BorrowedFd};
use tokio::net::UnixStream;

/// Reads the supplementary groups of a connected socket's peer (`SO_PEERGROUPS`).
pub type PeerGroups = fn(BorrowedFd<'_>) -> io::Result<Vec<u32>>;

/// Group of the read-only socket.
const GROUP_VIEWER: &str = "lbview";

/// The rules that give a role, with names already turned into numbers: nothing is looked up per connection.
#[derive(Clone, Debug, Default)]
pub(super) struct Roles {
    pub(super) own_uid: u32,
    pub(super) overflow_uid: Option<u32>,
    pub(super) admin_gid: Option<u32>,
    pub(super) operator_gid: Option<u32>,
    pub(super) viewer_gid: Option<u32>,
}

/// A peer as the kernel described it when it connected.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(super) struct Peer {
    pub(super) uid: u32,
    pub(super) gid: u32,
    /// For the audit only.
    pub(super) pid: u32,
    pub(super) groups: Vec<u32>,
}

impl Roles {
    /// Looks the groups up, once.
    pub(super) fn resolve() -> Self {
        let gid = |name: &str| {
            nix::unistd::Group::from_name(name)
                .ok()
                .flatten()
                .map(|group| group.gid.as_raw())
        };
        Self {
            own_uid: nix::unistd::geteuid().as_raw(),
            overflow_uid: std::fs::read_to_string("/proc/sys/kernel/overflowuid")
                .ok()
                .and_then(|text| text.trim().parse().ok()),
            admin_gid: gid(paths::GROUP_ADMIN),
            operator_gid: gid(paths::GROUP_OPERATOR),
            viewer_gid: gid(GROUP_VIEWER),
        }
    }

    /// The one role of a peer; `None` for an id that stands for nobody in particular.
    pub(super) fn of(&self, peer: &Peer) -> Option<Role> {
        if peer.uid == 0 || peer.uid == self.own_uid {
            return Some(Role::Admin);
        }
        // Whoever has no id in our user namespace shares this one with everybody else who has none.
        if Some(peer.uid) == self.overflow_uid {
            return None;
        }
        let member = |gid: Option<u32>| gid.is_some_and(|gid| gid == peer.gid || peer.groups.contains(&gid));
        Some(if member(self.admin_gid) {
            Role::Admin
        } else if member(self.operator_gid) {
            Role::Operator
        } else {
            Role::Viewer
        })
    }
}

/// Asks the kernel who connected.
pub(super) fn peer_of(stream: &UnixStream, groups: PeerGroups) -> io::Result<Peer> {
    let cred = stream.peer_cred()?;
    Ok(Peer {
        uid: cred.uid(),
        gid: cred.gid(),
        pid: cred.pid().and_then(|pid| u32::try_from(pid).ok()).unwrap_or(0),
        groups: groups(stream.as_fd())?,
    })
}

/// The name of a user, or the number when it has none. Asks the name service: not for the event loop.
pub(super) fn user_name(uid: u32) -> String {
    nix::unistd::User::from_uid(uid.into())
        .ok()
        .flatten()
        .map_or_else(|| uid.to_string(), |user| user.name)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// F103.
    #[test]
    fn uid_and_groups_give_the_role() {
        let roles = Roles {
            own_uid: 990,
            overflow_uid: Some(65534),
            admin_gid: Some(10),
            operator_gid: Some(20),
            viewer_gid: None,
        };
        let cases: [(u32, u32, &[u32], Option<Role>); 8] = [
            (0, 0, &[], Some(Role::Admin)),
            (990, 5, &[], Some(Role::Admin)),
            (1000, 5, &[7, 10, 20], Some(Role::Admin)),
            (1000, 10, &[], Some(Role::Admin)),
            (1000, 5, &[20], Some(Role::Operator)),
            (1000, 5, &[7], Some(Role::Viewer)),
            (65534, 10, &[10], None),
            (1000, 0, &[0], Some(Role::Viewer)),
        ];
        for (uid, gid, groups, want) in cases {
            let peer = Peer {
                uid,
                gid,
                pid: 1,
                groups: groups.to_vec(),
            };
            assert_eq!(roles.of(&peer), want, "uid {uid} gid {gid} {groups:?}");
        }
    }

    #[test]
    fn a_group_that_does_not_exist_makes_nobody_an_admin() {
        let peer = Peer {
            uid: 1000,
            gid: 0,
            pid: 1,
            groups: vec![0],
        };
        let roles = Roles {
            own_uid: 990,
            ..Roles::default()
        };
        assert_eq!(roles.of(&peer), Some(Role::Viewer));
    }
}
