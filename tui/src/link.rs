//! The connection: threads that turn what the agent says into messages, and come back when it goes away.

use crate::app::{Failure, Msg, News};
use lb_shared::client::{Client, ClientError, GREETING_TIMEOUT};
use lb_shared::excerpt::{ExcerptAsk, Scope};
use lb_shared::frame;
use lb_shared::host::Host;
use lb_shared::request::{Reply, Request};
use lb_shared::window::WindowAsk;
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::thread;
use std::time::{Duration, Instant};

/// How we introduce ourselves.
const CLIENT: &str = concat!("lbtui ", env!("CARGO_PKG_VERSION"));
/// Waits before the attempts to connect again; the last one stays.
const BACK_OFF_MS: [u64; 7] = [500, 1_000, 2_000, 4_000, 8_000, 16_000, 30_000];
/// How long an ssh connection may take until the agent behind it greets.
const SSH_TIMEOUT: Duration = Duration::from_secs(10);
/// How many past events are fetched.
const BACKLOG: u32 = 5_000;
/// A sample is due although so much is missing.
const SLACK: Duration = Duration::from_millis(100);
/// Between two samples of the numbers, unless the user's file says otherwise.
pub(crate) const SAMPLE_EVERY: Duration = Duration::from_secs(1);
/// While the terminal is not the one that is typed into.
const SAMPLE_EVERY_UNSEEN: Duration = Duration::from_secs(5);
/// Between two signs of life while no counters are wanted.
const PING_EVERY: Duration = Duration::from_secs(2);
/// How long a sample may take.
const SAMPLE_TIMEOUT: Duration = Duration::from_secs(4);

/// Where messages of one host go.
#[derive(Clone, Debug)]
pub(crate) struct Out {
    /// The host's place among all.
    pub(crate) seat: usize,
    pub(crate) to: Sender<(Option<usize>, Msg)>,
}

impl Out {
    /// Fails when nobody listens any more: the program ends.
    fn send(&self, msg: Msg) -> Result<(), Gone> {
        self.to.send((Some(self.seat), msg)).map_err(|_| Gone)
    }
}

/// Nobody listens any more.
struct Gone;

/// The threads that talk to one agent.
#[derive(Debug)]
pub(crate) struct Link {
    host: Host,
    out: Out,
    retry: Sender<()>,
    sample: Sender<Wish>,
}

/// What is wanted of the numbers.
#[derive(Debug)]
enum Wish {
    Rows(Option<WindowAsk>),
    /// Whether somebody looks.
    Hurry(bool),
}

impl Link {
    /// Starts to connect to the agent of `host`, for ever.
    pub(crate) fn start(host: Host, out: Out, every: Duration) -> Self {
        let (retry, retry_rx) = channel();
        let (sample, sample_rx) = channel();
        let (own, to) = (host.clone(), out.clone());
        thread::spawn(move || watch_for_ever(&own, &to, &retry_rx));
        let (own, to) = (host.clone(), out.clone());
        thread::spawn(move || sample_for_ever(&own, &to, &sample_rx, every));
        Self {
            host,
            out,
            retry,
            sample,
        }
    }

    /// Does not wait any longer before the next attempt.
    pub(crate) fn reconnect(&self) {
        let _ = self.retry.send(());
    }

    /// Which numbers are wanted.
    pub(crate) fn sample(&self, wanted: Option<WindowAsk>) {
        let _ = self.sample.send(Wish::Rows(wanted));
    }

    /// Whether numbers are wanted as often as usual, since somebody looks.
    pub(crate) fn hurry(&self, wanted: bool) {
        let _ = self.sample.send(Wish::Hurry(wanted));
    }

    /// Asks on a connection of its own: an act may wait for the kernel, and nothing waits for it.
    pub(crate) fn ask(&self, ticket: u64, request: Request) {
        let (host, out) = (self.host.clone(), self.out.clone());
        thread::spawn(move || {
            let answer = connect(&host).and_then(|mut client| ask(&mut client, &request));
            let answer = match answer {
                Ok(reply) => Ok(Box::new(reply)),
                Err(ClientError::Refused(refusal)) => Ok(Box::new(Reply::Refused(refusal))),
                Err(error) => Err(failure(&error)),
            };
            let _ = out.send(Msg::Answer(ticket, answer));
        });
    }
}

fn ask(client: &mut Client, request: &Request) -> Result<Reply, ClientError> {
    match (client.ask(request), request) {
        // An older agent takes an act without what was seen; the open question is watched here in any case.
        (Err(ClientError::Refused(refusal)), Request::ActIf(act, _)) if frame::is_unknown(&refusal) => {
            client.ask(&Request::Act(act.clone()))
        }
        (answer, _) => answer,
    }
}

