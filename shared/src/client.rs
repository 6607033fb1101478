//! Connecting to an agent from a program that waits: one question at a time, or events for as long as wanted.

use crate::counters::Counters;
use crate::event::Numbered;
use crate::excerpt::{Excerpt, ExcerptAsk, Reading};
use crate::expect::Expected;
use crate::frame::{self, Assembler, FrameError, PREFACE_LEN, VERSION, Version};
use crate::history::{History, HistoryAsk, Past};
use crate::host::Ssh;
use crate::loglevel::{LogAsk, LogView};
use crate::names::ServerId;
use crate::request::{
    Act, Acted, Hello, MetricsAsk, Refusal, RefusalCode, Reloaded, Reply, Request, Snapshot,
};
use crate::settings::Settings;
use crate::shown::Shown;
use crate::trial::{TestAsk, Tested};
use crate::view::View;
use crate::whatif::{Foreseen, WhatIf};
use crate::window::{Window, WindowAsk};
use interprocess::local_socket::traits::Stream as _;
use interprocess::local_socket::{GenericFilePath, Stream, ToFsName as _};
use std::io::{self, ErrorKind, Read as _, Write as _};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

/// How long an agent on this machine may take to greet.
pub const GREETING_TIMEOUT: Duration = Duration::from_secs(2);
/// How long it may take to answer; acts wait for the disk and the kernel.
pub const REPLY_TIMEOUT: Duration = Duration::from_secs(30);

/// Why there is no answer. [`ClientError::Refused`] is an answer too: no.
#[derive(Debug, thiserror::Error)]
pub enum ClientError {
    #[error("no agent is running: nothing listens on {}", .0.display())]
    NotRunning(PathBuf),
    #[error("permission denied on {}", .0.display())]
    Denied(PathBuf),
    #[error("the agent does not answer within {} s", .0.as_secs_f32())]
    Silent(Duration),
    #[error("the agent speaks protocol {theirs}, this program {ours}: {} is older", older(*.ours, *.theirs))]
    Version { ours: Version, theirs: Version },
    #[error("the agent closed the connection")]
    Closed,
    #[error("{0}")]
    Frame(#[from] FrameError),
    #[error("connection to the agent: {0}")]
    Io(io::Error),
    #[error("the agent answered something else than was asked")]
    Unexpected,
    #[error("{0}")]
    Refused(Refusal),
    /// The other host, or the way there.
    #[error("{0}")]
    Ssh(String),
}

fn older(ours: Version, theirs: Version) -> &'static str {
    if theirs < ours {
        "the agent"
    } else {
        "this program"
    }
}

impl ClientError {
    /// What to do about it; may be empty.
    pub fn hint(&self) -> String {
        match self {
            Self::NotRunning(_) => {
                "start it (systemctl start lbagent), or name its socket with --socket".into()
            }
            Self::Denied(_) => format!(
                "only root and members of the group {} may open it",
                crate::paths::GROUP_ADMIN
            ),
            Self::Silent(_) => "it may be hung: look at its log, or at systemctl status lbagent".into(),
            Self::Version { ours, theirs } if theirs < ours => {
                "restart the agent after an upgrade (systemctl restart lbagent)".into()
            }
            Self::Version { .. } => "use the lbctl and lbtui installed with the agent".into(),
            Self::Refused(refusal) => refusal.hint.clone(),
            Self::Ssh(_) => "it must be possible to run, without a question: ssh HOST lbctl version".into(),
            Self::Closed | Self::Frame(_) | Self::Io(_) | Self::Unexpected => String::new(),
        }
    }

    /// The exit code of `lbctl`.
    pub fn exit(&self) -> u8 {
        match self {
            Self::Refused(refusal) => refusal.code.exit(),
            Self::NotRunning(_)
            | Self::Denied(_)
            | Self::Silent(_)
            | Self::Version { .. }
            | Self::Closed
            | Self::Frame(_)
            | Self::Io(_)
            | Self::Unexpected
            | Self::Ssh(_) => 5,
        }
    }
}

/// A greeted connection to an agent.
#[derive(Debug)]
pub struct Client {
    stream: Stream,
    assembler: Assembler,
    /// What carries the stream, when it goes to another host; ends after it.
    ssh: Option<Ssh>,
}

impl Client {
    /// Connects to the socket at `path` and exchanges prefaces.
    pub fn connect(path: &Path) -> Result<Self, ClientError> {
        Self::connect_within(path, GREETING_TIMEOUT)
    }

