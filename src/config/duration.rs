//! Durations as Traefik writes them: Go's text form (`1m30s`, `100ms`) and whole seconds.
//!
//! Configuration durations are signed (a negative `flushInterval` means "flush at once"), so this type is
//! not [`std::time::Duration`]; [`GoDuration::as_std`] converts where only a positive span makes sense.

use std::fmt;
use std::time::Duration;

use serde::{Serialize, Serializer};

/// Why a text is not a duration; the display form says what is accepted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DurationError {
    /// The text is neither an integer nor a sequence of number and unit.
    Malformed,
    /// A number has no unit or an unknown one (units are ns, us, µs, ms, s, m, h).
    Unit,
    /// The value does not fit in 64 bits of nanoseconds (about 292 years).
    Overflow,
}

impl fmt::Display for DurationError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Malformed => {
                f.write_str("is not a duration: write seconds (30) or a text such as \"1m30s\"")
            }
            Self::Unit => f.write_str("has a number without one of the units ns, us, ms, s, m, h"),
            Self::Overflow => f.write_str("is longer than a duration can be (about 292 years)"),
        }
    }
}

impl std::error::Error for DurationError {}

/// A signed span of time in nanoseconds, with Go's text form.
#[derive(Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct GoDuration {
    nanos: i64,
}

const MICROSECOND: i64 = 1_000;
const MILLISECOND: i64 = 1_000 * MICROSECOND;
const SECOND: i64 = 1_000 * MILLISECOND;
const MINUTE: i64 = 60 * SECOND;
const HOUR: i64 = 60 * MINUTE;

impl GoDuration {
    /// No time at all; in most options it means "no limit".
    pub const ZERO: Self = Self { nanos: 0 };

    /// A span of whole seconds.
    pub const fn from_secs(secs: i32) -> Self {
        Self {
            nanos: secs as i64 * SECOND,
        }
    }

    /// A span of whole milliseconds.
    pub const fn from_millis(millis: i32) -> Self {
        Self {
            nanos: millis as i64 * MILLISECOND,
        }
    }

    /// A span of nanoseconds.
    pub const fn from_nanos(nanos: i64) -> Self {
        Self { nanos }
    }

    /// The span in nanoseconds; negative spans are legal in a few options.
    pub const fn as_nanos(self) -> i64 {
        self.nanos
    }

    /// The span as the standard library has it; a negative span becomes zero.
    pub fn as_std(self) -> Duration {
        Duration::from_nanos(self.nanos.max(0).unsigned_abs())
    }

    /// Whether the span is zero, which most options read as "off".
    pub const fn is_zero(self) -> bool {
        self.nanos == 0
    }

    /// Reads either form of a configuration value: an integer is a number of seconds, anything else Go's text.
    pub fn parse(text: &str) -> Result<Self, DurationError> {
        match text.parse::<i64>() {
            Ok(secs) => secs
                .checked_mul(SECOND)
                .map(Self::from_nanos)
                .ok_or(DurationError::Overflow),
            Err(_) => Self::parse_go(text),
        }
    }

    /// Reads Go's text form alone (`time.ParseDuration`): `-1.5h`, `300ms`, `2h45m`, `0`.
    pub fn parse_go(text: &str) -> Result<Self, DurationError> {
        let (negative, mut rest) = match text.as_bytes().first() {
            Some(b'-') => (true, &text[1..]),
            Some(b'+') => (false, &text[1..]),
            _ => (false, text),
        };
        if rest == "0" {
            return Ok(Self::ZERO);
        }
        if rest.is_empty() {
            return Err(DurationError::Malformed);
        }
        let mut total: i128 = 0;
        while !rest.is_empty() {
            let (part, after) = parse_part(rest)?;
            total += part;
            if total > i128::from(i64::MAX) + i128::from(negative) {
                return Err(DurationError::Overflow);
            }
            rest = after;
        }
        let signed = if negative { -total } else { total };
        i64::try_from(signed)
            .map(Self::from_nanos)
            .map_err(|_| DurationError::Overflow)
    }
}

/// Reads one `number unit` pair and returns its nanoseconds and what follows it.
fn parse_part(text: &str) -> Result<(i128, &str), DurationError> {
    let whole_len = digits(text);
    let (whole, rest) = text.split_at(whole_len);
    let (fraction, rest) = match rest.strip_prefix('.') {
        Some(after) => after.split_at(digits(after)),
        None => ("", rest),
    };
    if whole.is_empty() && fraction.is_empty() {
        return Err(DurationError::Malformed);
    }
    let unit_len = rest
        .find(|c: char| c.is_ascii_digit() || c == '.')
        .unwrap_or(rest.len());
    let (unit, rest) = rest.split_at(unit_len);
    let scale = match unit {
        "ns" => 1,
        "us" | "µs" | "μs" => MICROSECOND,
        "ms" => MILLISECOND,
        "s" => SECOND,
        "m" => MINUTE,
        "h" => HOUR,
        _ => return Err(DurationError::Unit),
    };
    // 19 digits hold every value that fits; longer wholes overflow, longer fractions are below a nanosecond.
    let whole: i128 = match whole.trim_start_matches('0') {
        "" => 0,
        digits if digits.len() > 19 => return Err(DurationError::Overflow),
        digits => digits.parse().map_err(|_| DurationError::Malformed)?,
    };
    let mut nanos = whole * i128::from(scale);
    let mut weight = i128::from(scale) * 1_000_000;
    for digit in fraction.bytes() {
        weight /= 10;
        nanos += i128::from(digit - b'0') * weight / 1_000_000;
        if weight == 0 {
            break;
        }
    }
    Ok((nanos, rest))
}