/// More servers than this are not told of minute by minute.
const MANY: usize = 5_000;

/// Fetches how it was in the last quarter of an hour, for a recording; the oldest first, as far as the agent knows it.
pub(crate) fn before(host: Host, out: Out) {
    thread::spawn(move || {
        let Ok(mut client) = connect(&host) else { return };
        let Ok(now) = client.excerpt(&ExcerptAsk::all(Scope::Instances)) else {
            return;
        };
        let mut minute = 14;
        while minute > 0 {
            let wall_ms = now.snapshot.wall_ms.saturating_sub(minute * 60_000);
            let mut step = 1;
            match client.past(wall_ms) {
                Ok(past) => {
                    if past.snapshot.state.servers.len() > MANY {
                        step = 5;
                    }
                    if out.send(Msg::Link(News::Was(Box::new(past)))).is_err() {
                        return;
                    }
                }
                // It does not go back so far.
                Err(ClientError::Refused(_)) => {}
                Err(_) => return,
            }
            minute = minute.saturating_sub(step);
        }
    });
}

/// Over ssh the way there takes its time.
fn connect(host: &Host) -> Result<Client, ClientError> {
    host.connect(match host {
        Host::Unix(_) => GREETING_TIMEOUT,
        Host::Ssh { .. } => SSH_TIMEOUT,
    })
}

fn failure(error: &ClientError) -> Failure {
    Failure {
        message: error.to_string(),
        hint: error.hint(),
    }
}

fn watch_for_ever(host: &Host, out: &Out, retry: &Receiver<()>) {
    let mut attempt = 0;
    let mut known = false;
    loop {
        let error = match watch(host, out, &mut attempt, &mut known) {
            Ok(never) => match never {},
            Err(Some(error)) => error,
            // Nobody listens any more: the program ends.
            Err(None) => return,
        };
        let wait = BACK_OFF_MS[attempt.min(BACK_OFF_MS.len() - 1)];
        let retry_in = Duration::from_millis(wait);
        attempt += 1;
        let down = News::Down {
            failure: failure(&error),
            attempt: u32::try_from(attempt).unwrap_or(u32::MAX),
            retry_in,
        };
        if out.send(Msg::Link(down)).is_err() {
            return;
        }
        // What was asked for while the connection stood does not count.
        while retry.try_recv().is_ok() {}
        if retry.recv_timeout(retry_in) == Err(RecvTimeoutError::Disconnected) {
            return;
        }
    }
}

enum Never {}

/// Watches until the connection breaks; `Err(None)` when nobody listens. `known`: a whole state was told before.
fn watch(
    host: &Host,
    out: &Out,
    attempt: &mut usize,
    known: &mut bool,
) -> Result<Never, Option<ClientError>> {
    let mut client = connect(host)?;
    let hello = client.hello(CLIENT)?;
    let backlog = client.events(None, BACKLOG)?;
    *attempt = 0;
    let tell = |news| out.send(Msg::Link(news)).map_err(|_| None);
    tell(News::Connected(hello, backlog))?;
    if !*known {
        // Many thousand servers take their time: what the first screen shows comes ahead of them.
        match client.ask(&Request::Excerpt(ExcerptAsk::all(Scope::Screen))) {
            Ok(Reply::Excerpt(excerpt)) => tell(News::Early(excerpt))?,
            Ok(_) => return Err(Some(ClientError::Unexpected)),
            // An older agent: everything comes at once.
            Err(ClientError::Refused(refusal)) if frame::is_unknown(&refusal) => {}
            Err(error) => return Err(Some(error)),
        }
    }
    for update in client.watch()? {
        tell(News::Update(update?))?;
        *known = true;
    }
    Err(Some(ClientError::Closed))
}

/// A connection for numbers.
struct Numbers {
    client: Client,
    /// Its agent does not know windows.
    older: bool,
}

