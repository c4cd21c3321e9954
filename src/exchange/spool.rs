//! Reading a body into memory, up to a limit.

use std::io;

use crate::http::Cause;
use crate::http::h1::BodyDecoder;
use crate::io::Stream;

/// Why a body is not in memory.
pub(crate) enum SpoolError {
    /// It is longer than the limit. What has been read is in `bytes`; decoding can go on from there.
    TooLarge,
    /// It did not arrive whole.
    Failed(Cause),
}

/// Reads the body that `decoder` finds on `stream` into `bytes`.
///
/// On `TooLarge`, `bytes` holds up to one received buffer more than `limit`.
pub(crate) async fn spool(
    stream: &Stream,
    decoder: &mut BodyDecoder,
    limit: u64,
    bytes: &mut Vec<u8>,
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
        while !chunk.is_empty() && !decoder.is_done() {
            match decoder.decode(&chunk) {
                Ok(step) => {
                    bytes.extend_from_slice(&chunk[step.data]);
                    chunk.advance(step.consumed);
                }
                Err(error) => return failed(Cause::MalformedBody(error)),
            }
        }
        if !chunk.is_empty() {
            stream.unread(chunk);
        }
        if bytes.len() as u64 > limit {
            return Err(SpoolError::TooLarge);
        }
    }
    Ok(())
}
