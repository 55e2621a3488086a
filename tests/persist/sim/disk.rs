//! A disk with a volatile cache: writes end in any order, a power cut leaves any sectors of what was not durable.

use std::collections::BTreeMap;

use rondo::base::rng::Rng;
use rondo::persist::log::Request;
use rondo::persist::recovery::Files;
use rondo::persist::source::Source;
use rondo::persist::{BlockBuffer, Log};

use super::super::disk::by_pieces;

const SECTOR_BYTES: usize = 512;
/// So much of a segment is looked at at once: a record may begin in one piece and end in another.
const PIECE_BYTES: usize = 5000;

/// A segment: epoch, core, number.
pub type Place = (u64, u16, u64);

/// What the disk has been asked to do and has not done, and the epoch of the log that asked.
struct Asked {
    epoch: u64,
    core: u16,
    task: Task,
}

enum Task {
    Prepare {
        sequence: u64,
        bytes: u64,
        block: BlockBuffer,
    },
    Write {
        id: u64,
        sequence: u64,
        offset: u64,
        buffer: BlockBuffer,
        is_durable: bool,
    },
    Sync {
        sequence: u64,
        /// How much of the cache it is about.
        until: u64,
    },
}

/// Bytes in the cache.
struct Cached {
    number: u64,
    place: Place,
    offset: u64,
    bytes: Vec<u8>,
}

/// Tells the log of an epoch and a core something, or the one that has taken its place.
pub type Tell<'t> = dyn FnMut(u64, u16, &mut dyn FnMut(&mut Log)) + 't;

#[derive(Default)]
pub struct Disk {
    /// What is there whatever happens.
    pub durable: BTreeMap<Place, Vec<u8>>,
    cache: Vec<Cached>,
    last_number: u64,
    tasks: Vec<Asked>,
    pub failed_writes: u64,
    pub failed_syncs: u64,
    pub torn: u64,
}

impl Disk {
    /// Takes what a log wants done.
    ///
    /// - `syncs`: now is the time.
    pub fn take(&mut self, core: u16, log: &mut Log, syncs: bool) {
        let epoch = log.epoch();
        let tasks = &mut self.tasks;
        let mut ask = |task| tasks.push(Asked { epoch, core, task });
        if let Some(Request::Prepare {
            sequence,
            bytes,
            block,
        }) = log.next_prepare()
        {
            ask(Task::Prepare {
                sequence,
                bytes,
                block,
            });
        }
        while let Some(Request::Write {
            id,
            sequence,
            offset,
            buffer,
            is_durable,
        }) = log.next_write()
        {
            ask(Task::Write {
                id,
                sequence,
                offset,
                buffer,
                is_durable,
            });
        }
        if syncs && let Some(Request::Sync { sequence }) = log.next_sync() {
            let until = self.last_number;
            ask(Task::Sync { sequence, until });
        }
    }

    /// Does one of the tasks, any; tells its log.
    ///
    /// - `fails`: it may fail.
    /// - `lies`: what is to be durable is not.
    pub fn step(&mut self, rng: &mut Rng, log_of: &mut Tell<'_>, fails: bool, lies: bool) {
        if self.tasks.is_empty() {
            return;
        }
        let index = rng.below(self.tasks.len() as u64) as usize;
        let Asked { epoch, core, task } = self.tasks.swap_remove(index);
        let odds = match task {
            Task::Sync { .. } => 4,
            Task::Prepare { .. } | Task::Write { .. } => 12,
        };
        let fails = fails && rng.below(odds) == 0;
        match task {
            Task::Prepare {
                sequence,
                bytes,
                block,
            } => {
                let result = if fails { Err(libc_enospc()) } else { Ok(()) };
                if result.is_ok() {
                    // Another file, where there was one of this name.
                    self.cache
                        .retain(|cached| cached.place != (epoch, core, sequence));
                    let mut file = vec![0; bytes as usize];
                    file[..block.len()].copy_from_slice(block.as_slice());
                    self.durable.insert((epoch, core, sequence), file);
                }
                log_of(epoch, core, &mut |log| log.prepared(sequence, result));
            }
            Task::Write {
                id,
                sequence,
                offset,
                buffer,
                is_durable,
            } => {
                let place = (epoch, core, sequence);
                let mut buffer = Some(buffer);
                let bytes = buffer.as_ref().map_or(&[][..], |buffer| buffer.as_slice());
                let bytes = bytes.to_vec();
                let result = if fails {
                    self.failed_writes += 1;
                    // Any part of it may be there, now or later.
                    self.cache(place, offset, bytes);
                    Err(libc_enospc())
                } else {
                    if is_durable && !lies {
                        put(&mut self.durable, place, offset, &bytes);
                    } else {
                        self.cache(place, offset, bytes);
                    }
                    Ok(())
                };
                log_of(epoch, core, &mut |log| {
                    if let Some(buffer) = buffer.take() {
                        log.wrote(id, buffer, result);
                    }
                });
            }
            Task::Sync { sequence, until } => {
                let place = (epoch, core, sequence);
                let is_its = |cached: &Cached| cached.place == place && cached.number <= until;
                if fails {
                    self.failed_syncs += 1;
                    // As the kernel does: what could not be written is dropped, and not told again.
                    let its: Vec<Cached> = self.cache.extract_if(.., |it| is_its(it)).collect();
                    for cached in its {
                        self.torn += u64::from(tear(&mut self.durable, rng, &cached));
                    }
                } else if !lies {
                    for cached in self.cache.extract_if(.., |it| is_its(it)) {
                        put(&mut self.durable, place, cached.offset, &cached.bytes);
                    }
                }
                let result = if fails { Err(5) } else { Ok(()) };
                log_of(epoch, core, &mut |log| log.synced(sequence, result));
            }
        }
    }

