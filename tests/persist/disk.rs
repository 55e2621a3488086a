//! A disk in memory: it does what a log asks for, at once and without fail.

use std::collections::BTreeMap;

use rondo::persist::Log;
use rondo::persist::log::Request;
use rondo::persist::recovery::Files;
use rondo::persist::source::{Source, Window};

/// Segments by epoch, core and number.
#[derive(Clone, Default)]
pub struct MemoryDisk {
    pub files: BTreeMap<(u64, u16, u64), Vec<u8>>,
    /// They are read by pieces of so many bytes; 0 is whole.
    pub piece_bytes: usize,
}

/// A file's contents as if no more than a piece of them were at hand.
pub fn by_pieces(file: &[u8], piece_bytes: usize) -> impl Source {
    Window::new(
        file.len() as u64,
        piece_bytes,
        move |at: u64, bytes: &mut [u8]| {
            bytes.copy_from_slice(&file[at as usize..][..bytes.len()]);
            Ok(())
        },
    )
}

impl MemoryDisk {
    /// Does all that a log asks for.
    pub fn perform(&mut self, epoch: u64, core: u16, log: &mut Log) {
        loop {
            if let Some(request) = log.next_prepare() {
                self.prepare(epoch, core, log, request);
            } else if let Some(Request::Write {
                id,
                sequence,
                offset,
                buffer,
                ..
            }) = log.next_write()
            {
                let file = self
                    .files
                    .get_mut(&(epoch, core, sequence))
                    .expect("a file");
                let at = offset as usize;
                file[at..at + buffer.len()].copy_from_slice(buffer.as_slice());
                log.wrote(id, buffer, Ok(()));
            } else if let Some(Request::Sync { sequence }) = log.next_sync() {
                log.synced(sequence, Ok(()));
            } else {
                return;
            }
        }
    }

    /// Makes the file of a `Prepare`.
    pub fn prepare(&mut self, epoch: u64, core: u16, log: &mut Log, request: Request) {
        let Request::Prepare {
            sequence,
            bytes,
            block,
        } = request
        else {
            panic!("a preparation: {request:?}");
        };
        let mut file = vec![0; bytes as usize];
        file[..block.len()].copy_from_slice(block.as_slice());
        self.files.insert((epoch, core, sequence), file);
        log.prepared(sequence, Ok(()));
    }
}

impl Files for MemoryDisk {
    fn segments(&self, epoch: u64, core: u16) -> Result<Vec<u64>, String> {
        let all = self.files.keys();
        let its = all.filter(|(of, on, _)| (*of, *on) == (epoch, core));
        Ok(its.map(|(_, _, sequence)| *sequence).collect())
    }

    fn contents(
        &self,
        epoch: u64,
        core: u16,
        sequence: u64,
    ) -> Result<Box<dyn Source + '_>, String> {
        let file = self.files.get(&(epoch, core, sequence));
        let file = file.ok_or_else(|| "no such file".to_string())?;
        Ok(match self.piece_bytes {
            0 => Box::new(file.as_slice()),
            bytes => Box::new(by_pieces(file, bytes)),
        })
    }

    fn name(&self, epoch: u64, core: u16, sequence: u64) -> String {
        format!("core-{core:02}/{epoch}-{sequence}")
    }

    fn names(&self, epoch: u64, core: u16) -> String {
        format!("core-{core:02}/{epoch}-*")
    }
}
