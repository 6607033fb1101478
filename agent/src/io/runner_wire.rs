//! What the agent and its script runner say to each other: one message per packet, fixed layout, little-endian.
//!
//! ```text
//! run:    id u64 · flags u8 · timeout µs u64 · uid u32 · gid u32 · lane text · count u32 · that many texts
//! ended:  id u64 · kind u8 · code i32 · reason text · output bytes        (text and bytes: length u32, then it)
//! ```
//!
//! Both ends are the same program, started from the same file, so that there is no version.

use crate::model::{Job, JobEnd, JobId, JobOutcome, Script, ScriptRules};
use std::time::Duration;

/// Longer jobs are refused: the socket takes a packet whole or not at all.
pub(super) const MESSAGE_MAX: usize = 96 * 1024;

/// A job as it reaches the runner.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(super) struct RunMessage {
    pub(super) id: JobId,
    pub(super) argv: Vec<String>,
    pub(super) user: Option<(u32, u32)>,
    pub(super) timeout: Option<Duration>,
    pub(super) lane: Option<String>,
    pub(super) rules: ScriptRules,
}

/// A job's end on its way back.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(super) struct EndedMessage {
    pub(super) id: JobId,
    pub(super) outcome: JobOutcome,
}

const HAS_TIMEOUT: u8 = 1;
const HAS_USER: u8 = 2;
const HAS_LANE: u8 = 4;
const SECURE: u8 = 8;
const ALL_GROUPS: u8 = 16;

impl RunMessage {
    pub(super) fn new(id: JobId, job: Job, rules: ScriptRules) -> Self {
        let Job {
            script: Script { mut argv, user },
            arguments,
            timeout,
            report: _,
            lane,
        } = job;
        argv.extend(arguments);
        Self {
            id,
            argv,
            user,
            timeout,
            lane,
            rules,
        }
    }

    pub(super) fn encode(&self) -> Vec<u8> {
        let flag = |on: bool, bit: u8| if on { bit } else { 0 };
        let mut bytes = Vec::with_capacity(256);
        bytes.extend(self.id.0.to_le_bytes());
        bytes.push(
            flag(self.timeout.is_some(), HAS_TIMEOUT)
                | flag(self.user.is_some(), HAS_USER)
                | flag(self.lane.is_some(), HAS_LANE)
                | flag(self.rules.secure, SECURE)
                | flag(self.rules.all_groups, ALL_GROUPS),
        );
        let micros = self.timeout.unwrap_or_default().as_micros();
        bytes.extend(u64::try_from(micros).unwrap_or(u64::MAX).to_le_bytes());
        let (uid, gid) = self.user.unwrap_or_default();
        bytes.extend(uid.to_le_bytes());
        bytes.extend(gid.to_le_bytes());
        put(&mut bytes, self.lane.as_deref().unwrap_or_default().as_bytes());
        bytes.extend(length(self.argv.len()));
        for word in &self.argv {
            put(&mut bytes, word.as_bytes());
        }
        bytes
    }

    /// `None` for anything that is not such a message to the last byte.
    pub(super) fn decode(bytes: &[u8]) -> Option<Self> {
        let mut rest = Rest(bytes);
        let id = JobId(rest.u64()?);
        let flags = rest.u8()?;
        let micros = rest.u64()?;
        let (uid, gid) = (rest.u32()?, rest.u32()?);
        let lane = rest.text()?;
        let count = rest.u32()?;
        let argv = (0..count).map(|_| rest.text()).collect::<Option<Vec<_>>>()?;
        let on = |bit: u8| flags & bit != 0;
        rest.0.is_empty().then_some(Self {
            id,
            argv,
            user: on(HAS_USER).then_some((uid, gid)),
            timeout: on(HAS_TIMEOUT).then_some(Duration::from_micros(micros)),
            lane: on(HAS_LANE).then_some(lane),
            rules: ScriptRules {
                secure: on(SECURE),
                all_groups: on(ALL_GROUPS),
            },
        })
    }
}