    fn cache(&mut self, place: Place, offset: u64, bytes: Vec<u8>) {
        self.last_number += 1;
        self.cache.push(Cached {
            number: self.last_number,
            place,
            offset,
            bytes,
        });
    }

    /// The power goes: of what was not durable any sectors are there.
    pub fn cut(&mut self, rng: &mut Rng) {
        for Asked { epoch, core, task } in std::mem::take(&mut self.tasks) {
            match task {
                Task::Write {
                    sequence,
                    offset,
                    buffer,
                    ..
                } => self.cache((epoch, core, sequence), offset, buffer.as_slice().to_vec()),
                Task::Prepare {
                    sequence,
                    bytes,
                    block,
                } if rng.below(2) == 0 => {
                    let place = (epoch, core, sequence);
                    self.durable.insert(place, vec![0; bytes as usize]);
                    self.cache(place, 0, block.as_slice().to_vec());
                }
                Task::Prepare { .. } | Task::Sync { .. } => {}
            }
        }
        for cached in std::mem::take(&mut self.cache) {
            self.torn += u64::from(tear(&mut self.durable, rng, &cached));
        }
    }
}

fn libc_enospc() -> i32 {
    28
}

fn put(files: &mut BTreeMap<Place, Vec<u8>>, place: Place, offset: u64, bytes: &[u8]) {
    // A segment that was dropped meanwhile is gone.
    if let Some(file) = files.get_mut(&place) {
        let at = offset as usize;
        file[at..at + bytes.len()].copy_from_slice(bytes);
    }
}

/// Any sectors of it; whether some but not all.
fn tear(files: &mut BTreeMap<Place, Vec<u8>>, rng: &mut Rng, cached: &Cached) -> bool {
    let odds = [0, 1, 2, 3, 4][rng.below(5) as usize];
    let (mut some, mut all) = (false, true);
    for (index, sector) in cached.bytes.chunks(SECTOR_BYTES).enumerate() {
        if rng.below(4) < odds {
            let offset = cached.offset + (index * SECTOR_BYTES) as u64;
            put(files, cached.place, offset, sector);
            some = true;
        } else {
            all = false;
        }
    }
    some && !all
}

impl Files for Disk {
    fn segments(&self, epoch: u64, core: u16) -> Result<Vec<u64>, String> {
        let all = self.durable.keys();
        let its = all.filter(|(of, on, _)| (*of, *on) == (epoch, core));
        Ok(its.map(|(_, _, sequence)| *sequence).collect())
    }

    fn contents(
        &self,
        epoch: u64,
        core: u16,
        sequence: u64,
    ) -> Result<Box<dyn Source + '_>, String> {
        let file = self.durable.get(&(epoch, core, sequence));
        let file = file.ok_or_else(|| "no such file".to_string())?;
        Ok(Box::new(by_pieces(file, PIECE_BYTES)))
    }

    fn name(&self, epoch: u64, core: u16, sequence: u64) -> String {
        format!("core-{core:02}/{epoch}-{sequence}")
    }

    fn names(&self, epoch: u64, core: u16) -> String {
        format!("core-{core:02}/{epoch}-*")
    }
}