fn sample_for_ever(host: &Host, out: &Out, wanted: &Receiver<Wish>, usual: Duration) {
    let mut every = usual;
    let mut numbers: Option<Numbers> = None;
    let mut ask: Option<WindowAsk> = None;
    let mut next = Instant::now() + PING_EVERY;
    let mut sample_at: Option<Instant> = None;
    loop {
        match wanted.recv_timeout(next.saturating_duration_since(Instant::now())) {
            Ok(Wish::Hurry(true)) => {
                every = usual;
                // What was missed is wanted at once.
                next = Instant::now();
                sample_at = None;
                continue;
            }
            Ok(Wish::Hurry(false)) => {
                every = usual.max(SAMPLE_EVERY_UNSEEN);
                continue;
            }
            Ok(Wish::Rows(change)) => {
                if change.is_some() && change != ask {
                    next = Instant::now();
                    sample_at = None;
                }
                ask = change;
                continue;
            }
            Err(RecvTimeoutError::Timeout) => {}
            Err(RecvTimeoutError::Disconnected) => return,
        }
        // Between two samples there may be so much time that the agent would seem to be silent.
        let sampled = sample_at.is_none_or(|at| at.elapsed() + SLACK >= every);
        let numbers_now = ask.as_ref().filter(|_| sampled);
        if numbers_now.is_some() {
            sample_at = Some(Instant::now());
        }
        next = Instant::now()
            + if ask.is_some() {
                every.min(PING_EVERY)
            } else {
                PING_EVERY
            };
        let fresh = || {
            let client = connect(host).ok()?;
            Some(Numbers { client, older: false })
        };
        let Some(open) = numbers.take().or_else(fresh) else {
            continue;
        };
        let asked = Instant::now();
        // A connection that failed or was too slow is not used again; the watching one tells of it.
        let Some((open, news)) = sample(open, numbers_now) else {
            continue;
        };
        numbers = Some(open);
        if matches!(host, Host::Ssh { .. }) && out.send(Msg::Link(News::Trip(asked.elapsed()))).is_err() {
            return;
        }
        if out.send(Msg::Link(news)).is_err() {
            return;
        }
    }
}

