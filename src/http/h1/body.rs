//! Reading a body by its framing, whatever the framing is.

use std::ops::Range;

use super::chunked::ChunkedDecoder;
use crate::http::error::ChunkError;
use crate::http::fields::Fields;
use crate::http::limits::Limits;
use crate::http::message::BodyLength;

/// What one step of a decoder found in its input.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Step {
    /// So many bytes of the input are used up, `data` included.
    pub consumed: usize,
    /// The body's bytes, as a range of the input; perhaps empty. They are forwarded from where they
    /// were received, without a copy.
    pub data: Range<usize>,
    /// Whether the body, trailers included, is complete. Bytes after `consumed` are not its.
    pub done: bool,
}

/// Reads a body of any framing.
#[derive(Debug, Default)]
pub enum BodyDecoder {
    /// No body; done at once.
    #[default]
    None,
    /// So many bytes are still to come.
    Length {
        /// Bytes not yet seen.
        remaining: u64,
    },
    /// Chunked.
    Chunked(ChunkedDecoder),
    /// Everything until the connection closes.
    UntilClose,
}

impl BodyDecoder {
    /// The decoder for a framing.
    pub fn new(length: BodyLength, limits: &Limits) -> Self {
        match length {
            BodyLength::None | BodyLength::Length(0) => BodyDecoder::None,
            BodyLength::Length(remaining) => BodyDecoder::Length { remaining },
            BodyLength::Chunked => BodyDecoder::Chunked(ChunkedDecoder::new(limits)),
            BodyLength::UntilClose => BodyDecoder::UntilClose,
        }
    }

    /// Whether the body is complete.
    pub fn is_done(&self) -> bool {
        match self {
            BodyDecoder::None | BodyDecoder::Length { remaining: 0 } => true,
            BodyDecoder::Length { .. } | BodyDecoder::UntilClose => false,
            BodyDecoder::Chunked(chunked) => chunked.is_done(),
        }
    }

    /// Looks at the next received bytes. Call again with what follows `consumed` until `done`, or
    /// until a step of the rest consumes nothing because the rest is empty.
    #[inline]
    pub fn decode(&mut self, input: &[u8]) -> Result<Step, ChunkError> {
        Ok(match self {
            BodyDecoder::None => Step {
                consumed: 0,
                data: 0..0,
                done: true,
            },
            BodyDecoder::Length { remaining } => {
                let here = usize::try_from(*remaining)
                    .unwrap_or(usize::MAX)
                    .min(input.len());
                *remaining -= here as u64;
                Step {
                    consumed: here,
                    data: 0..here,
                    done: *remaining == 0,
                }
            }
            BodyDecoder::Chunked(chunked) => return chunked.decode(input),
            BodyDecoder::UntilClose => Step {
                consumed: input.len(),
                data: 0..input.len(),
                done: false,
            },
        })
    }

    /// Tells the decoder that the peer has closed: the end of a body that ends so, an error for any
    /// other that is not done.
    pub fn end_of_input(&mut self) -> Result<(), ChunkError> {
        match self {
            BodyDecoder::UntilClose => {
                *self = BodyDecoder::None;
                Ok(())
            }
            _ if self.is_done() => Ok(()),
            _ => Err(ChunkError::Truncated),
        }
    }

    /// The trailers of a chunked body that is done.
    pub fn trailers(&self) -> Option<&Fields> {
        match self {
            BodyDecoder::Chunked(chunked) => chunked.trailers(),
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn decoder(length: BodyLength) -> BodyDecoder {
        BodyDecoder::new(length, &Limits::default())
    }

    #[test]
    fn a_length_ends_exactly() {
        let mut body = decoder(BodyLength::Length(5));
        let step = body.decode(b"hel").unwrap();
        assert_eq!(
            step,
            Step {
                consumed: 3,
                data: 0..3,
                done: false
            }
        );
        assert_eq!(body.end_of_input(), Err(ChunkError::Truncated));
        let step = body.decode(b"loGET").unwrap();
        assert_eq!(
            step,
            Step {
                consumed: 2,
                data: 0..2,
                done: true
            }
        );
        assert!(body.is_done());
        assert_eq!(body.end_of_input(), Ok(()));
        let step = body.decode(b"GET").unwrap();
        assert_eq!(
            step,
            Step {
                consumed: 0,
                data: 0..0,
                done: true
            }
        );
    }

    #[test]
    fn no_body_is_done_at_once() {
        for length in [BodyLength::None, BodyLength::Length(0)] {
            let mut body = decoder(length);
            assert!(body.is_done());
            let step = body.decode(b"GET").unwrap();
            assert_eq!(
                step,
                Step {
                    consumed: 0,
                    data: 0..0,
                    done: true
                }
            );
        }
    }

    #[test]
    fn until_close_ends_with_the_input() {
        let mut body = decoder(BodyLength::UntilClose);
        let step = body.decode(b"abc").unwrap();
        assert_eq!(
            step,
            Step {
                consumed: 3,
                data: 0..3,
                done: false
            }
        );
        assert_eq!(body.end_of_input(), Ok(()));
        assert!(body.is_done());
    }

    #[test]
    fn a_cut_chunked_body_is_truncated() {
        let mut body = decoder(BodyLength::Chunked);
        let step = body.decode(b"3\r\nabc\r\n0\r\n").unwrap();
        assert_eq!(
            step,
            Step {
                consumed: 11,
                data: 3..6,
                done: false
            }
        );
        assert_eq!(body.end_of_input(), Err(ChunkError::Truncated));
        assert!(body.decode(b"\r\n").unwrap().done);
        assert!(body.trailers().is_none());
        assert_eq!(body.end_of_input(), Ok(()));
    }
}
