//! Local time: what a clock on the wall of this host shows, by TZ or /etc/localtime.
//!
//! Not here  who shows it: `node/log_lines.rs`.
//! Tests     tests/node/log_lines.rs.

#![allow(unsafe_code)]

use std::time::{SystemTime, UNIX_EPOCH};

/// A moment, as a calendar and a clock show it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LocalTime {
    /// Of the common era.
    pub year: i32,
    /// 1 to 12.
    pub month: u8,
    /// 1 to 31.
    pub day: u8,
    /// 0 to 23.
    pub hour: u8,
    /// 0 to 59.
    pub minute: u8,
    /// 0 to 60.
    pub second: u8,
    /// 0 to 999.
    pub millisecond: u16,
    /// Ahead of UTC, in minutes; behind it where negative.
    pub offset_minutes: i32,
}

impl LocalTime {
    /// At that moment.
    pub fn of(moment: SystemTime) -> Self {
        let since = moment.duration_since(UNIX_EPOCH).unwrap_or_default();
        let seconds = since.as_secs() as libc::time_t;
        // SAFETY: numbers and a pointer that nobody follows: all of them may be zero.
        let mut parts: libc::tm = unsafe { std::mem::zeroed() };
        // SAFETY: it reads the one and writes the other, both of which live here. Where it fails, for a year that does not fit,
        // nothing was written.
        unsafe { libc::localtime_r(&raw const seconds, &raw mut parts) };
        Self {
            year: parts.tm_year + 1900,
            month: parts.tm_mon as u8 + 1,
            day: parts.tm_mday as u8,
            hour: parts.tm_hour as u8,
            minute: parts.tm_min as u8,
            second: parts.tm_sec as u8,
            millisecond: since.subsec_millis() as u16,
            offset_minutes: (parts.tm_gmtoff / 60) as i32,
        }
    }
}