fn sample(mut open: Numbers, ask: Option<&WindowAsk>) -> Option<(Numbers, News)> {
    let Some(ask) = ask else {
        let hello = Request::Hello {
            client: CLIENT.to_owned(),
        };
        open.client.ask_within(&hello, SAMPLE_TIMEOUT).ok()?;
        return Some((open, News::Alive));
    };
    if !open.older {
        match open.client.window(ask.clone(), SAMPLE_TIMEOUT) {
            Ok(window) if window.is_still() => return Some((open, News::Still(window.at))),
            Ok(window) => {
                let rows = ask.rows.clone();
                return Some((open, News::Window(rows, Box::new(window))));
            }
            Err(ClientError::Refused(refusal)) if frame::is_unknown(&refusal) => open.older = true,
            Err(_) => return None,
        }
    }
    match open.client.ask_within(&Request::Counters, SAMPLE_TIMEOUT).ok()? {
        Reply::Counters(counters) => Some((open, News::Counters(counters))),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use lb_shared::frame::{VERSION, Version};
    use std::io::Write as _;
    use std::os::unix::net::UnixListener;

    /// What the dashboard is told first when this comes from the agent's side.
    fn told(name: &str, bytes: Vec<u8>) -> Failure {
        let folder =
            std::env::temp_dir().join(format!("lbtui-{}-{}", std::process::id(), name.replace(' ', "-")));
        std::fs::create_dir_all(&folder).unwrap();
        let path = folder.join("s");
        let listener = UnixListener::bind(&path).unwrap();
        thread::spawn(move || {
            for stream in listener.incoming() {
                let Ok(mut stream) = stream else { return };
                let _ = stream.write_all(&bytes);
            }
        });
        let (to, messages) = channel();
        let link = Link::start(Host::Unix(path), Out { seat: 0, to }, SAMPLE_EVERY);
        let (_, msg) = messages.recv_timeout(Duration::from_secs(20)).unwrap();
        drop(link);
        std::fs::remove_dir_all(&folder).unwrap();
        match msg {
            Msg::Link(News::Down { failure, .. }) => failure,
            other => panic!("{name}: {other:?}"),
        }
    }

    #[test]
    fn garbage_from_the_agents_side_is_a_failure_in_words() {
        let greeted = |rest: &[u8]| [&VERSION.preface()[..], rest].concat();
        for (name, bytes) in [
            ("nothing", Vec::new()),
            ("noise", (0..4_096_u32).map(|n| (n * 197 % 251) as u8).collect()),
            ("zeros", vec![0; 64]),
            ("words", b"HTTP/1.1 400 Bad Request\r\n\r\n".to_vec()),
            ("half a preface", VERSION.preface()[..7].to_vec()),
            ("no frame", greeted(&[])),
            ("a frame without an end", greeted(&[0, 0, 16, 0, 3, 1, 2, 3])),
            ("a frame of four gigabytes", greeted(&[255, 255, 255, 255, 3])),
            ("an unknown kind", greeted(&[0, 0, 0, 1, 99, 0])),
            (
                "a message that is none",
                greeted(&[0, 0, 0, 4, 3, 250, 250, 250, 250]),
            ),
            ("a request", greeted(&[0, 0, 0, 1, 1, 0])),
        ] {
            let failure = told(name, bytes);
            assert!(failure.message.len() > 10, "{name}: {failure:?}");
            assert!(
                failure.message.chars().all(|c| !c.is_control()),
                "{name}: {failure:?}"
            );
        }
    }

    /// An agent that answers each request as `answer` says; what the link told of it, until `last`.
    fn answered(
        name: &str,
        answer: impl Fn(&Request) -> Reply + Clone + Send + 'static,
        last: impl Fn(&News) -> bool,
    ) -> Vec<News> {
        let path = std::env::temp_dir().join(format!("lbtui-{}-{name}.sock", std::process::id()));
        let listener = UnixListener::bind(&path).unwrap();
        thread::spawn(move || {
            for stream in listener.incoming() {
                let Ok(stream) = stream else { return };
                let answer = answer.clone();
                thread::spawn(move || serve(stream, &answer));
            }
        });
        let (to, messages) = channel();
        let link = Link::start(Host::Unix(path.clone()), Out { seat: 0, to }, SAMPLE_EVERY);
        link.sample(Some(WindowAsk {
            rows: lb_shared::window::Rows::All,
            round: 0,
        }));
        let mut told = Vec::new();
        while !told.last().is_some_and(&last) {
            match messages.recv_timeout(Duration::from_secs(20)).unwrap() {
                (_, Msg::Link(news)) => told.push(news),
                (_, other) => panic!("{name}: {other:?}"),
            }
        }
        drop(link);
        std::fs::remove_file(&path).unwrap();
        told
    }

    fn serve(mut stream: std::os::unix::net::UnixStream, answer: &impl Fn(&Request) -> Reply) {
        use std::io::Read as _;
        let mut preface = [0; frame::PREFACE_LEN];
        let mut head = [0; frame::HEAD_LEN];
        let _ = stream.write_all(&VERSION.preface());
        let _ = stream.read_exact(&mut preface);
        while stream.read_exact(&mut head).is_ok() {
            let (_, length) = frame::head(head).unwrap();
            let mut body = vec![0; length];
            stream.read_exact(&mut body).unwrap();
            let request = frame::decode_request(&body).unwrap();
            let _ = stream.write_all(&frame::encode_reply(&answer(&request)).unwrap());
        }
    }

    #[test]
    fn an_agent_without_excerpts_and_windows_is_asked_for_everything() {
        let demo = lb_shared::fixture::demo();
        let (snapshot, counters) = (demo.snapshot, demo.counters);
        let answer = move |request: &Request| match request {
            Request::Hello { .. } => Reply::Hello(lb_shared::request::Hello {
                agent: "0.1.0".into(),
                host: "lb1".into(),
                role: lb_shared::request::Role::Admin,
            }),
            Request::Events { .. } => Reply::Events(Vec::new()),
            Request::Watch => Reply::Snapshot(Box::new(snapshot.clone())),
            Request::Counters => Reply::Counters(Box::new(counters.clone())),
            _ => Reply::Refused(lb_shared::request::Refusal::new(
                lb_shared::request::RefusalCode::BadRequest,
                frame::FrameError::Decode("UnexpectedVariant".into()).to_string(),
                "use clients of the agent's version",
            )),
        };
        let both = std::cell::Cell::new((false, false));
        let told = answered("older", answer, |news| {
            match news {
                News::Update(_) => both.set((true, both.get().1)),
                News::Counters(_) => both.set((both.get().0, true)),
                _ => {}
            }
            both.get() == (true, true)
        });
        assert!(
            !told.iter().any(|news| matches!(news, News::Down { .. })),
            "{told:?}"
        );
    }

    #[test]
    fn an_agent_of_another_version_is_named_with_what_to_do() {
        for (name, major, part) in [
            ("older", 0, "the agent is older"),
            ("newer", VERSION.major + 1, "this program is older"),
        ] {
            let version = Version { major, minor: 0 };
            let failure = told(name, version.preface().to_vec());
            let words = format!("{} {}", failure.message, failure.hint);
            assert!(words.contains(part), "{name}: {words}");
            assert!(!failure.hint.is_empty(), "{name}");
        }
    }
}
