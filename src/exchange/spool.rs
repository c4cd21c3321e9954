//! Bodies in memory: read up to a limit of their own, and counted together with all others of the shard for as long as
//! they exist.

use std::cell::Cell;
use std::io;
use std::rc::Rc;

use crate::http::Cause;
use crate::http::h1::BodyDecoder;
use crate::io::Stream;

/// Why a body is not in memory.
#[derive(Debug)]
pub(crate) enum SpoolError {
    /// It is longer than the limit. What has been read is in the spool; decoding can go on from there.
    TooLarge,
    /// All bodies of the shard together would be more than it may hold; otherwise as above.
    NoMemory,
    /// It did not arrive whole.
    Failed(Cause),
}

/// How many bytes of bodies a shard holds now.
#[derive(Debug, Default)]
pub(crate) struct SpoolMemory(Cell<u64>);

/// A body, or its beginning, in memory.
#[derive(Debug)]
pub(crate) struct Spool {
    bytes: Vec<u8>,
    /// How many bytes there were, until the spool is dropped; while they grow, up to twice as much memory is used.
    counted: u64,
    memory: Rc<SpoolMemory>,
}

impl SpoolMemory {
    /// Bytes held now.
    pub(crate) fn used(&self) -> u64 {
        self.0.get()
    }
}

impl Spool {
    pub(crate) fn new(memory: &Rc<SpoolMemory>) -> Self {
        Self {
            bytes: Vec::new(),
            counted: 0,
            memory: memory.clone(),
        }
    }

    pub(crate) fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// Takes the bytes out. They stay counted until the spool is dropped.
    pub(crate) fn take(&mut self) -> Vec<u8> {
        std::mem::take(&mut self.bytes)
    }

    fn push(&mut self, data: &[u8]) {
        self.bytes.extend_from_slice(data);
        let memory = &self.memory.0;
        memory.set(memory.get() + data.len() as u64);
        self.counted += data.len() as u64;
    }
}

impl Drop for Spool {
    fn drop(&mut self) {
        let memory = &self.memory.0;
        memory.set(memory.get() - self.counted);
    }
}

/// Reads the body that `decoder` finds on `stream` into `spool`, as long as it has no more than `limit` bytes and the
/// shard holds no more than `most`.
///
/// On `TooLarge` and `NoMemory`, there may be one received buffer more in the spool.
pub(crate) async fn spool(
    stream: &Stream,
    decoder: &mut BodyDecoder,
    limit: u64,
    most: u64,
    spool: &mut Spool,
) -> Result<(), SpoolError> {
    read(stream, decoder, |data| {
        spool.push(data);
        if spool.bytes.len() as u64 > limit {
            Err(SpoolError::TooLarge)
        } else if spool.memory.used() > most {
            Err(SpoolError::NoMemory)
        } else {
            Ok(())
        }
    })
    .await
}

/// Reads the body that `decoder` finds on `stream` and forgets it, up to `limit` bytes.
pub(crate) async fn discard(
    stream: &Stream,
    decoder: &mut BodyDecoder,
    limit: u64,
) -> Result<(), SpoolError> {
    let mut read_so_far = 0;
    read(stream, decoder, |data| {
        read_so_far += data.len() as u64;
        match read_so_far > limit {
            true => Err(SpoolError::TooLarge),
            false => Ok(()),
        }
    })
    .await
}

/// Hands each piece of the body to `put`, until it fails; what follows the pieces of one received buffer is then still on
/// the stream.
async fn read(
    stream: &Stream,
    decoder: &mut BodyDecoder,
    mut put: impl FnMut(&[u8]) -> Result<(), SpoolError>,
) -> Result<(), SpoolError> {
    let failed = |cause| Err(SpoolError::Failed(cause));
    while !decoder.is_done() {
        let Some(mut chunk) = stream.take() else {
            match stream.readable().await {
                Ok(true) => continue,
                Ok(false) if decoder.end_of_input().is_ok() => return Ok(()),
                Ok(false) => return failed(Cause::TruncatedBody),
                Err(error) if error.kind() == io::ErrorKind::TimedOut => {
                    return failed(Cause::RequestTimeout);
                }
                Err(_) => return failed(Cause::ClientClosed),
            }
        };
        let mut result = Ok(());
        while !chunk.is_empty() && !decoder.is_done() {
            match decoder.decode(&chunk) {
                Ok(step) => {
                    let put = put(&chunk[step.data]);
                    result = result.and(put);
                    chunk.advance(step.consumed);
                }
                Err(error) => return failed(Cause::MalformedBody(error)),
            }
        }
        if !chunk.is_empty() {
            stream.unread(chunk);
        }
        result?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_held_is_counted_until_it_is_dropped() {
        let memory = Rc::<SpoolMemory>::default();
        let mut one = Spool::new(&memory);
        let mut other = Spool::new(&memory);
        one.push(&[0; 1000]);
        other.push(&[0; 500]);
        other.push(&[0; 5000]);
        assert_eq!(memory.used(), 6500);
        assert_eq!(other.take().len(), 5500);
        assert_eq!(memory.used(), 6500, "still on its way out");
        drop(other);
        assert_eq!(memory.used(), 1000);
        drop(one);
        assert_eq!(memory.used(), 0);
    }
}