    /// As [`Client::connect`], with another limit for the greeting.
    pub fn connect_within(path: &Path, timeout: Duration) -> Result<Self, ClientError> {
        let name = path.to_fs_name::<GenericFilePath>().map_err(ClientError::Io)?;
        let stream = Stream::connect(name).map_err(|error| match error.kind() {
            ErrorKind::NotFound | ErrorKind::ConnectionRefused => ClientError::NotRunning(path.to_owned()),
            ErrorKind::PermissionDenied => ClientError::Denied(path.to_owned()),
            _ => ClientError::Io(error),
        })?;
        Self::greeted(stream, timeout)
    }

    /// Greets over a stream that is open already.
    pub fn over(stream: UnixStream, timeout: Duration) -> Result<Self, ClientError> {
        Self::greeted(Stream::UdSocket(stream.into()), timeout)
    }

    /// The same, with the process that carries its stream.
    pub(crate) fn held_by(mut self, ssh: Option<Ssh>) -> Self {
        self.ssh = ssh;
        self
    }

    fn greeted(mut stream: Stream, timeout: Duration) -> Result<Self, ClientError> {
        let told = |error: io::Error| match error.kind() {
            ErrorKind::WouldBlock | ErrorKind::TimedOut => ClientError::Silent(timeout),
            _ => lost(error),
        };
        stream.set_recv_timeout(Some(timeout)).map_err(ClientError::Io)?;
        stream
            .set_send_timeout(Some(REPLY_TIMEOUT))
            .map_err(ClientError::Io)?;
        let greeting = stream.write_all(&VERSION.preface());
        let mut preface = [0; PREFACE_LEN];
        // An agent that hung up at once may have said which version it is: that is the better answer.
        stream.read_exact(&mut preface).map_err(told)?;
        let theirs = Version::from_preface(&preface)?;
        if theirs != VERSION {
            return Err(ClientError::Version {
                ours: VERSION,
                theirs,
            });
        }
        greeting.map_err(told)?;
        Ok(Self {
            stream,
            assembler: Assembler::default(),
            ssh: None,
        })
    }

    /// Asks and waits for the one answer; [`Reply::Refused`] comes back as an error.
    pub fn ask(&mut self, request: &Request) -> Result<Reply, ClientError> {
        self.ask_within(request, REPLY_TIMEOUT)
    }

    /// As [`Client::ask`], with another limit for the answer.
    pub fn ask_within(&mut self, request: &Request, timeout: Duration) -> Result<Reply, ClientError> {
        self.send(request)?;
        match self.receive(Some(timeout))? {
            Some(Reply::Refused(refusal)) => Err(ClientError::Refused(refusal)),
            Some(reply) => Ok(reply),
            None => Err(ClientError::Silent(timeout)),
        }
    }

    /// Who answers, and the role this connection has.
    pub fn hello(&mut self, client: &str) -> Result<Hello, ClientError> {
        let request = Request::Hello {
            client: client.to_owned(),
        };
        match self.ask(&request)? {
            Reply::Hello(hello) => Ok(hello),
            _ => Err(ClientError::Unexpected),
        }
    }

    /// The whole state.
    pub fn snapshot(&mut self) -> Result<Snapshot, ClientError> {
        match self.ask(&Request::Snapshot)? {
            Reply::Snapshot(snapshot) => Ok(*snapshot),
            _ => Err(ClientError::Unexpected),
        }
    }

    /// All counters.
    pub fn counters(&mut self) -> Result<Counters, ClientError> {
        match self.ask(&Request::Counters)? {
            Reply::Counters(counters) => Ok(*counters),
            _ => Err(ClientError::Unexpected),
        }
    }

    /// What changed of the numbers that are looked at.
    pub fn window(&mut self, ask: WindowAsk, timeout: Duration) -> Result<Window, ClientError> {
        match self.ask_within(&Request::Window(ask), timeout)? {
            Reply::Window(window) => Ok(*window),
            _ => Err(ClientError::Unexpected),
        }
    }

    /// The newest `limit` events with a number above `after`, oldest first.
    pub fn events(&mut self, after: Option<u64>, limit: u32) -> Result<Vec<Numbered>, ClientError> {
        match self.ask(&Request::Events { after, limit })? {
            Reply::Events(events) => Ok(events),
            _ => Err(ClientError::Unexpected),
        }
    }

