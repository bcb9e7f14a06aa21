//! Dates and times in UTC.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

const SECONDS_A_DAY: u64 = 86_400;

/// A moment in the calendar.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Moment {
    year: u64,
    month: u64,
    day: u64,
    second: u64,
}

impl Moment {
    /// Returns the current moment.
    #[must_use]
    pub fn now() -> Self {
        let since = SystemTime::now().duration_since(UNIX_EPOCH);
        Self::after_epoch(since.unwrap_or(Duration::ZERO))
    }

    /// Uses Howard Hinnant's `civil_from_days`: its years begin in March, so that the leap day is the last of the year.
    fn after_epoch(since: Duration) -> Self {
        let days = since.as_secs() / SECONDS_A_DAY + 719_468;
        let era = days / 146_097;
        let day_of_era = days % 146_097;
        let year_of_era =
            (day_of_era - day_of_era / 1460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
        let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
        let shifted = (5 * day_of_year + 2) / 153;
        let month = if shifted < 10 {
            shifted + 3
        } else {
            shifted - 9
        };
        Self {
            year: year_of_era + era * 400 + u64::from(month <= 2),
            month,
            day: day_of_year - (153 * shifted + 2) / 5 + 1,
            second: since.as_secs() % SECONDS_A_DAY,
        }
    }

    /// Returns the date, such as `2026-01-02`.
    #[must_use]
    pub fn date(&self) -> String {
        format!("{:04}-{:02}-{:02}", self.year, self.month, self.day)
    }

    /// Returns the time as RFC 3339 has it.
    #[must_use]
    pub fn rfc3339(&self) -> String {
        let (hour, minute, second) = self.time();
        format!("{}T{hour:02}:{minute:02}:{second:02}Z", self.date())
    }

    /// Returns the time as `20260102-030405`, for names of folders.
    #[must_use]
    pub fn compact(&self) -> String {
        let (hour, minute, second) = self.time();
        let date = self.date().replace('-', "");
        format!("{date}-{hour:02}{minute:02}{second:02}")
    }

    fn time(self) -> (u64, u64, u64) {
        (self.second / 3600, self.second / 60 % 60, self.second % 60)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(seconds: u64) -> Moment {
        Moment::after_epoch(Duration::from_secs(seconds))
    }

    #[test]
    fn moments_are_those_of_the_calendar() {
        assert_eq!(at(0).rfc3339(), "1970-01-01T00:00:00Z");
        assert_eq!(at(951_782_400).date(), "2000-02-29");
        assert_eq!(at(1_709_251_199).rfc3339(), "2024-02-29T23:59:59Z");
        assert_eq!(at(1_709_251_200).date(), "2024-03-01");
        assert_eq!(at(4_102_444_799).compact(), "20991231-235959");
    }
}