fn digits(text: &str) -> usize {
    text.bytes().take_while(u8::is_ascii_digit).count()
}

impl fmt::Display for GoDuration {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let nanos = self.nanos.unsigned_abs();
        if nanos == 0 {
            return f.write_str("0s");
        }
        if self.nanos < 0 {
            f.write_str("-")?;
        }
        let (second, minute, hour) = (
            SECOND.unsigned_abs(),
            MINUTE.unsigned_abs(),
            HOUR.unsigned_abs(),
        );
        if nanos < MICROSECOND.unsigned_abs() {
            return write!(f, "{nanos}ns");
        }
        if nanos < MILLISECOND.unsigned_abs() {
            write_decimal(f, nanos, MICROSECOND.unsigned_abs())?;
            return f.write_str("µs");
        }
        if nanos < second {
            write_decimal(f, nanos, MILLISECOND.unsigned_abs())?;
            return f.write_str("ms");
        }
        if nanos >= hour {
            write!(f, "{}h", nanos / hour)?;
        }
        if nanos >= minute {
            write!(f, "{}m", nanos % hour / minute)?;
        }
        write_decimal(f, nanos % minute, second)?;
        f.write_str("s")
    }
}

/// Writes `value / unit` as a decimal without trailing zeros.
fn write_decimal(f: &mut fmt::Formatter<'_>, value: u64, unit: u64) -> fmt::Result {
    write!(f, "{}", value / unit)?;
    let mut rest = value % unit;
    if rest == 0 {
        return Ok(());
    }
    let mut width = unit.ilog10() as usize;
    while rest.is_multiple_of(10) {
        rest /= 10;
        width -= 1;
    }
    write!(f, ".{rest:0width$}")
}

impl fmt::Debug for GoDuration {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl Serialize for GoDuration {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn integers_are_seconds_and_text_is_gos() {
        for (text, nanos) in [
            ("30", 30 * SECOND),
            ("-1", -SECOND),
            ("0", 0),
            ("100ms", 100 * MILLISECOND),
            ("1m30s", 90 * SECOND),
            ("1.5h", 90 * MINUTE),
            (".5s", 500 * MILLISECOND),
            ("2us", 2 * MICROSECOND),
            ("2µs", 2 * MICROSECOND),
            ("-1.5h", -90 * MINUTE),
            ("+5s", 5 * SECOND),
            ("2562047h47m16.854775807s", i64::MAX),
            ("-2562047h47m16.854775808s", i64::MIN),
            ("0.100000000000000000000h", 6 * MINUTE),
        ] {
            assert_eq!(
                GoDuration::parse(text).map(GoDuration::as_nanos),
                Ok(nanos),
                "{text}"
            );
        }
    }

    #[test]
    fn what_go_refuses_is_refused_with_a_reason() {
        for (text, error) in [
            ("", DurationError::Malformed),
            ("-", DurationError::Malformed),
            ("s", DurationError::Malformed),
            (".s", DurationError::Malformed),
            ("3 s", DurationError::Unit),
            ("1.5", DurationError::Unit),
            ("1d", DurationError::Unit),
            ("9223372036854775807", DurationError::Overflow),
            ("99999999999999999999999h", DurationError::Overflow),
            ("2562047h47m16.854775808s", DurationError::Overflow),
        ] {
            assert_eq!(GoDuration::parse(text), Err(error), "{text}");
        }
    }

    #[test]
    fn the_text_form_is_gos_and_reads_back() {
        for (nanos, text) in [
            (0, "0s"),
            (1, "1ns"),
            (1_500, "1.5µs"),
            (100 * MILLISECOND, "100ms"),
            (2_200_000, "2.2ms"),
            (90 * SECOND, "1m30s"),
            (HOUR, "1h0m0s"),
            (SECOND + 5, "1.000000005s"),
            (-90 * MINUTE, "-1h30m0s"),
            (i64::MAX, "2562047h47m16.854775807s"),
            (i64::MIN, "-2562047h47m16.854775808s"),
        ] {
            let duration = GoDuration::from_nanos(nanos);
            assert_eq!(duration.to_string(), text);
            assert_eq!(GoDuration::parse(text), Ok(duration));
        }
    }

    #[test]
    fn a_negative_span_is_zero_for_the_standard_library() {
        assert_eq!(GoDuration::from_secs(-3).as_std(), Duration::ZERO);
        assert_eq!(GoDuration::from_secs(3).as_std(), Duration::from_secs(3));
    }
}