    /// Carries out an operator's change, or tries it.
    pub fn act(&mut self, act: Act) -> Result<Acted, ClientError> {
        match self.ask(&Request::Act(act))? {
            Reply::Acted(acted) => Ok(acted),
            _ => Err(ClientError::Unexpected),
        }
    }

    /// As [`Client::act`], if what was seen still holds. Expecting nothing is an act that older agents know, too.
    pub fn act_if(&mut self, act: Act, expect: Vec<Expected>) -> Result<Acted, ClientError> {
        if expect.is_empty() {
            return self.act(act);
        }
        match self.ask(&Request::ActIf(act, expect))? {
            Reply::Acted(acted) => Ok(acted),
            _ => Err(ClientError::Unexpected),
        }
    }

    /// Has the configuration loaded again, or tried.
    pub fn reload(&mut self, dry_run: bool, force: bool) -> Result<Reloaded, ClientError> {
        match self.ask(&Request::Reload { dry_run, force })? {
            Reply::Reloaded(reloaded) => Ok(reloaded),
            _ => Err(ClientError::Unexpected),
        }
    }

    /// Loads the configuration for so long, unless it is confirmed.
    pub fn reload_for(&mut self, force: bool, within: Duration) -> Result<Reloaded, ClientError> {
        let for_ms = u64::try_from(within.as_millis()).unwrap_or(u64::MAX);
        match self.ask(&Request::ReloadFor { force, for_ms })? {
            Reply::Reloaded(reloaded) => Ok(reloaded),
            _ => Err(ClientError::Unexpected),
        }
    }

    /// The configuration that waits to be confirmed stays.
    pub fn confirm(&mut self) -> Result<Reloaded, ClientError> {
        match self.ask(&Request::Confirmed)? {
            Reply::Reloaded(reloaded) => Ok(reloaded),
            _ => Err(ClientError::Unexpected),
        }
    }

    /// The configuration in force.
    pub fn config(&mut self) -> Result<Shown, ClientError> {
        match self.ask(&Request::Config)? {
            Reply::Config(shown) => Ok(*shown),
            _ => Err(ClientError::Unexpected),
        }
    }

    /// Every setting in force.
    pub fn settings(&mut self) -> Result<Settings, ClientError> {
        match self.ask(&Request::Settings)? {
            Reply::Settings(settings) => Ok(*settings),
            _ => Err(ClientError::Unexpected),
        }
    }

    /// What would happen.
    pub fn what_if(&mut self, asked: WhatIf) -> Result<Foreseen, ClientError> {
        match self.ask(&Request::WhatIf(asked))? {
            Reply::Foreseen(foreseen) => Ok(*foreseen),
            _ => Err(ClientError::Unexpected),
        }
    }

    /// Runs checks once, now.
    pub fn test(&mut self, asked: TestAsk) -> Result<Tested, ClientError> {
        match self.ask(&Request::Test(asked))? {
            Reply::Tested(tested) => Ok(tested),
            _ => Err(ClientError::Unexpected),
        }
    }

    /// Asks or changes how much is logged.
    pub fn log(&mut self, asked: LogAsk) -> Result<LogView, ClientError> {
        match self.ask(&Request::Log(asked))? {
            Reply::Log(log) => Ok(log),
            _ => Err(ClientError::Unexpected),
        }
    }

    /// Everything that is measured, in Prometheus' text form.
    pub fn metrics(&mut self, asked: MetricsAsk) -> Result<String, ClientError> {
        match self.ask(&Request::Metrics(asked))? {
            Reply::Metrics(text) => Ok(text),
            _ => Err(ClientError::Unexpected),
        }
    }

    /// Samples of the last quarter of an hour.
    pub fn history(&mut self, asked: HistoryAsk) -> Result<History, ClientError> {
        match self.ask(&Request::History(asked))? {
            Reply::History(history) => Ok(*history),
            _ => Err(ClientError::Unexpected),
        }
    }

    /// Everything as it was at a moment of the last quarter of an hour, in Unix time in milliseconds.
    pub fn past(&mut self, wall_ms: u64) -> Result<Past, ClientError> {
        match self.ask(&Request::Past { wall_ms })? {
            Reply::Past(past) => Ok(*past),
            _ => Err(ClientError::Unexpected),
        }
    }

