//! A conversation without a socket: bytes in, steps out.

/// What to do next.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Step {
    /// Send these bytes, then go on reading.
    Send(Vec<u8>),
    /// Read on.
    More,
    /// Begin TLS on the connection.
    StartTls,
    /// Done, and good.
    Pass,
    /// Done, and not good: why.
    Fail(String),
}

/// One side of a conversation. Whoever drives it has the connection and the clock.
pub trait Dialog {
    /// The connection stands.
    fn on_open(&mut self) -> Step;
    /// TLS, as asked for with [`Step::StartTls`], stands.
    fn on_secure(&mut self) -> Step;
    /// The peer sent something.
    fn on_bytes(&mut self, bytes: &[u8]) -> Step;
    /// The peer will send no more.
    fn on_end(&mut self) -> Step;
}
