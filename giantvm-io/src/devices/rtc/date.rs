//! Seconds since 1970 as a date, and back.

/// A date as the clock's registers have it. Any values can be in it: a guest writes them one by one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Date {
    pub(super) second: u8,
    pub(super) minute: u8,
    /// 0 to 23.
    pub(super) hour: u8,
    /// 1, Sunday, to 7.
    pub(super) weekday: u8,
    /// From 1.
    pub(super) day: u8,
    /// From 1.
    pub(super) month: u8,
    /// Of its century.
    pub(super) year: u8,
    pub(super) century: u8,
}

const DAY: i64 = 86_400;
/// Days of 400 years of the Gregorian calendar.
const CYCLE: i64 = 146_097;
/// Days from the first of March of the year 0 to 1970.
const EPOCH: i64 = 719_468;
/// The first moment that a date cannot tell: the year 10000.
const END: i64 = 253_402_300_800;

impl Date {
    /// The date of a moment from the year 0 on, of the nearest one that registers can tell.
    pub(super) fn at(seconds: i64) -> Self {
        let seconds = seconds.clamp(-EPOCH * DAY + 306 * DAY, END - 1);
        let (days, time) = (seconds.div_euclid(DAY), seconds.rem_euclid(DAY));
        // Years begin in March, so that a leap day is a year's last.
        let march_days = days + EPOCH;
        let (cycle, day) = (march_days.div_euclid(CYCLE), march_days.rem_euclid(CYCLE));
        let year = (day - day / 1_460 + day / 36_524 - day / 146_096) / 365;
        let day = day - (365 * year + year / 4 - year / 100);
        let month = (5 * day + 2) / 153;
        let day = day - (153 * month + 2) / 5 + 1;
        let (year, month) = match month {
            0..10 => (year, month + 3),
            _ => (year + 1, month - 9),
        };
        let year = 400 * cycle + year;
        // All are in their ranges, which are of a byte.
        let byte = |value: i64| u8::try_from(value).unwrap_or(0);
        Self {
            second: byte(time % 60),
            minute: byte(time / 60 % 60),
            hour: byte(time / 3600),
            weekday: byte((days + 4).rem_euclid(7) + 1),
            day: byte(day),
            month: byte(month),
            year: byte(year % 100),
            century: byte(year / 100),
        }
    }

    /// The moment of the date. A date that is none counts on: the 31st of April is the first of May.
    pub(super) fn seconds(self) -> i64 {
        let month = i64::from(self.month.clamp(1, 12));
        let year = i64::from(self.century) * 100 + i64::from(self.year);
        let (year, month) = match month {
            3.. => (year, month - 3),
            _ => (year - 1, month + 9),
        };
        let (cycle, year) = (year.div_euclid(400), year.rem_euclid(400));
        let day = (153 * month + 2) / 5 + i64::from(self.day) - 1;
        let days = cycle * CYCLE + 365 * year + year / 4 - year / 100 + day - EPOCH;
        let minutes = i64::from(self.hour) * 60 + i64::from(self.minute);
        days * DAY + minutes * 60 + i64::from(self.second)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn known_moments_have_their_dates() {
        let at = |seconds| {
            let date = Date::at(seconds);
            let year = u32::from(date.century) * 100 + u32::from(date.year);
            (
                year,
                date.month,
                date.day,
                date.weekday,
                date.hour,
                date.minute,
                date.second,
            )
        };
        assert_eq!(at(0), (1970, 1, 1, 5, 0, 0, 0));
        assert_eq!(at(951_782_400), (2000, 2, 29, 3, 0, 0, 0));
        assert_eq!(at(1_709_251_199), (2024, 2, 29, 5, 23, 59, 59));
        assert_eq!(at(4_107_542_400), (2100, 3, 1, 2, 0, 0, 0));
        assert_eq!(at(i64::MAX), (9999, 12, 31, 6, 23, 59, 59));
        assert_eq!(at(i64::MIN), (1, 1, 1, 2, 0, 0, 0));
    }

    proptest! {
        #[test]
        fn a_moment_is_that_of_its_date(seconds in -62_135_596_800..END) {
            prop_assert_eq!(Date::at(seconds).seconds(), seconds);
        }

        #[test]
        fn any_registers_are_some_moment(bytes in any::<[u8; 8]>()) {
            let [second, minute, hour, weekday, day, month, year, century] = bytes;
            let date = Date { second, minute, hour, weekday, day, month, year, century };
            let _ = Date::at(date.seconds());
        }
    }
}
