//! Copies: a snapshot sent to a client that wants what there is and nothing that comes after it, as `redis-cli --rdb` does.
//!
//!     SYNC -> a snapshot (`node/saving/`) -> its file -> a thread: reads --pieces, two at a time--> output, as it is sent -> close
//!
//! Promises  what is sent is one snapshot, whole, or the connection ends before the length that was told; one that is slow to read
//!           takes the memory of some pieces and an open file, and no core's time.
//! Not here  what the client has said that it wants: `commands/replication.rs`.
//! Tests     tests/server/copies.rs.

use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, SyncSender, TryRecvError, sync_channel};

use nix::fcntl::{PosixFadviseAdvice, posix_fadvise};

use super::core::Core;
use super::functions::Codes;
use super::gather::{Asker, Purpose};
use super::message::Question;
use super::ring::Token;
use super::snapshot::{Pace, without_keys};
use crate::commands::session::{CopyParts, SaveRequest};

/// What is read and sent at once.
const PIECE_BYTES: usize = 128 * 1024;
/// Pieces that have been read and not been taken.
const PIECES_MAX: usize = 2;
/// Who waits for the snapshot is told so often that it is being made, by a line that is empty.
const SIGN_MS: i64 = 1_000;
/// Why there is no copy; the log knows more.
pub(super) const NO_COPY: &str = "ERR BGSAVE failed, replication can't continue";

/// What a copy is read from.
pub(super) enum Source {
    /// A snapshot's file.
    File(Arc<File>),
    /// Functions alone: their texts, whether there is a checksum, and what the file is to say of memory.
    Functions(Box<dyn Fn() -> Codes + Send>, bool, u64),
}

/// A client with a copy on its way, or that waits for one.
pub struct Copying {
    token: Token,
    /// None: the snapshot is being made.
    pieces: Option<Receiver<io::Result<Vec<u8>>>>,
    told_ms: i64,
}

impl Core {
    /// SYNC. The connection is blocked until it is closed, or refused.
    pub(super) fn copy_request(&mut self, token: Token, parts: CopyParts) {
        // A script that runs for long would keep the cut waiting.
        if let Some(busy) = self.mesh.board().busy_scripts.all().first() {
            return self.fail(token, busy.text());
        }
        let Some(connection) = self.connections.get_mut(token) else {
            return;
        };
        connection.is_copied_to = true;
        self.copies.push(Copying {
            token,
            pieces: None,
            told_ms: self.now_ms,
        });
        let functions: Box<dyn Fn() -> Codes + Send> = match parts {
            CopyParts::All => {
                let question = Question::Save(SaveRequest::Copy);
                return self.ask(0, Asker::Connection(token), Purpose::Copy, question);
            }
            CopyParts::Functions => self.function_codes(),
            CopyParts::Nothing => Box::new(Codes::default),
        };
        let used_memory = super::process::resident_bytes().0;
        let source = Source::Functions(functions, self.options.rdbchecksum, used_memory);
        self.start_copy(token, source);
    }

    /// What is to be sent is there.
    pub(super) fn start_copy(&mut self, token: Token, source: Source) {
        let (sender, pieces) = sync_channel(PIECES_MAX);
        let read = move || {
            super::time_slice::shorten();
            if let Err(error) = read(&source, &sender) {
                // The client may have gone meanwhile.
                let _ = sender.send(Err(error));
            }
        };
        let thread = std::thread::Builder::new().name("rondo-copy".into());
        if let Err(error) = thread.spawn(read) {
            tracing::warn!(%error, "no thread for a copy");
            return self.fail_copy(token, NO_COPY.as_bytes());
        }
        let copy = self.copies.iter_mut().find(|copy| copy.token == token);
        if let Some(copy) = copy {
            copy.pieces = Some(pieces);
        }
    }

    /// There is none.
    pub(super) fn fail_copy(&mut self, token: Token, text: &[u8]) {
        self.copies.retain(|copy| copy.token != token);
        if let Some(connection) = self.connections.get_mut(token) {
            connection.is_copied_to = false;
        }
        self.fail_with(token, text);
    }

    /// Hands on what has been read, once what was before has been sent.
    #[inline]
    pub(super) fn go_on_copying(&mut self) -> Pace {
        match self.copies.is_empty() {
            true => Pace::Rest,
            false => self.copy_on(),
        }
    }

    #[cold]
    fn copy_on(&mut self) -> Pace {
        let mut pace = Pace::Rest;
        let mut copies = std::mem::take(&mut self.copies);
        copies.retain_mut(|copy| match self.step_of(copy) {
            Some(of_copy) => {
                if of_copy == Pace::Soon {
                    pace = Pace::Soon;
                }
                true
            }
            None => false,
        });
        // A step begins none.
        self.copies = copies;
        pace
    }

    /// None: it is over.
    fn step_of(&mut self, copy: &mut Copying) -> Option<Pace> {
        let token = copy.token;
        let connection = self.connections.get_mut(token)?;
        if connection.closed {
            return None;
        }
        if self.stopping || connection.is_doomed {
            self.close(token);
            return None;
        }
        if connection.sending || !connection.output.is_empty() || connection.holding.is_some() {
            return Some(Pace::Rest);
        }
        let Some(pieces) = &copy.pieces else {
            if self.now_ms - copy.told_ms >= SIGN_MS {
                copy.told_ms = self.now_ms;
                connection.output.push(b'\n');
                self.mark_dirty(token);
            }
            return Some(Pace::Rest);
        };
        match pieces.try_recv() {
            Ok(Ok(piece)) => {
                connection.output = piece;
                self.mark_dirty(token);
                Some(Pace::Rest)
            }
            Err(TryRecvError::Empty) => Some(Pace::Soon),
            Ok(Err(error)) => {
                tracing::warn!(%error, "a copy was given up: its file cannot be read");
                self.close(token);
                None
            }
            Err(TryRecvError::Disconnected) => {
                tracing::info!(client = connection.session.id, "a copy has been sent");
                self.complete(token, |_, _| {});
                self.close(token);
                None
            }
        }
    }
}

/// Sends `$length`, and all of it. Whoever takes it may be gone: then it is over.
fn read(source: &Source, sender: &SyncSender<io::Result<Vec<u8>>>) -> io::Result<()> {
    let file = match source {
        Source::Functions(functions, has_checksum, used_memory) => {
            let codes = functions().codes;
            let bytes = without_keys(&codes, *has_checksum, *used_memory);
            let mut piece = format!("${}\r\n", bytes.len()).into_bytes();
            piece.extend(bytes);
            let _ = sender.send(Ok(piece));
            return Ok(());
        }
        Source::File(file) => file,
    };
    let bytes = file.metadata()?.len();
    let mut piece = format!("${bytes}\r\n").into_bytes();
    let mut at = 0;
    while at < bytes {
        let part = (bytes - at).min(PIECE_BYTES as u64) as usize;
        let begin = piece.len();
        piece.resize(begin + part, 0);
        file.read_exact_at(&mut piece[begin..], at)?;
        at += part as u64;
        if sender.send(Ok(std::mem::take(&mut piece))).is_err() {
            break;
        }
        // Nobody reads it again soon.
        let dropped = PosixFadviseAdvice::POSIX_FADV_DONTNEED;
        let _ = posix_fadvise(&**file, 0, at as i64, dropped);
    }
    Ok(())
}
