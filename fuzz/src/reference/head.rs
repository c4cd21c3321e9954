//! Heads of HTTP/1 messages by RFC 9112, line by line.
//!
//! Strict wherever two readers could frame a message differently. Looser than the RFC's grammar in two things that frame
//! nothing, because Traefik takes them and Ringway does too: a request target may hold any byte but blanks and control
//! characters, and a status line may end behind its code.

/// A header line: its name as received and its value without blanks around it.
pub type Field = (Vec<u8>, Vec<u8>);

/// How a body ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Framing {
    /// There is none.
    None,
    /// So many bytes.
    Length(u64),
    /// By the last chunk.
    Chunked,
    /// With the connection.
    UntilClose,
}

/// A request's head.
#[derive(Debug)]
pub struct Request {
    /// The method's token.
    pub method: Vec<u8>,
    /// The target as it stands.
    pub target: Vec<u8>,
    /// The minor version.
    pub minor: u8,
    /// All header lines.
    pub fields: Vec<Field>,
    /// The body's framing.
    pub framing: Framing,
    /// Whether the connection persists (§9.3).
    pub keep_alive: bool,
    /// Length of the head in bytes, empty lines before it included.
    pub length: usize,
}

/// A response's head.
#[derive(Debug)]
pub struct Response {
    /// The status code.
    pub status: u16,
    /// The minor version.
    pub minor: u8,
    /// All header lines.
    pub fields: Vec<Field>,
    /// The body's framing.
    pub framing: Framing,
    /// Whether the connection persists and its framing is beyond doubt.
    pub keep_alive: bool,
    /// Length of the head in bytes.
    pub length: usize,
}

/// Reads the head of a request; what is wrong with it, or that it is not complete, is the error.
pub fn request(input: &[u8]) -> Result<Request, &'static str> {
    let mut rest = input;
    // §2.2: at least one empty line before the request line should be ignored.
    for _ in 0..2 {
        rest = rest.strip_prefix(b"\r\n").unwrap_or(rest);
    }
    let line = take_line(&mut rest)?;
    let parts: Vec<&[u8]> = line.split(|&byte| byte == b' ').collect();
    let [method, target, version] = parts[..] else {
        return Err("a request line has three words");
    };
    if !is_token(method) {
        return Err("a method is a token");
    }
    if target.is_empty() || target.iter().any(|&byte| byte <= b' ' || byte == 0x7f) {
        return Err("a target has no blanks and control characters");
    }
    let minor = minor_version(version)?;
    let fields = take_fields(&mut rest)?;
    let hosts = values(&fields, "host").len();
    if hosts > 1 || (hosts == 0 && minor > 0) {
        return Err("there is one Host (§3.2)");
    }
    let lengths = values(&fields, "content-length");
    let codings = values(&fields, "transfer-encoding");
    let framing = match (&codings[..], &lengths[..]) {
        ([], []) => Framing::None,
        ([], [length]) => Framing::Length(number(length)?),
        ([], _) => return Err("there is one Content-Length"),
        ([coding], []) if minor > 0 && coding.eq_ignore_ascii_case(b"chunked") => Framing::Chunked,
        (_, []) => return Err("the only coding is chunked, in HTTP/1.1 (§6.1)"),
        _ => return Err("Content-Length beside Transfer-Encoding (§6.3)"),
    };
    Ok(Request {
        method: method.to_vec(),
        target: target.to_vec(),
        minor,
        keep_alive: persists(&fields, minor),
        fields,
        framing,
        length: input.len() - rest.len(),
    })
}

/// Reads the head of a response to a request that was HEAD or not.
pub fn response(input: &[u8], to_head: bool) -> Result<Response, &'static str> {
    let mut rest = input;
    let line = take_line(&mut rest)?;
    let (version, line) = split_at_first(line, b' ').ok_or("a status line has a blank")?;
    let minor = minor_version(version)?;
    let (code, reason) = split_at_first(line, b' ').unwrap_or((line, b""));
    let [a @ b'1'..=b'9', b @ b'0'..=b'9', c @ b'0'..=b'9'] = code else {
        return Err("a status code has three digits");
    };
    let digit = |byte: &u8| u16::from(byte - b'0');
    let status = digit(a) * 100 + digit(b) * 10 + digit(c);
    if !reason.iter().copied().all(is_text) {
        return Err("a reason has no control characters");
    }
    let fields = take_fields(&mut rest)?;
    let lengths = values(&fields, "content-length").into_iter().map(number);
    let mut lengths = lengths.collect::<Result<Vec<u64>, _>>()?;
    let codings = values(&fields, "transfer-encoding");
    let is_doubtful = lengths.len() > 1 || (!lengths.is_empty() && !codings.is_empty());
    lengths.dedup();
    let length = match lengths[..] {
        [] => None,
        [length] => Some(length),
        _ => return Err("Content-Length lines differ"),
    };
    let is_chunked = match &codings[..] {
        [] => false,
        [coding] if minor > 0 && coding.eq_ignore_ascii_case(b"chunked") => true,
        _ => return Err("the only coding is chunked, in HTTP/1.1 (§6.1)"),
    };
    // §6.3, in its order.
    let framing = if to_head || status < 200 || status == 204 || status == 304 {
        Framing::None
    } else if is_chunked {
        Framing::Chunked
    } else if let Some(length) = length {
        Framing::Length(length)
    } else {
        Framing::UntilClose
    };
    Ok(Response {
        status,
        minor,
        keep_alive: persists(&fields, minor) && !is_doubtful && framing != Framing::UntilClose,
        fields,
        framing,
        length: input.len() - rest.len(),
    })
}