    /// A part of the state, piece by piece, as each comes in.
    ///
    /// Of an agent that does not know the question yet, everything is asked and the pieces are cut here.
    pub fn excerpts<E: From<ClientError>>(
        &mut self,
        ask: &ExcerptAsk,
        mut each: impl FnMut(Excerpt) -> Result<(), E>,
    ) -> Result<(), E> {
        let mut answer = self.ask(&Request::Excerpt(ask.clone()));
        loop {
            let more = match answer {
                Ok(Reply::Excerpt(excerpt)) => {
                    let more = excerpt.more;
                    each(*excerpt)?;
                    more
                }
                Err(ClientError::Refused(refusal)) if frame::is_unknown(&refusal) => {
                    return self.cut(ask, each);
                }
                Ok(_) => return Err(ClientError::Unexpected.into()),
                Err(error) => return Err(error.into()),
            };
            if !more {
                return Ok(());
            }
            answer = match self.receive(Some(REPLY_TIMEOUT)) {
                Ok(Some(Reply::Refused(refusal))) => Err(ClientError::Refused(refusal)),
                Ok(Some(reply)) => Ok(reply),
                Ok(None) => Err(ClientError::Silent(REPLY_TIMEOUT)),
                Err(error) => Err(error),
            };
        }
    }

    /// The same in one piece.
    pub fn excerpt(&mut self, ask: &ExcerptAsk) -> Result<Excerpt, ClientError> {
        let mut got: Option<Excerpt> = None;
        self.excerpts(ask, |excerpt| {
            match &mut got {
                Some(got) => got.join(excerpt),
                None => got = Some(excerpt),
            }
            Ok::<(), ClientError>(())
        })?;
        got.ok_or(ClientError::Unexpected)
    }

    /// These servers, as far as they are still there.
    pub fn servers(&mut self, ids: &[ServerId]) -> Result<Excerpt, ClientError> {
        match self.excerpt(&ExcerptAsk::servers(ids)) {
            Err(ClientError::Refused(refusal)) if refusal.code == RefusalCode::NotFound => {}
            answer => return answer,
        }
        let mut left = self.excerpt(&ExcerptAsk::agent())?;
        for id in ids {
            match self.excerpt(&ExcerptAsk::servers([id])) {
                Ok(one) => left.join(one),
                Err(ClientError::Refused(refusal)) if refusal.code == RefusalCode::NotFound => {}
                Err(error) => return Err(error),
            }
        }
        Ok(left)
    }

    fn cut<E: From<ClientError>>(
        &mut self,
        ask: &ExcerptAsk,
        mut each: impl FnMut(Excerpt) -> Result<(), E>,
    ) -> Result<(), E> {
        let (snapshot, counters) = match ask.at_wall_ms {
            Some(at) => {
                let past = self.past(at)?;
                (past.snapshot, past.counters)
            }
            None => {
                let counters = match self.counters() {
                    Ok(counters) => Some(counters),
                    Err(ClientError::Refused(_)) => None,
                    Err(error) => return Err(error.into()),
                };
                (self.snapshot()?, counters)
            }
        };
        let view = View::of(&snapshot).with_counters(counters.as_ref());
        let mut reading = Reading::new(&view, ask).map_err(ClientError::Refused)?;
        loop {
            let mut excerpt = reading.next(&view, snapshot.seq);
            excerpt.snapshot.role = snapshot.role;
            let more = excerpt.more;
            each(excerpt)?;
            if !more {
                return Ok(());
            }
        }
    }

    /// From here on this connection only watches: the state first, then events.
    pub fn watch(mut self) -> Result<Watch, ClientError> {
        self.send(&Request::Watch)?;
        Ok(Watch { client: self })
    }

    /// From here on this connection only hears events, from now on and without the state.
    ///
    /// An agent that does not know the question yet is watched.
    pub fn listen(mut self) -> Result<Listener, ClientError> {
        match self.ask(&Request::Listen) {
            Ok(Reply::Listening { .. }) => Ok(Listener { client: self }),
            Ok(_) => Err(ClientError::Unexpected),
            Err(ClientError::Refused(refusal)) if frame::is_unknown(&refusal) => {
                self.send(&Request::Watch)?;
                // The state before it comes first.
                match self.receive(Some(REPLY_TIMEOUT))? {
                    Some(Reply::Snapshot(_)) => Ok(Listener { client: self }),
                    Some(Reply::Refused(refusal)) => Err(ClientError::Refused(refusal)),
                    Some(_) => Err(ClientError::Unexpected),
                    None => Err(ClientError::Silent(REPLY_TIMEOUT)),
                }
            }
            Err(error) => Err(error),
        }
    }

