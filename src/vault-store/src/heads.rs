//! The entries of many secrets by the beginnings of their files, several files at a time: to open one takes the kernel longer than all
//! that is done with it.

use std::num::NonZero;
use std::panic;
use std::thread::{self, Builder};

use vault::{RecordFile, SecretEntry};

use crate::StoreError;
use crate::directory::Directory;

/// Files for which a thread is worth its while.
const LEAST: usize = 500;
/// Threads at most: the daemon has other work.
const MOST: usize = 4;
/// More than a record has whose value is no longer than most: its length is known without a question.
const ROOM: usize = 1024;
const _: () = assert!(ROOM > RecordFile::HEAD);

/// What each record says of itself, in the same order. The first that cannot be read is the error.
pub(crate) fn entries(directory: &Directory, records: &[RecordFile]) -> Result<Vec<SecretEntry>, StoreError> {
    let processors = thread::available_parallelism().map_or(1, NonZero::get);
    let share = records.len().div_ceil(processors.min(MOST)).max(LEAST);
    let Some((own, others)) = records.split_at_checked(share) else { return read(directory, records) };
    let (own, others) = thread::scope(|scope| {
        let begin =
            |part| Builder::new().spawn_scoped(scope, move || read(directory, part)).map_err(|_| part);
        let others: Vec<_> = others.chunks(share).map(begin).collect();
        let own = read(directory, own);
        // Where no thread is to be had, it takes longer.
        let end = |thread: Result<thread::ScopedJoinHandle<'_, _>, _>| match thread {
            Ok(thread) => thread.join().unwrap_or_else(|panicked| panic::resume_unwind(panicked)),
            Err(part) => read(directory, part),
        };
        (own, others.into_iter().map(end).collect::<Vec<_>>())
    });
    let mut all = own?;
    for part in others {
        all.append(&mut part?);
    }
    Ok(all)
}

fn read(directory: &Directory, records: &[RecordFile]) -> Result<Vec<SecretEntry>, StoreError> {
    let mut room = [0; ROOM];
    let entry = |record: &RecordFile| {
        let (read, length) = directory.read_head(record.file(), &mut room)?;
        Ok(record.entry(room.get(..read).unwrap_or_default(), length))
    };
    records.iter().map(entry).collect()
}