/// The values of all lines of this name.
pub fn values<'f>(fields: &'f [Field], name: &str) -> Vec<&'f [u8]> {
    fields
        .iter()
        .filter(|(n, _)| n.eq_ignore_ascii_case(name.as_bytes()))
        .map(|(_, value)| value.as_slice())
        .collect()
}

/// The members of all lines of this name that are not empty.
pub fn members<'f>(fields: &'f [Field], name: &str) -> Vec<&'f [u8]> {
    values(fields, name)
        .into_iter()
        .flat_map(|value| value.split(|&byte| byte == b','))
        .map(trimmed)
        .filter(|member| !member.is_empty())
        .collect()
}

/// Go's canonical spelling of a name.
pub fn canonical(name: &[u8]) -> Vec<u8> {
    let mut upper = true;
    let spell = |byte: &u8| {
        let spelled = if upper {
            byte.to_ascii_uppercase()
        } else {
            byte.to_ascii_lowercase()
        };
        upper = *byte == b'-';
        spelled
    };
    name.iter().map(spell).collect()
}

/// RFC 9110 §5.6.2.
pub fn is_token(text: &[u8]) -> bool {
    let is_token_byte =
        |byte: &u8| byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(byte);
    !text.is_empty() && text.iter().all(is_token_byte)
}

/// What may stand in a value: RFC 9110 §5.5.
pub fn is_text(byte: u8) -> bool {
    byte == b'\t' || (byte >= b' ' && byte != 0x7f)
}

/// Without blanks around it.
pub fn trimmed(mut text: &[u8]) -> &[u8] {
    while let [b' ' | b'\t', rest @ ..] | [rest @ .., b' ' | b'\t'] = text {
        text = rest;
    }
    text
}

/// Takes a line; it ends with CRLF, and neither byte stands alone (§2.2).
pub fn take_line<'i>(input: &mut &'i [u8]) -> Result<&'i [u8], &'static str> {
    let end = input
        .windows(2)
        .position(|pair| pair == b"\r\n")
        .ok_or("incomplete")?;
    let line = &input[..end];
    if line.contains(&b'\n') || line.contains(&b'\r') {
        return Err("a bare CR or LF");
    }
    *input = &input[end + 2..];
    Ok(line)
}

/// Takes header or trailer lines and the empty line behind them.
pub fn take_fields(input: &mut &[u8]) -> Result<Vec<Field>, &'static str> {
    let mut fields = Vec::new();
    loop {
        let line = take_line(input)?;
        if line.is_empty() {
            return Ok(fields);
        }
        let (name, value) = split_at_first(line, b':').ok_or("a header line has a colon")?;
        if !is_token(name) {
            return Err("a name is a token, with nothing before the colon (§5.1)");
        }
        if !value.iter().copied().all(is_text) {
            return Err("a value has no control characters");
        }
        fields.push((name.to_vec(), trimmed(value).to_vec()));
    }
}

fn split_at_first(text: &[u8], byte: u8) -> Option<(&[u8], &[u8])> {
    let at = text.iter().position(|&b| b == byte)?;
    Some((&text[..at], &text[at + 1..]))
}

fn minor_version(text: &[u8]) -> Result<u8, &'static str> {
    match text {
        [
            b'H',
            b'T',
            b'T',
            b'P',
            b'/',
            b'1',
            b'.',
            minor @ b'0'..=b'9',
        ] => Ok(minor - b'0'),
        _ => Err("the version is HTTP/1.x"),
    }
}

fn number(text: &[u8]) -> Result<u64, &'static str> {
    if text.is_empty() || !text.iter().all(u8::is_ascii_digit) {
        return Err("a length is digits");
    }
    let text = std::str::from_utf8(text).map_err(|_| "a length is digits")?;
    text.parse().map_err(|_| "a length fits a number")
}

fn persists(fields: &[Field], minor: u8) -> bool {
    let says = |option: &str| {
        let options = members(fields, "connection");
        options
            .iter()
            .any(|o| o.eq_ignore_ascii_case(option.as_bytes()))
    };
    !says("close") && (minor > 0 || says("keep-alive"))
}
