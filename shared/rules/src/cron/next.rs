//! The next occurrence: on the clock on the wall, and in a zone.

use super::Cron;
use crate::zoned::{self, Tz};
use chrono::{
    DateTime, Datelike, Days, NaiveDate, NaiveDateTime, NaiveTime, Offset, TimeDelta, TimeZone, Timelike, Utc,
};

const SECOND: TimeDelta = TimeDelta::seconds(1);
/// No zone changes its offset and back within a day, so a look a day finds every change.
const LOOK: TimeDelta = TimeDelta::days(1);

impl Cron {
    /// The first occurrence at or after `from`; `None` if there is none before the year 10000.
    pub fn next(&self, from: DateTime<Utc>, zone: Tz) -> Option<DateTime<Utc>> {
        let from = whole_second(from)?;
        if self.goes_by_elapsed_time() { self.next_elapsed(from, zone) } else { self.next_fixed(from, zone) }
    }

    /// Of a rule of fixed local times: the first of them whose instant is not before `from`.
    ///
    /// Instants of local times keep their order ([`zoned::resolve`]), so what the clock shows a second
    /// before `from`, and all before it, is over. A local time that comes twice is over after its first.
    fn next_fixed(&self, from: DateTime<Utc>, zone: Tz) -> Option<DateTime<Utc>> {
        let mut local = shown(from.checked_sub_signed(SECOND)?, zone).checked_add_signed(SECOND)?;
        loop {
            local = self.next_local(local)?;
            let at = zoned::resolve(local, zone);
            if at >= from {
                return Some(at);
            }
            local = local.checked_add_signed(SECOND)?;
        }
    }

    /// Of a rule that goes by elapsed time: the first instant not before `from` at which the clock shows a
    /// time of the rule. Between two changes of the clocks the offset is the same, so they are looked
    /// through one after the other.
    fn next_elapsed(&self, from: DateTime<Utc>, zone: Tz) -> Option<DateTime<Utc>> {
        let mut from = from;
        loop {
            let offset = offset(from, zone);
            let local = self.next_local(from.naive_utc().checked_add_signed(offset)?)?;
            let at = local.checked_sub_signed(offset)?.and_utc();
            match first_change(from, at, zone) {
                None => return Some(at),
                Some(change) => from = change,
            }
        }
    }

    /// The first time of the rule at or after `from`, on a clock that never changes.
    fn next_local(&self, from: NaiveDateTime) -> Option<NaiveDateTime> {
        let today = self.next_date(from.date())?;
        if today == from.date()
            && let Some(time) = self.next_time(from.time())
        {
            return Some(today.and_time(time));
        }
        let day =
            if today == from.date() { self.next_date(today.checked_add_days(Days::new(1))?)? } else { today };
        Some(day.and_time(self.next_time(NaiveTime::MIN)?))
    }

    fn next_time(&self, from: NaiveTime) -> Option<NaiveTime> {
        let (hour, minute, second) = (from.hour(), from.minute(), from.second());
        let first_minute = self.minute.next(0)?;
        let first_second = self.second.next(0)?;
        if self.hour.has(hour) {
            if self.minute.has(minute)
                && let Some(second) = self.second.next(second)
            {
                return NaiveTime::from_hms_opt(hour, minute, second);
            }
            if let Some(minute) = self.minute.next(minute + 1) {
                return NaiveTime::from_hms_opt(hour, minute, first_second);
            }
        }
        NaiveTime::from_hms_opt(self.hour.next(hour + 1)?, first_minute, first_second)
    }

    fn next_date(&self, from: NaiveDate) -> Option<NaiveDate> {
        let mut date = from;
        loop {
            let year = self.year.next(u32::try_from(date.year()).unwrap_or_default())?;
            if i64::from(year) != i64::from(date.year()) {
                date = NaiveDate::from_ymd_opt(i32::try_from(year).ok()?, 1, 1)?;
            }
            match self.month.next(date.month()) {
                None => date = NaiveDate::from_ymd_opt(date.year() + 1, 1, 1)?,
                Some(month) if month != date.month() => {
                    date = NaiveDate::from_ymd_opt(date.year(), month, 1)?;
                }
                Some(month) => {
                    while date.month() == month {
                        if self.is_on(date) {
                            return Some(date);
                        }
                        date = date.succ_opt()?;
                    }
                }
            }
        }
    }
}

/// `at`, or the next whole second.
fn whole_second(at: DateTime<Utc>) -> Option<DateTime<Utc>> {
    let whole = DateTime::from_timestamp(at.timestamp(), 0)?;
    if whole == at { Some(at) } else { whole.checked_add_signed(SECOND) }
}

fn offset(at: DateTime<Utc>, zone: Tz) -> TimeDelta {
    TimeDelta::seconds(i64::from(zone.offset_from_utc_datetime(&at.naive_utc()).fix().local_minus_utc()))
}

/// What the clocks of `zone` show at `at`.
fn shown(at: DateTime<Utc>, zone: Tz) -> NaiveDateTime {
    at.naive_utc() + offset(at, zone)
}

/// The first instant after `from` and up to `to` at which the clocks change; both are whole seconds.
fn first_change(from: DateTime<Utc>, to: DateTime<Utc>, zone: Tz) -> Option<DateTime<Utc>> {
    let before = offset(from, zone);
    let mut early = from;
    let mut late = loop {
        let next = early.checked_add_signed(LOOK).map_or(to, |next| next.min(to));
        if offset(next, zone) != before {
            break next;
        }
        if next >= to {
            return None;
        }
        early = next;
    };
    while late - early > SECOND {
        let middle = early + TimeDelta::seconds((late - early).num_seconds() / 2);
        if offset(middle, zone) == before { early = middle } else { late = middle }
    }
    Some(late)
}