    fn send(&mut self, request: &Request) -> Result<(), ClientError> {
        let frame = frame::encode_request(request)?;
        match self.stream.write_all(&frame) {
            Ok(()) => Ok(()),
            // A refusal may have been sent before the connection was closed: let the reader find it.
            Err(error) if error.kind() == ErrorKind::BrokenPipe => Ok(()),
            Err(error) => Err(lost(error)),
        }
    }

    /// The next answer; `None` when `timeout` passes first. Nothing is lost then: ask again.
    fn receive(&mut self, timeout: Option<Duration>) -> Result<Option<Reply>, ClientError> {
        let until = timeout.map(|timeout| Instant::now() + timeout);
        let mut buffer = [0; 64 << 10];
        loop {
            if let Some(reply) = self.assembler.next_reply()? {
                return Ok(Some(reply));
            }
            let left = until.map(|until| until.saturating_duration_since(Instant::now()));
            if left == Some(Duration::ZERO) {
                return Ok(None);
            }
            self.stream.set_recv_timeout(left).map_err(ClientError::Io)?;
            match self.stream.read(&mut buffer) {
                Ok(0) => return Err(ClientError::Closed),
                Ok(size) => self.assembler.feed(&buffer[..size]),
                Err(error) => match error.kind() {
                    ErrorKind::Interrupted => {}
                    ErrorKind::WouldBlock | ErrorKind::TimedOut => return Ok(None),
                    _ => return Err(lost(error)),
                },
            }
        }
    }
}

fn lost(error: io::Error) -> ClientError {
    match error.kind() {
        ErrorKind::BrokenPipe | ErrorKind::ConnectionReset | ErrorKind::UnexpectedEof => ClientError::Closed,
        _ => ClientError::Io(error),
    }
}

/// What a watch brings.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Update {
    /// The whole state: at the beginning, and after events were lost.
    Snapshot(Box<Snapshot>),
    /// One event: fold it into the state.
    Event(Box<Numbered>),
    /// This reader was too slow for these; a snapshot follows.
    Lost { from: u64, to: u64 },
}

/// A connection that watches. As an iterator it waits for ever.
#[derive(Debug)]
pub struct Watch {
    client: Client,
}

impl Watch {
    /// The next update, or `None` when `timeout` passes first.
    pub fn next_within(&mut self, timeout: Duration) -> Result<Option<Update>, ClientError> {
        self.update(Some(timeout))
    }

    fn update(&mut self, timeout: Option<Duration>) -> Result<Option<Update>, ClientError> {
        match self.client.receive(timeout)? {
            None => Ok(None),
            Some(Reply::Snapshot(snapshot)) => Ok(Some(Update::Snapshot(snapshot))),
            Some(Reply::Event(event)) => Ok(Some(Update::Event(event))),
            Some(Reply::Lost { from, to }) => Ok(Some(Update::Lost { from, to })),
            Some(Reply::Refused(refusal)) => Err(ClientError::Refused(refusal)),
            Some(_) => Err(ClientError::Unexpected),
        }
    }
}

/// A connection that hears events, to know when to look again.
#[derive(Debug)]
pub struct Listener {
    client: Client,
}

/// What is heard.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Heard {
    Event(Box<Numbered>),
    /// Something, but not what.
    Gap,
}

impl Listener {
    /// What happened next, or `None` when `timeout` passes first.
    pub fn next_within(&mut self, timeout: Duration) -> Result<Option<Heard>, ClientError> {
        match self.client.receive(Some(timeout))? {
            None => Ok(None),
            Some(Reply::Event(event)) => Ok(Some(Heard::Event(event))),
            // After a gap it begins again.
            Some(Reply::Lost { .. } | Reply::Listening { .. } | Reply::Snapshot(_)) => Ok(Some(Heard::Gap)),
            Some(Reply::Refused(refusal)) => Err(ClientError::Refused(refusal)),
            Some(_) => Err(ClientError::Unexpected),
        }
    }
}

impl Iterator for Watch {
    type Item = Result<Update, ClientError>;

