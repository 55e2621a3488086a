//! Distances on the earth, taken as a ball.
//!
//! Promises  the very arithmetic of Redis, in its order.
//! Source    the haversine formula (Sinnott, "Virtues of the haversine", 1984).
//! Tests     tests/base/geohash.rs.

use super::geohash::Point;

/// Metres: the quadratic mean radius of WGS-84.
pub const RADIUS_METERS: f64 = 6_372_797.560856;

const RADIANS_PER_DEGREE: f64 = std::f64::consts::PI / 180.0;

/// Degrees as radians.
#[inline]
pub fn radians(degrees: f64) -> f64 {
    degrees * RADIANS_PER_DEGREE
}

/// Radians as degrees.
#[inline]
pub fn degrees(radians: f64) -> f64 {
    radians / RADIANS_PER_DEGREE
}

/// Metres between two latitudes along a meridian.
pub fn latitude_distance(one: f64, other: f64) -> f64 {
    RADIUS_METERS * (radians(other) - radians(one)).abs()
}

/// Metres between two points.
pub fn distance(one: Point, other: Point) -> f64 {
    let across = ((radians(other.longitude) - radians(one.longitude)) / 2.0).sin();
    if across == 0.0 {
        return latitude_distance(one.latitude, other.latitude);
    }
    let (one_latitude, other_latitude) = (radians(one.latitude), radians(other.latitude));
    let along = ((other_latitude - one_latitude) / 2.0).sin();
    let haversine = along * along + one_latitude.cos() * other_latitude.cos() * across * across;
    2.0 * RADIUS_METERS * haversine.sqrt().asin()
}
