//! The text of `Date`, formatted once a second and handed out as bytes.

const DAYS: [&[u8; 3]; 7] = [b"Thu", b"Fri", b"Sat", b"Sun", b"Mon", b"Tue", b"Wed"];
const MONTHS: [&[u8; 3]; 12] = [
    b"Jan", b"Feb", b"Mar", b"Apr", b"May", b"Jun", b"Jul", b"Aug", b"Sep", b"Oct", b"Nov", b"Dec",
];

/// An IMF-fixdate (RFC 9110 §5.6.7), cached. It reads no clock: [`DateText::update`] is told the time.
#[derive(Clone, Copy, Debug)]
pub struct DateText {
    second: u64,
    text: [u8; 29],
}

impl DateText {
    /// The text for a time in seconds since 1970 (UTC, up to the year 9999).
    pub fn new(unix_seconds: u64) -> Self {
        let mut date = DateText {
            second: 0,
            text: *b"Thu, 01 Jan 1970 00:00:00 GMT",
        };
        date.update(unix_seconds);
        date
    }

    /// Brings the text up to date; free if the second is the same.
    #[inline]
    pub fn update(&mut self, unix_seconds: u64) {
        if self.second != unix_seconds {
            self.format(unix_seconds);
        }
    }

    /// The 29 bytes of the text.
    #[inline]
    pub fn as_bytes(&self) -> &[u8] {
        &self.text
    }

    fn format(&mut self, unix_seconds: u64) {
        /// 9999-12-31 23:59:59, the last second that the format can say.
        const LAST: u64 = 253_402_300_799;
        self.second = unix_seconds;
        let seconds = unix_seconds.min(LAST);
        let (days, of_day) = (seconds / 86_400, seconds % 86_400);
        let (year, month, day) = civil(days);
        let text = &mut self.text;
        text[..3].copy_from_slice(DAYS[(days % 7) as usize]);
        put_two(&mut text[5..7], day);
        text[8..11].copy_from_slice(MONTHS[month as usize]);
        put_two(&mut text[12..14], year / 100);
        put_two(&mut text[14..16], year % 100);
        put_two(&mut text[17..19], of_day / 3600);
        put_two(&mut text[20..22], of_day / 60 % 60);
        put_two(&mut text[23..25], of_day % 60);
    }
}

/// Year, month from 0, day from 1 of a day since 1970. Years are taken to begin in March, so that
/// the leap day is the last of its year.
fn civil(days: u64) -> (u64, u64, u64) {
    /// Days from 0000-03-01 to 1970-01-01.
    const EPOCH: u64 = 719_468;
    /// Days in 400 years.
    const ERA: u64 = 146_097;
    let days = days + EPOCH;
    let era = days / ERA;
    let of_era = days % ERA;
    let year_of_era = (of_era - of_era / 1460 + of_era / 36_524 - of_era / 146_096) / 365;
    let of_year = of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let march_month = (5 * of_year + 2) / 153;
    let day = of_year - (153 * march_month + 2) / 5 + 1;
    let month = (march_month + 2) % 12;
    let year = era * 400 + year_of_era + u64::from(month < 2);
    (year, month, day)
}

fn put_two(place: &mut [u8], number: u64) {
    for (digit, value) in place.iter_mut().zip([number / 10 % 10, number % 10]) {
        *digit = b'0' + value as u8;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(seconds: u64) -> String {
        String::from_utf8(DateText::new(seconds).as_bytes().to_vec()).unwrap()
    }

    #[test]
    fn known_dates() {
        assert_eq!(text(0), "Thu, 01 Jan 1970 00:00:00 GMT");
        assert_eq!(text(784_111_777), "Sun, 06 Nov 1994 08:49:37 GMT");
        assert_eq!(text(951_782_400), "Tue, 29 Feb 2000 00:00:00 GMT");
        assert_eq!(text(u64::MAX), "Fri, 31 Dec 9999 23:59:59 GMT");
    }

    #[test]
    fn agrees_with_httpdate() {
        let mut second = 1;
        while second < 253_402_300_799 {
            let time = std::time::UNIX_EPOCH + std::time::Duration::from_secs(second);
            assert_eq!(text(second), httpdate::fmt_http_date(time));
            second += 86_400 * 13 + 12_345;
        }
    }

    #[test]
    fn update_follows_the_second() {
        let mut date = DateText::new(59);
        date.update(60);
        assert_eq!(date.as_bytes(), b"Thu, 01 Jan 1970 00:01:00 GMT");
        date.update(0);
        assert_eq!(date.as_bytes(), b"Thu, 01 Jan 1970 00:00:00 GMT");
    }
}
