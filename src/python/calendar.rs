//! Dates, times and durations as Python's `datetime` and pandas print them.

use std::sync::Arc;

use crate::vocabulary::{Cell, PythonClass, PythonObject};

/// The part of a second that a number counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Unit {
    Second,
    Milli,
    Micro,
    Nano,
}

impl Unit {
    fn nanos(self) -> i128 {
        match self {
            Self::Second => 1_000_000_000,
            Self::Milli => 1_000_000,
            Self::Micro => 1_000,
            Self::Nano => 1,
        }
    }
}

/// A time zone whose distance from UTC never changes.
#[derive(Debug, Clone, PartialEq)]
pub struct Zone {
    name: String,
    /// Seconds east of UTC.
    offset: i64,
    named: bool,
}

impl Zone {
    /// UTC under one of its names, or `+05:30`. `None` for a place, whose offset depends on the date.
    pub fn new(name: &str) -> Option<Self> {
        const UTC: [&str; 8] = ["UTC", "Etc/UTC", "GMT", "Etc/GMT", "Zulu", "Etc/Zulu", "UCT", "Universal"];
        if UTC.contains(&name) {
            return Some(Self { name: name.into(), offset: 0, named: true });
        }
        let sign = match name.as_bytes().first()? {
            b'+' => 1,
            b'-' => -1,
            _ => return None,
        };
        let (hours, minutes) = name[1..].split_once(':')?;
        let two = |text: &str| -> Option<i64> {
            let digits = text.len() == 2 && text.bytes().all(|b| b.is_ascii_digit());
            text.parse().ok().filter(|_| digits)
        };
        let (hours, minutes) = (two(hours)?, two(minutes).filter(|m| *m < 60)?);
        let offset = sign * (hours * 3600 + minutes * 60);
        (hours < 24).then(|| Self { name: name.into(), offset, named: false })
    }

    fn suffix(&self, colon: &str) -> String {
        let minutes = self.offset.abs() / 60;
        let sign = if self.offset < 0 { '-' } else { '+' };
        format!("{sign}{:02}{colon}{:02}", minutes / 60, minutes % 60)
    }

    fn repr(&self) -> String {
        if self.named {
            format!("zoneinfo.ZoneInfo(key='{}')", self.name)
        } else if self.offset == 0 {
            "datetime.timezone.utc".into()
        } else {
            format!("datetime.timezone({})", timedelta_repr(i128::from(self.offset) * 1_000_000))
        }
    }
}

const DAY: i128 = 86_400 * 1_000_000_000;
/// Days from 1970 to Python's first and last date, 0001-01-01 and 9999-12-31.
const DAYS: std::ops::RangeInclusive<i128> = -719_162..=2_932_896;

/// Year, month and day of a number of days since 1970: <https://howardhinnant.github.io/date_algorithms.html>.
fn civil(days: i64) -> (i64, i64, i64) {
    let z = days + 719_468;
    let era = z.div_euclid(146_097);
    let day_of_era = z.rem_euclid(146_097);
    let year_of_era = (day_of_era - day_of_era / 1460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let month = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * month + 2) / 5 + 1;
    let month = if month < 10 { month + 3 } else { month - 9 };
    (year_of_era + era * 400 + i64::from(month <= 2), month, day)
}

/// Days since 1970; `None` if there is no such day.
pub fn days_of(year: i64, month: i64, day: i64) -> Option<i64> {
    let leap = year % 4 == 0 && (year % 100 != 0 || year % 400 == 0);
    let length = match month {
        2 => 28 + i64::from(leap),
        4 | 6 | 9 | 11 => 30,
        1..=12 => 31,
        _ => return None,
    };
    if !(1..=length).contains(&day) {
        return None;
    }
    let year = year - i64::from(month <= 2);
    let era = year.div_euclid(400);
    let year_of_era = year.rem_euclid(400);
    let day_of_year = (153 * (if month > 2 { month - 3 } else { month + 9 }) + 2) / 5 + day - 1;
    Some(era * 146_097 + year_of_era * 365 + year_of_era / 4 - year_of_era / 100 + day_of_year - 719_468)
}

