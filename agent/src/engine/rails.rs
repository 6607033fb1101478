//! The guard rails by name: the code each refuses with, and what lets a command past it.

use lb_shared::request::{Refusal, RefusalCode};

/// One guard rail.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub enum Rail {
    /// A server with active connections is disabled.
    Connections,
    /// A service would keep no server in rotation.
    LastServer,
    /// A service would fall below its quorum.
    Quorum,
    /// Nobody knows whether the servers that remain work: their checks are too old.
    Stale,
    /// An instance in FAULT is promoted.
    Fault,
    /// An instance is promoted against the owner of its addresses.
    Owner,
    /// An instance is promoted while it is promoted elsewhere.
    PromotedElsewhere,
    /// An instance is promoted that has two masters already.
    TwoMasters,
    /// Addresses would go to nobody.
    NoSuccessor,
    /// A promoted master would give up connections that are copied nowhere.
    Uncopied,
    /// A new configuration lacks an instance that is MASTER.
    MasterGone,
}

/// What lets a command past a rail.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Override {
    Force,
    Cut,
    Nothing,
}

impl Rail {
    /// Each once.
    pub const ALL: [Self; 11] = [
        Self::Connections,
        Self::LastServer,
        Self::Quorum,
        Self::Stale,
        Self::Fault,
        Self::Owner,
        Self::PromotedElsewhere,
        Self::TwoMasters,
        Self::NoSuccessor,
        Self::Uncopied,
        Self::MasterGone,
    ];

    /// What its refusal is known by.
    pub fn code(self) -> RefusalCode {
        match self {
            Self::Connections => RefusalCode::Connections,
            Self::LastServer => RefusalCode::LastServer,
            Self::Quorum => RefusalCode::Quorum,
            Self::Stale => RefusalCode::Stale,
            Self::Fault => RefusalCode::Fault,
            Self::Owner | Self::PromotedElsewhere | Self::TwoMasters => RefusalCode::SplitBrain,
            Self::NoSuccessor => RefusalCode::NoSuccessor,
            Self::Uncopied => RefusalCode::Sync,
            Self::MasterGone => RefusalCode::Config,
        }
    }

    /// What a command has to say to be carried out all the same.
    pub fn overridden_by(self) -> Override {
        match self {
            Self::Connections => Override::Cut,
            Self::Fault | Self::Owner => Override::Nothing,
            Self::LastServer
            | Self::Quorum
            | Self::Stale
            | Self::PromotedElsewhere
            | Self::TwoMasters
            | Self::NoSuccessor
            | Self::Uncopied
            | Self::MasterGone => Override::Force,
        }
    }

    /// The refusal, unless the command is let past.
    pub(super) fn refuse(
        self,
        force: bool,
        message: impl Into<String>,
        hint: impl Into<String>,
    ) -> Result<(), Refusal> {
        if force && self.overridden_by() == Override::Force {
            return Ok(());
        }
        Err(Refusal::new(self.code(), message, hint))
    }
}
