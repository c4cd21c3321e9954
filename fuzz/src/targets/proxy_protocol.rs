//! PROXY protocol headers against a reader of `proxy-protocol.txt`, and whether anything behind a header counts.

use ringway::exchange::proxy_protocol::{MAX_V2_BYTES, Parsed, parse};

use super::Numbers;
use crate::reference::proxy_protocol::header;

/// Reads `data` as the first bytes of a connection.
pub fn run(data: &[u8]) {
    let mut numbers = Numbers::of(data);
    let parsed = parse(data);
    match parsed {
        Ok(Parsed::Present(found)) => {
            assert_eq!(
                Ok((found.len, found.client)),
                header(data),
                "the specification reads it otherwise"
            );
            // The header alone, and with something else behind it.
            assert_eq!(parse(&data[..found.len]), parsed);
            let mut other = data.to_vec();
            other[found.len..]
                .iter_mut()
                .for_each(|byte| *byte = !*byte);
            other.extend_from_slice(b"\r\n0");
            assert_eq!(parse(&other), parsed, "what follows the header counts");
            for length in numbers.prefixes(found.len) {
                assert_eq!(
                    parse(&data[..length]),
                    Ok(Parsed::Incomplete),
                    "of {length} bytes"
                );
            }
        }
        Ok(Parsed::Absent) | Err(_) => {
            if let Ok((length, _)) = header(data) {
                assert!(
                    length > MAX_V2_BYTES,
                    "the specification reads {length} bytes"
                );
            }
            // More bytes change nothing, and fewer only that they are too few.
            let more = [data, b"\r\n\r\n"].concat();
            assert_eq!(parse(&more), parsed);
            for length in numbers.prefixes(data.len()) {
                let prefix = parse(&data[..length]);
                assert!(
                    prefix == parsed || prefix == Ok(Parsed::Incomplete),
                    "{prefix:?}"
                );
            }
        }
        Ok(Parsed::Incomplete) => {
            assert!(header(data).is_err(), "the specification reads a header");
            for length in numbers.prefixes(data.len()) {
                assert_eq!(parse(&data[..length]), parsed);
            }
        }
    }
}