fn object(
    class: PythonClass,
    str: String,
    repr: String,
    order: i128,
    attributes: Vec<(&'static str, i64)>,
) -> Cell {
    Cell::Object(Arc::new(PythonObject { class, str, repr, order, attributes }))
}

fn date_attributes((year, month, day): (i64, i64, i64)) -> Vec<(&'static str, i64)> {
    vec![("year", year), ("month", month), ("day", day)]
}

fn out_of_range() -> Cell {
    Cell::Refused("a date outside of the years 1 to 9999, which Python does not have".into())
}

/// `datetime.date`.
pub fn date(days: i64) -> Cell {
    if !DAYS.contains(&i128::from(days)) {
        return out_of_range();
    }
    let parts @ (year, month, day) = civil(days);
    let str = format!("{year:04}-{month:02}-{day:02}");
    let repr = format!("datetime.date({year}, {month}, {day})");
    object(PythonClass::Date, str, repr, i128::from(days), date_attributes(parts))
}

/// Hours, minutes, seconds, microseconds and what is left of a time of day in nanoseconds.
fn clock(nanos: i128) -> [i64; 5] {
    let seconds = (nanos / 1_000_000_000) as i64;
    let below = (nanos % 1_000_000_000) as i64;
    [seconds / 3600, seconds / 60 % 60, seconds % 60, below / 1000, below % 1000]
}

fn clock_text([hour, minute, second, micros, nanos]: [i64; 5]) -> String {
    let text = format!("{hour:02}:{minute:02}:{second:02}");
    match (micros, nanos) {
        (0, 0) => text,
        (micros, 0) => format!("{text}.{micros:06}"),
        (micros, nanos) => format!("{text}.{micros:06}{nanos:03}"),
    }
}

fn clock_attributes([hour, minute, second, micros, _]: [i64; 5]) -> [(&'static str, i64); 4] {
    [("hour", hour), ("minute", minute), ("second", second), ("microsecond", micros)]
}

/// Arguments of a constructor: seconds and microseconds are left out where they are 0.
fn clock_arguments([hour, minute, second, micros, _]: [i64; 5]) -> String {
    match (second, micros) {
        (0, 0) => format!("{hour}, {minute}"),
        (second, 0) => format!("{hour}, {minute}, {second}"),
        (second, micros) => format!("{hour}, {minute}, {second}, {micros}"),
    }
}

/// `datetime.time`, without what it has no room for: nanoseconds.
pub fn time(value: i64, unit: Unit) -> Cell {
    let nanos = i128::from(value) * unit.nanos();
    if !(0..DAY).contains(&nanos) {
        return Cell::Refused("a time outside of a day".into());
    }
    let mut parts = clock(nanos);
    parts[4] = 0;
    let repr = format!("datetime.time({})", clock_arguments(parts));
    object(PythonClass::Time, clock_text(parts), repr, nanos, clock_attributes(parts).to_vec())
}

/// `datetime.datetime`, or `pandas.Timestamp` for nanoseconds.
pub fn timestamp(value: i64, unit: Unit, zone: Option<&Zone>) -> Cell {
    let instant = i128::from(value) * unit.nanos();
    let local = instant + zone.map_or(0, |zone| i128::from(zone.offset)) * 1_000_000_000;
    let days = local.div_euclid(DAY);
    if !DAYS.contains(&days) {
        return out_of_range();
    }
    let date @ (year, month, day) = civil(days as i64);
    let parts = clock(local.rem_euclid(DAY));
    let text = format!("{year:04}-{month:02}-{day:02} {}", clock_text(parts));
    let str = text.clone() + &zone.map(|zone| zone.suffix(":")).unwrap_or_default();
    let (class, repr) = if unit == Unit::Nano {
        let zone = zone.map(|zone| {
            let suffix = zone.suffix("");
            let name = match (zone.named, zone.offset) {
                (true, _) => zone.name.clone(),
                (false, 0) => "UTC".into(),
                (false, _) => format!("UTC{}", zone.suffix(":")),
            };
            format!("{suffix}', tz='{name}")
        });
        (PythonClass::Timestamp, format!("Timestamp('{text}{}')", zone.unwrap_or_default()))
    } else {
        let zone = zone.map(|zone| format!(", tzinfo={}", zone.repr())).unwrap_or_default();
        let arguments = clock_arguments(parts);
        (PythonClass::DateTime, format!("datetime.datetime({year}, {month}, {day}, {arguments}{zone})"))
    };
    let mut attributes = date_attributes(date);
    attributes.extend(clock_attributes(parts));
    if unit == Unit::Nano {
        attributes.push(("nanosecond", parts[4]));
    }
    object(class, str, repr, instant, attributes)
}

fn timedelta_repr(micros: i128) -> String {
    let days = micros.div_euclid(DAY / 1000);
    let below = micros.rem_euclid(DAY / 1000);
    let parts = [("days", days), ("seconds", below / 1_000_000), ("microseconds", below % 1_000_000)];
    let parts: Vec<String> =
        parts.iter().filter(|(_, n)| *n != 0).map(|(name, n)| format!("{name}={n}")).collect();
    if parts.is_empty() {
        "datetime.timedelta(0)".into()
    } else {
        format!("datetime.timedelta({})", parts.join(", "))
    }
}

/// `datetime.timedelta`, or `pandas.Timedelta` for nanoseconds.
pub fn duration(value: i64, unit: Unit) -> Cell {
    let nanos = i128::from(value) * unit.nanos();
    let days = nanos.div_euclid(DAY);
    if days.abs() > 999_999_999 {
        return Cell::Refused("a duration of more than 999999999 days, which Python does not have".into());
    }
    let below = nanos.rem_euclid(DAY);
    let parts = clock(below);
    let seconds = (below / 1_000_000_000) as i64;
    let attributes = vec![("days", days as i64), ("seconds", seconds), ("microseconds", parts[3])];
    if unit == Unit::Nano {
        let sign = if days < 0 { "+" } else { "" };
        let str = format!("{days} days {sign}{}", clock_text(parts));
        return object(
            PythonClass::LongTimeDelta,
            str.clone(),
            format!("Timedelta('{str}')"),
            nanos,
            attributes,
        );
    }
    let text = clock_text(parts);
    let text = text.strip_prefix('0').unwrap_or(&text);
    let str = match days {
        0 => text.to_string(),
        1 | -1 => format!("{days} day, {text}"),
        _ => format!("{days} days, {text}"),
    };
    object(PythonClass::TimeDelta, str, timedelta_repr(nanos / 1000), nanos, attributes)
}

/// Seconds since 1970 of a text that pyarrow takes for a time: `2024-01-05`, with `T` or a space and
/// `HH`, `HH:MM` or `HH:MM:SS` after it, and `Z`, `+HH`, `+HHMM` or `+HH:MM` after that.
pub fn parse_timestamp(text: &str) -> Option<i64> {
    let number = |text: &[u8]| -> Option<i64> {
        text.iter().try_fold(0, |n, b| b.is_ascii_digit().then(|| n * 10 + i64::from(b - b'0')))
    };
    let bytes = text.as_bytes();
    let [y0, y1, y2, y3, b'-', m0, m1, b'-', d0, d1, rest @ ..] = bytes else { return None };
    let days = days_of(number(&[*y0, *y1, *y2, *y3])?, number(&[*m0, *m1])?, number(&[*d0, *d1])?)?;
    let mut seconds = days * 86_400;
    let [b'T' | b' ', rest @ ..] = rest else { return rest.is_empty().then_some(seconds) };
    let zone = rest.iter().position(|b| matches!(b, b'Z' | b'+' | b'-')).unwrap_or(rest.len());
    let (clock, zone) = rest.split_at(zone);
    let (hour, minute, second): (&[u8], &[u8], &[u8]) = match clock {
        [h @ .., b':', m0, m1, b':', s0, s1] if h.len() == 2 => (h, &[*m0, *m1], &[*s0, *s1]),
        [h @ .., b':', m0, m1] if h.len() == 2 => (h, &[*m0, *m1], b"0"),
        [_, _] => (clock, b"0", b"0"),
        _ => return None,
    };
    let (hour, minute, second) = (number(hour)?, number(minute)?, number(second)?);
    if hour > 23 || minute > 59 || second > 59 {
        return None;
    }
    seconds += hour * 3600 + minute * 60 + second;
    let (sign, hours, minutes): (i64, &[u8], &[u8]) = match zone {
        [] | [b'Z'] => return Some(seconds),
        [sign, h0, h1] => (if *sign == b'-' { -1 } else { 1 }, &[*h0, *h1], b"0"),
        [sign, h0, h1, m0, m1] | [sign, h0, h1, b':', m0, m1] => {
            (if *sign == b'-' { -1 } else { 1 }, &[*h0, *h1], &[*m0, *m1])
        }
        _ => return None,
    };
    let (hours, minutes) = (number(hours)?, number(minutes)?);
    (zone[0] != b'Z' && hours < 24 && minutes < 60).then(|| seconds - sign * (hours * 3600 + minutes * 60))
}

/// A time in UTC, `seconds` after the beginning of 1970, as Python's `strftime` writes it in the C locale.
///
/// # Errors
/// A directive that is not known here.
pub fn strftime(seconds: u64, format: &str) -> Result<String, String> {
    const DAYS: [&str; 7] = ["Thursday", "Friday", "Saturday", "Sunday", "Monday", "Tuesday", "Wednesday"];
    const MONTHS: [&str; 12] = [
        "January",
        "February",
        "March",
        "April",
        "May",
        "June",
        "July",
        "August",
        "September",
        "October",
        "November",
        "December",
    ];
    let days = (seconds / 86_400) as i64;
    let (year, month, day) = civil(days);
    let (hour, minute, second) = (seconds / 3600 % 24, seconds / 60 % 60, seconds % 60);
    let weekday = DAYS[(days % 7) as usize];
    let month_name = MONTHS[(month - 1) as usize];
    let mut out = String::new();
    let mut rest = format.chars();
    while let Some(character) = rest.next() {
        if character != '%' {
            out.push(character);
            continue;
        }
        match rest.next() {
            Some('d') => out.push_str(&format!("{day:02}")),
            Some('m') => out.push_str(&format!("{month:02}")),
            Some('Y') => out.push_str(&year.to_string()),
            Some('y') => out.push_str(&format!("{:02}", year % 100)),
            Some('b' | 'h') => out.push_str(&month_name[..3]),
            Some('B') => out.push_str(month_name),
            Some('a') => out.push_str(&weekday[..3]),
            Some('A') => out.push_str(weekday),
            Some('j') => out.push_str(&format!("{:03}", 1 + days - days_of(year, 1, 1).unwrap_or_default())),
            Some('H') => out.push_str(&format!("{hour:02}")),
            Some('I') => out.push_str(&format!("{:02}", (hour + 11) % 12 + 1)),
            Some('p') => out.push_str(if hour < 12 { "AM" } else { "PM" }),
            Some('M') => out.push_str(&format!("{minute:02}")),
            Some('S') => out.push_str(&format!("{second:02}")),
            Some('F') => out.push_str(&format!("{year}-{month:02}-{day:02}")),
            Some('T') => out.push_str(&format!("{hour:02}:{minute:02}:{second:02}")),
            Some('%') => out.push('%'),
            other => {
                let other = other.map(String::from).unwrap_or_default();
                return Err(format!("strftime: `%{other}` is not done here"));
            }
        }
    }
    Ok(out)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shown(cell: &Cell) -> (&str, &str) {
        match cell {
            Cell::Object(object) => (&object.str, &object.repr),
            _ => ("", ""),
        }
    }

    #[test]
    fn dates_and_times_print_as_in_python() {
        assert_eq!(shown(&date(19_727)), ("2024-01-05", "datetime.date(2024, 1, 5)"));
        assert_eq!(shown(&date(-719_162)).0, "0001-01-01");
        assert_eq!(shown(&time(36_005_123_456, Unit::Micro)).1, "datetime.time(10, 0, 5, 123456)");
        assert_eq!(shown(&time(36_005_000_000_001, Unit::Nano)), ("10:00:05", "datetime.time(10, 0, 5)"));
        let minus = timestamp(-1, Unit::Milli, None);
        let expected = ("1969-12-31 23:59:59.999000", "datetime.datetime(1969, 12, 31, 23, 59, 59, 999000)");
        assert_eq!(shown(&minus), expected);
        let zone = Zone::new("+05:30").unwrap();
        let there = timestamp(1_704_448_800, Unit::Second, Some(&zone));
        let repr = "datetime.datetime(2024, 1, 5, 15, 30, \
                    tzinfo=datetime.timezone(datetime.timedelta(seconds=19800)))";
        assert_eq!(shown(&there), ("2024-01-05 15:30:00+05:30", repr));
        let long = timestamp(1_704_448_800_000_000_001, Unit::Nano, Zone::new("UTC").as_ref());
        let repr = "Timestamp('2024-01-05 10:00:00.000000001+0000', tz='UTC')";
        assert_eq!(shown(&long), ("2024-01-05 10:00:00.000000001+00:00", repr));
        assert!(Zone::new("Europe/Berlin").is_none());
        assert!(matches!(timestamp(253_402_300_800, Unit::Second, None), Cell::Refused(_)));
    }

    #[test]
    fn durations_print_as_in_python() {
        for (value, unit, str, repr) in [
            (93_784, Unit::Second, "1 day, 2:03:04", "datetime.timedelta(days=1, seconds=7384)"),
            (-5, Unit::Second, "-1 day, 23:59:55", "datetime.timedelta(days=-1, seconds=86395)"),
            (0, Unit::Milli, "0:00:00", "datetime.timedelta(0)"),
            (
                -1,
                Unit::Micro,
                "-1 day, 23:59:59.999999",
                "datetime.timedelta(days=-1, seconds=86399, microseconds=999999)",
            ),
            (-1, Unit::Nano, "-1 days +23:59:59.999999999", "Timedelta('-1 days +23:59:59.999999999')"),
            (0, Unit::Nano, "0 days 00:00:00", "Timedelta('0 days 00:00:00')"),
        ] {
            assert_eq!(shown(&duration(value, unit)), (str, repr));
        }
    }

    #[test]
    fn texts_are_times_where_pyarrow_says_so() {
        for (text, seconds) in [
            ("2024-01-05", Some(1_704_412_800)),
            ("2024-01-05 10", Some(1_704_448_800)),
            ("2024-01-05T10:00", Some(1_704_448_800)),
            ("2024-01-05T10:00:00Z", Some(1_704_448_800)),
            ("2024-01-05T12:00:00+02:00", Some(1_704_448_800)),
            ("2024-01-05T12:00:00+0200", Some(1_704_448_800)),
            ("2024-01-05T08-02", Some(1_704_448_800)),
            ("2024-01-05T10:00:00.5", None),
            ("2024-01-05 100000", None),
            ("2024-01-05T24:00:00", None),
            ("2024-01-05T10:00:60", None),
            ("2023-02-29", None),
            ("2024-13-05", None),
            ("2024-01", None),
            ("2024/01/05", None),
            (" 2024-01-05", None),
            ("2024-01-05 ", None),
            ("2024-01-05é", None),
            ("", None),
        ] {
            assert_eq!(parse_timestamp(text), seconds, "{text}");
        }
    }
}
