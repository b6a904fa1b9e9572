//! Moments as people read them: in the time zone of this machine, or of `TZ`.

use jiff::Timestamp;
use jiff::tz::TimeZone;

/// Tells a moment, in seconds since 1970, as `2026-11-23 01:43:23`; none if no calendar has it.
pub(crate) fn local(seconds: i64) -> Option<String> {
    let moment = Timestamp::from_second(seconds).ok()?.to_zoned(TimeZone::system());
    Some(moment.strftime("%Y-%m-%d %H:%M:%S").to_string())
}
