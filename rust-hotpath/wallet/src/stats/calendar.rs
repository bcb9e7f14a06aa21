//! Calendar steps in UTC (proleptic Gregorian), over microseconds since the epoch.
//!
//! Each step numbers its buckets. Bucket 0 holds the epoch; for months it is January of the year 0. The numbers are
//! exact for every time that an entry or a request may have, and far beyond.

/// The width of a bucket.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Step {
    /// 60 minutes.
    Hour,
    /// A day from midnight.
    Day,
    /// A week from Monday.
    Week,
    /// A month from its first day.
    Month,
}

const HOUR_US: i64 = 3_600_000_000;
const DAY_US: i64 = 24 * HOUR_US;
const DAYS_OF_WEEK: i64 = 7;
/// The epoch was a Thursday, three days after a Monday.
const EPOCH_WEEKDAY: i64 = 3;
const MONTHS_OF_YEAR: i64 = 12;
/// Days from 0001-01-01 to the epoch.
const EPOCH_DAY: i64 = 719_162;
/// The calendar repeats after 400 years.
const CYCLE_MONTHS: i64 = 400 * MONTHS_OF_YEAR;
const CYCLE_DAYS: i64 = 146_097;
/// Days before each month of a year without a leap day.
const DAYS_BEFORE: [i64; 12] = [0, 31, 59, 90, 120, 151, 181, 212, 243, 273, 304, 334];

impl Step {
    /// The number of the bucket that holds `time_us`.
    #[must_use]
    pub fn bucket(self, time_us: i64) -> i64 {
        let day = time_us.div_euclid(DAY_US);
        match self {
            Self::Hour => time_us.div_euclid(HOUR_US),
            Self::Day => day,
            Self::Week => (day + EPOCH_WEEKDAY).div_euclid(DAYS_OF_WEEK),
            Self::Month => month_of_day(day),
        }
    }

    /// The start of a bucket, in microseconds since the epoch.
    #[must_use]
    pub fn start_us(self, bucket: i64) -> i64 {
        match self {
            Self::Hour => bucket * HOUR_US,
            Self::Day => bucket * DAY_US,
            Self::Week => (bucket * DAYS_OF_WEEK - EPOCH_WEEKDAY) * DAY_US,
            Self::Month => first_day(bucket) * DAY_US,
        }
    }
}

/// The month, counted from January of the year 0, of a day counted from the epoch.
fn month_of_day(day: i64) -> i64 {
    // A first guess from the average length of a month. Months are so even that it is off by one at most.
    let mut month = MONTHS_OF_YEAR + ((day + EPOCH_DAY) * CYCLE_MONTHS).div_euclid(CYCLE_DAYS);
    while first_day(month) > day {
        month -= 1;
    }
    while first_day(month + 1) <= day {
        month += 1;
    }
    month
}

/// The first day of a month. Both are counted as in `month_of_day`.
fn first_day(month: i64) -> i64 {
    let year = month.div_euclid(MONTHS_OF_YEAR);
    let index = month.rem_euclid(MONTHS_OF_YEAR);
    let past = year - 1;
    let leap_days = past.div_euclid(4) - past.div_euclid(100) + past.div_euclid(400);
    let before = usize::try_from(index).map_or(0, |index| DAYS_BEFORE[index]);
    let leap_day = i64::from(index >= 2 && is_leap(year));
    past * 365 + leap_days + before + leap_day - EPOCH_DAY
}

fn is_leap(year: i64) -> bool {
    year % 4 == 0 && (year % 100 != 0 || year % 400 == 0)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ledger::rules::{MAX_TIME_US, MIN_TIME_US};

    const STEPS: [Step; 4] = [Step::Hour, Step::Day, Step::Week, Step::Month];

    #[test]
    fn every_month_of_400_years_follows_the_one_before() {
        let lengths = [31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31];
        let mut day = -EPOCH_DAY;
        for year in 1..=9_999_i64 {
            for (index, length) in (0..).zip(lengths) {
                let month = year * 12 + index;
                assert_eq!(first_day(month), day, "{year}-{}", index + 1);
                assert_eq!(month_of_day(day), month);
                day += length + i64::from(index == 1 && is_leap(year));
                assert_eq!(month_of_day(day - 1), month);
            }
        }
        assert_eq!(day * DAY_US, MAX_TIME_US + 1);
    }

    #[test]
    fn known_dates_fall_where_they_should() {
        // The seconds since the epoch are from calendar tables.
        for (seconds, year, month) in [
            (951_782_400, 2000, 2),    // 2000-02-29
            (951_868_800, 2000, 3),    // 2000-03-01
            (-2_203_891_200, 1900, 3), // 1900-03-01
            (-2_203_891_201, 1900, 2), // 1900-02-28: no leap year
            (-1, 1969, 12),
            (0, 1970, 1),
            (-62_135_596_800, 1, 1),
            (253_402_300_799, 9999, 12),
        ] {
            assert_eq!(
                Step::Month.bucket(seconds * 1_000_000),
                year * 12 + month - 1
            );
        }
    }

    #[test]
    fn weeks_start_on_monday() {
        // 1969-12-29 and 2024-01-01 were Mondays; so was 0001-01-01.
        for monday in [-3 * DAY_US, 1_704_067_200_000_000, MIN_TIME_US] {
            let week = Step::Week.bucket(monday);
            assert_eq!(Step::Week.start_us(week), monday);
            assert_eq!(Step::Week.bucket(monday - 1), week - 1);
            assert_eq!(Step::Week.bucket(monday + 7 * DAY_US - 1), week);
        }
    }

    #[test]
    fn every_time_lies_in_its_bucket() {
        let times = [
            MIN_TIME_US,
            -DAY_US,
            -HOUR_US - 1,
            -1,
            0,
            1,
            HOUR_US,
            MAX_TIME_US,
        ];
        for (step, time_us) in STEPS.iter().flat_map(|s| times.map(|t| (*s, t))) {
            let bucket = step.bucket(time_us);
            assert!(step.start_us(bucket) <= time_us, "{step:?} {time_us}");
            assert!(time_us < step.start_us(bucket + 1), "{step:?} {time_us}");
        }
    }
}
