//! What waits for a client of JSON lines: bounded in bytes. Who does not take an answer is let go; who does not read a
//! stream may stay, and holds what fits in here.

use super::limits;
use std::future::Future;
use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;
use tokio::io::AsyncWriteExt as _;
use tokio::net::unix::OwnedWriteHalf;
use tokio::sync::{OwnedSemaphorePermit, Semaphore, mpsc};
use tokio::time::timeout;

/// Where the lines for a client go. Full while it does not read: whoever writes waits then.
#[derive(Clone, Debug)]
pub(super) struct Outbox {
    queue: mpsc::Sender<Line>,
    /// In bytes.
    room: Arc<Semaphore>,
    /// Answers in the queue.
    answers: Arc<AtomicUsize>,
}

/// The client is gone.
#[derive(Clone, Copy, Debug)]
pub(super) struct Gone;

#[derive(Debug)]
struct Line {
    bytes: Vec<u8>,
    answer: bool,
    _room: OwnedSemaphorePermit,
}

impl Outbox {
    /// The box, and who empties it until all that write are done, the client is gone or is let go.
    ///
    /// `stall`: for so long nothing may be taken while an answer waits.
    pub(super) fn open(writer: OwnedWriteHalf, stall: Duration) -> (Self, impl Future<Output = ()>) {
        let (to, queue) = mpsc::channel(limits::LINES_QUEUED);
        let outbox = Self {
            queue: to,
            room: Arc::new(Semaphore::new(limits::LINES_WAITING)),
            answers: Arc::default(),
        };
        let (room, answers) = (Arc::clone(&outbox.room), Arc::clone(&outbox.answers));
        let emptying = async move {
            empty(writer, queue, &answers, stall).await;
            // Whoever waits for room waits for nobody.
            room.close();
        };
        (outbox, emptying)
    }

    /// Puts an answer in: it has to be taken.
    pub(super) async fn send(&self, line: Vec<u8>) -> Result<(), Gone> {
        self.put(line, true).await
    }

    /// Puts a line of a stream in, which may wait for its reader.
    pub(super) async fn tell(&self, line: Vec<u8>) -> Result<(), Gone> {
        self.put(line, false).await
    }

    async fn put(&self, bytes: Vec<u8>, answer: bool) -> Result<(), Gone> {
        if answer {
            // Counted before there is room: what keeps it waiting may be a line that nobody takes.
            self.answers.fetch_add(1, Ordering::Relaxed);
        }
        // A line that is longer than the box has it for itself.
        let size = u32::try_from(bytes.len().min(limits::LINES_WAITING)).unwrap_or(u32::MAX);
        let room = Arc::clone(&self.room).acquire_many_owned(size).await;
        let line = Line {
            bytes,
            answer,
            _room: room.map_err(|_| Gone)?,
        };
        self.queue.send(line).await.map_err(|_| Gone)
    }
}

async fn empty(
    mut writer: OwnedWriteHalf,
    mut queue: mpsc::Receiver<Line>,
    answers: &AtomicUsize,
    stall: Duration,
) {
    let mut probe = tokio::time::interval(Duration::from_secs(5));
    loop {
        tokio::select! {
            line = queue.recv() => {
                let Some(line) = line else { return };
                if !write(&mut writer, &line, answers, stall).await {
                    return;
                }
                if line.answer {
                    answers.fetch_sub(1, Ordering::Relaxed);
                }
            }
            // A client that only listens is noticed to be gone by an empty write.
            _ = probe.tick() => {
                if let Err(error) = writer.try_write(&[])
                    && error.kind() != io::ErrorKind::WouldBlock
                {
                    return;
                }
            }
        }
    }
}

/// False when the client is gone, or takes nothing while an answer waits for it.
async fn write(writer: &mut OwnedWriteHalf, line: &Line, answers: &AtomicUsize, stall: Duration) -> bool {
    let mut rest = line.bytes.as_slice();
    while !rest.is_empty() {
        match timeout(stall, writer.write(rest)).await {
            Ok(Ok(0) | Err(_)) => return false,
            Ok(Ok(written)) => rest = &rest[written..],
            Err(_) if answers.load(Ordering::Relaxed) > 0 => return false,
            Err(_) => {}
        }
    }
    true
}

#[cfg(test)]
mod tests {
    use super::*;
    use tokio::io::AsyncReadExt as _;
    use tokio::net::UnixStream;

    const STALL: Duration = Duration::from_millis(50);

    /// A box, its emptying as a task, and the client's end.
    fn opened() -> (Outbox, tokio::task::JoinHandle<()>, UnixStream) {
        let (ours, theirs) = UnixStream::pair().unwrap();
        let (_, writer) = ours.into_split();
        let (outbox, emptying) = Outbox::open(writer, STALL);
        (outbox, tokio::spawn(emptying), theirs)
    }

    /// Puts lines in until nobody takes them any more; how many bytes went.
    async fn fill(outbox: &Outbox) -> usize {
        let mut went = 0;
        while let Ok(put) = timeout(Duration::from_millis(200), outbox.tell(vec![b'x'; 1_000])).await {
            put.unwrap();
            went += 1_000;
        }
        went
    }

    #[tokio::test]
    async fn a_stream_that_is_not_read_holds_little_and_stays() {
        let (outbox, emptying, mut client) = opened();
        let went = fill(&outbox).await;
        // What the kernel holds comes on top of it.
        assert!(went < limits::LINES_WAITING + (1 << 20), "{went}");
        tokio::time::sleep(4 * STALL).await;
        assert!(!emptying.is_finished(), "it is let go though it only listens");
        drop(outbox);
        let mut all = Vec::new();
        client.read_to_end(&mut all).await.unwrap();
        assert_eq!(all.len(), went, "nothing is lost or written twice");
    }

    #[tokio::test]
    async fn who_takes_no_answer_is_let_go_stream_or_not() {
        for stream in [false, true] {
            let (outbox, emptying, _client) = opened();
            if stream {
                fill(&outbox).await;
            }
            // Longer than the box and what the kernel holds.
            let answer = outbox.send(vec![b'x'; 4 << 20]);
            let ended = timeout(Duration::from_secs(20), async { (answer.await, emptying.await) }).await;
            assert!(ended.is_ok(), "stream: {stream}");
            assert!(outbox.send(vec![b'x']).await.is_err());
        }
    }

    #[tokio::test]
    async fn who_reads_slowly_gets_its_answer() {
        let (outbox, _emptying, mut client) = opened();
        let slowly = tokio::spawn(async move {
            let (mut got, mut buffer) = (0, vec![0; 128 << 10]);
            while got < 2 << 20 {
                tokio::time::sleep(STALL / 10).await;
                match client.read(&mut buffer).await.unwrap() {
                    0 => break,
                    read => got += read,
                }
            }
            got
        });
        outbox.send(vec![b'x'; 2 << 20]).await.unwrap();
        assert_eq!(slowly.await.unwrap(), 2 << 20);
    }
}