    fn next(&mut self) -> Option<Self::Item> {
        match self.update(None) {
            Ok(Some(update)) => Some(Ok(update)),
            Ok(None) | Err(ClientError::Closed) => None,
            Err(error) => Some(Err(error)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::excerpt::Scope;

    #[test]
    fn the_older_side_is_named() {
        let new = Version { major: 1, minor: 4 };
        let old = Version { major: 1, minor: 3 };
        let error = ClientError::Version {
            ours: new,
            theirs: old,
        };
        assert_eq!(
            error.to_string(),
            "the agent speaks protocol 1.3, this program 1.4: the agent is older"
        );
        let error = ClientError::Version {
            ours: old,
            theirs: new,
        };
        assert!(error.to_string().ends_with("this program is older"));
        assert_eq!(error.exit(), 5);
    }

    #[test]
    fn an_agent_that_hangs_up_after_its_greeting_is_understood() {
        let (ours, mut theirs) = UnixStream::pair().unwrap();
        let older = Version { major: 0, minor: 0 };
        theirs.write_all(&older.preface()).unwrap();
        drop(theirs);
        let error = Client::over(ours, GREETING_TIMEOUT).unwrap_err();
        assert!(
            matches!(error, ClientError::Version { theirs, .. } if theirs == older),
            "{error}"
        );
    }

    #[test]
    fn a_missing_socket_is_an_agent_that_does_not_run() {
        let error = Client::connect(Path::new("/nonexistent/agent.sock")).unwrap_err();
        assert!(matches!(error, ClientError::NotRunning(_)), "{error}");
        assert_eq!(error.exit(), 5);
    }

    /// An agent that knows no more than the first requests: every other is refused as one that does not decode.
    fn old_agent() -> UnixStream {
        let (ours, mut theirs) = UnixStream::pair().unwrap();
        std::thread::spawn(move || {
            let mut preface = [0; PREFACE_LEN];
            theirs.read_exact(&mut preface).unwrap();
            theirs.write_all(&VERSION.preface()).unwrap();
            let mut head = [0; frame::HEAD_LEN];
            while theirs.read_exact(&mut head).is_ok() {
                let (_, length) = frame::head(head).unwrap();
                let mut body = vec![0; length];
                theirs.read_exact(&mut body).unwrap();
                let crate::fixture::Demo {
                    snapshot,
                    counters,
                    events,
                    ..
                } = crate::fixture::demo();
                let replies = match frame::decode_request(&body).unwrap() {
                    Request::Snapshot => vec![Reply::Snapshot(Box::new(snapshot))],
                    Request::Counters => vec![Reply::Counters(Box::new(counters))],
                    Request::Watch => vec![
                        Reply::Snapshot(Box::new(snapshot)),
                        Reply::Event(Box::new(events[0].clone())),
                        Reply::Lost { from: 3, to: 9 },
                    ],
                    _ => {
                        let unknown = FrameError::Decode("UnexpectedVariant".into());
                        let words = unknown.to_string();
                        vec![Reply::Refused(Refusal::new(RefusalCode::BadRequest, words, ""))]
                    }
                };
                for reply in replies {
                    theirs.write_all(&frame::encode_reply(&reply).unwrap()).unwrap();
                }
            }
        });
        ours
    }

    #[test]
    fn of_an_older_agent_the_whole_is_asked_and_cut_here() {
        let mut client = Client::over(old_agent(), GREETING_TIMEOUT).unwrap();
        let demo = crate::fixture::demo();
        let typed = ["web/198.51.100.24".to_owned()];
        for scope in [Scope::Meant, Scope::Servers, Scope::Objects] {
            let ask = ExcerptAsk::of(scope, &typed);
            let view = View::of(&demo.snapshot).with_counters(Some(&demo.counters));
            let mut want = Reading::new(&view, &ask).unwrap().next(&view, demo.snapshot.seq);
            want.snapshot.role = demo.snapshot.role;
            assert_eq!(client.excerpt(&ask).unwrap(), want, "{scope:?}");
        }
        let gone: ServerId = "203.0.113.10:443/tcp/198.51.100.99:443".parse().unwrap();
        let there = demo.snapshot.state.servers.keys().next().unwrap().clone();
        let seen = client.servers(&[gone, there.clone()]).unwrap();
        assert_eq!(
            seen.snapshot.state.servers.into_keys().collect::<Vec<_>>(),
            [there]
        );
    }

    #[test]
    fn an_older_agent_is_watched_to_hear_of_events() {
        let client = Client::over(old_agent(), GREETING_TIMEOUT).unwrap();
        let mut news = client.listen().unwrap();
        let event = crate::fixture::demo().events[0].clone();
        let heard = news.next_within(REPLY_TIMEOUT).unwrap();
        assert_eq!(heard, Some(Heard::Event(Box::new(event))));
        assert_eq!(news.next_within(REPLY_TIMEOUT).unwrap(), Some(Heard::Gap));
        assert_eq!(news.next_within(Duration::from_millis(1)).unwrap(), None);
    }
}
