//! Situations that must come up in every run of many seeds, else the faults are too tame.

macro_rules! hits {
    ($($variant:ident = $words:literal;)*) => {
        /// A situation worth having been in.
        #[derive(Clone, Copy, Debug, Eq, PartialEq)]
        pub(crate) enum Hit { $($variant,)* }

        impl Hit {
            pub(crate) const ALL: &[Hit] = &[$(Hit::$variant,)*];

            pub(crate) fn words(self) -> &'static str {
                match self { $(Hit::$variant => $words,)* }
            }
        }
    };
}

hits! {
    TwoMasters = "two masters seen";
    SplitHealed = "split healed";
    AdoptionAccepted = "adoption accepted";
    AdoptionRefused = "adoption refused";
    OwnerConflict = "two owners heard each other";
    GroupFault = "sync group in FAULT";
    PreemptDelayed = "preemption delayed";
    ReloadDuringElection = "reload during an election";
    IdenticalReload = "identical reload";
    CrashDuringWrite = "crash during a write";
    PreviousGeneration = "previous generation used";
    BothGenerationsBad = "both generations bad";
    OverrunDuringTakeOver = "notifications lost during a take-over";
    Inconclusive = "inconclusive check";
    Sorry = "sorry server in";
    DrainAcknowledged = "drain acknowledged";
    DrainDuringQuorumLoss = "drain during a quorum loss";
    LinkAnew = "interface made anew";
    Farewell = "farewell in a calm cluster";
    LateSuccessor = "successor by silence";
    DriftHealed = "drift healed";
    KernelRefused = "kernel refused";
    CommandRefused = "command refused";
    DiskRefused = "change refused by the disk";
    MasterPaused = "master paused and woken";
    JunkHeard = "junk heard";
    Tried = "reload that waits to be confirmed";
    Confirmed = "reload confirmed";
    TakenBack = "reload taken back";
    Converged = "converged after the faults";
}

/// How often each came up.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub(crate) struct Sometimes(Vec<u64>);

impl Sometimes {
    pub(crate) fn hit(&mut self, hit: Hit) {
        self.0.resize(Hit::ALL.len(), 0);
        self.0[hit as usize] += 1;
    }

    pub(crate) fn add(&mut self, other: &Self) {
        self.0.resize(Hit::ALL.len(), 0);
        for (sum, count) in self.0.iter_mut().zip(&other.0) {
            *sum += count;
        }
    }

    pub(crate) fn count(&self, hit: Hit) -> u64 {
        self.0.get(hit as usize).copied().unwrap_or(0)
    }

    pub(crate) fn missing(&self) -> Vec<&'static str> {
        Hit::ALL
            .iter()
            .filter(|hit| self.count(**hit) == 0)
            .map(|hit| hit.words())
            .collect()
    }
}