impl EndedMessage {
    pub(super) fn encode(&self) -> Vec<u8> {
        let (kind, code, reason) = match &self.outcome.end {
            JobEnd::Exited(code) => (0, *code, ""),
            JobEnd::Signalled(signal) => (1, *signal, ""),
            JobEnd::TimedOut => (2, 0, ""),
            JobEnd::NotStarted(why) => (3, 0, why.as_str()),
        };
        let mut bytes = Vec::with_capacity(32 + reason.len() + self.outcome.output.len());
        bytes.extend(self.id.0.to_le_bytes());
        bytes.push(kind);
        bytes.extend(i32::to_le_bytes(code));
        put(&mut bytes, reason.as_bytes());
        put(&mut bytes, &self.outcome.output);
        bytes
    }

    pub(super) fn decode(bytes: &[u8]) -> Option<Self> {
        let mut rest = Rest(bytes);
        let id = JobId(rest.u64()?);
        let kind = rest.u8()?;
        let code = i32::from_le_bytes(rest.array()?);
        let reason = rest.text()?;
        let output = rest.bytes()?.to_vec();
        let end = match kind {
            0 => JobEnd::Exited(code),
            1 => JobEnd::Signalled(code),
            2 => JobEnd::TimedOut,
            3 => JobEnd::NotStarted(reason),
            _ => return None,
        };
        rest.0.is_empty().then_some(Self {
            id,
            outcome: JobOutcome { end, output },
        })
    }
}

fn length(length: usize) -> [u8; 4] {
    u32::try_from(length).unwrap_or(u32::MAX).to_le_bytes()
}

fn put(into: &mut Vec<u8>, bytes: &[u8]) {
    into.extend(length(bytes.len()));
    into.extend(bytes);
}

/// What is left to read.
struct Rest<'a>(&'a [u8]);

impl<'a> Rest<'a> {
    fn take(&mut self, count: usize) -> Option<&'a [u8]> {
        let (head, tail) = self.0.split_at_checked(count)?;
        self.0 = tail;
        Some(head)
    }

    fn array<const N: usize>(&mut self) -> Option<[u8; N]> {
        self.take(N)?.try_into().ok()
    }

    fn u8(&mut self) -> Option<u8> {
        Some(self.array::<1>()?[0])
    }

    fn u32(&mut self) -> Option<u32> {
        self.array().map(u32::from_le_bytes)
    }

    fn u64(&mut self) -> Option<u64> {
        self.array().map(u64::from_le_bytes)
    }

    fn bytes(&mut self) -> Option<&'a [u8]> {
        let count = usize::try_from(self.u32()?).ok()?;
        self.take(count)
    }

    fn text(&mut self) -> Option<String> {
        String::from_utf8(self.bytes()?.to_vec()).ok()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn messages_read_back_as_themselves(
            id in any::<u64>(),
            argv in prop::collection::vec(".{0,20}", 0..5),
            user in any::<Option<(u32, u32)>>(),
            timeout_us in any::<Option<u32>>(),
            lane in prop::option::of(".{0,10}"),
            (secure, all_groups) in any::<(bool, bool)>(),
            output in prop::collection::vec(any::<u8>(), 0..50),
            code in any::<i32>(),
        ) {
            let run = RunMessage {
                id: JobId(id),
                argv,
                user,
                timeout: timeout_us.map(|us| Duration::from_micros(us.into())),
                lane,
                rules: ScriptRules { secure, all_groups },
            };
            prop_assert_eq!(RunMessage::decode(&run.encode()), Some(run));
            for end in [
                JobEnd::Exited(code),
                JobEnd::Signalled(code),
                JobEnd::TimedOut,
                JobEnd::NotStarted("no such file".to_owned()),
            ] {
                let ended = EndedMessage { id: JobId(id), outcome: JobOutcome { end, output: output.clone() } };
                prop_assert_eq!(EndedMessage::decode(&ended.encode()), Some(ended));
            }
        }

        #[test]
        fn other_bytes_are_refused_without_a_panic(bytes in prop::collection::vec(any::<u8>(), 0..80)) {
            if let Some(message) = RunMessage::decode(&bytes) {
                prop_assert_eq!(message.encode().len(), bytes.len());
            }
            let _ = EndedMessage::decode(&bytes);
        }
    }
}
