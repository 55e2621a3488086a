//! Shapes that places are searched in, and the cells of the geohash grid that cover one.
//!
//! Promises  the very cells Redis visits, in its order, and its arithmetic: so results without an order are alike, and
//!           places at a shape's edge are in or out alike. A polygon's edges are straight in degrees.
//! Source    polygons: Valkey 9, GEOSEARCH BYPOLYGON; the test of a point: Franklin, "PNPOLY".
//! Tests     tests/transcripts/geo_search.txt, zset_newer.txt.

use crate::base::earth::{RADIUS_METERS, degrees, distance, latitude_distance, radians};
use crate::base::geohash::{Area, Cell, Point, Range, STEP_MAX};

/// Metres from the equator to where maps end.
const MAP_EDGE_METERS: f64 = 20_037_726.37;
/// The cell of a center and its eight neighbours.
pub(super) const CELLS_COUNT: usize = 9;

/// What a search covers. Lengths are in the client's unit.
#[derive(Clone, Debug, PartialEq)]
pub enum Shape {
    /// What is not too far away.
    Circle {
        /// From the center.
        radius: f64,
    },
    /// A rectangle along the meridians.
    Rectangle {
        /// From west to east.
        width: f64,
        /// From south to north.
        height: f64,
    },
    /// What lies within these corners.
    Polygon {
        /// Three or more.
        corners: Vec<Point>,
    },
}

/// A shape in its place.
#[derive(Clone, Debug, PartialEq)]
pub struct Search {
    /// What is covered.
    pub shape: Shape,
    /// Distances are from here.
    pub center: Point,
    /// Metres in the client's unit.
    pub meters_per_unit: f64,
}

impl Search {
    /// Corners of a polygon, whose center is theirs.
    pub fn in_polygon(corners: Vec<Point>) -> Self {
        let center = centroid(&corners);
        Self {
            shape: Shape::Polygon { corners },
            center,
            meters_per_unit: 1.0,
        }
    }

    /// Metres from the center, where `point` is inside.
    pub fn distance_inside(&self, point: Point) -> Option<f64> {
        let meters = self.meters_per_unit;
        let is_inside = match &self.shape {
            Shape::Circle { radius } => {
                let from_center = distance(self.center, point);
                // Not `<=`: what is no number is inside, as in Redis.
                let is_outside = from_center > radius * meters;
                return (!is_outside).then_some(from_center);
            }
            Shape::Rectangle { width, height } => {
                let beside = Point {
                    longitude: self.center.longitude,
                    latitude: point.latitude,
                };
                latitude_distance(point.latitude, self.center.latitude) <= height * meters / 2.0
                    && distance(point, beside) <= width * meters / 2.0
            }
            Shape::Polygon { corners } => is_within(corners, point),
        };
        is_inside.then(|| distance(self.center, point))
    }

    /// The cells to look through, in order; none where a cell is not needed.
    pub fn cells(&self) -> [Option<Cell>; CELLS_COUNT] {
        let bounds = self.bounds();
        let middle = self.middle_cell(&bounds);
        let step = middle.step;
        let area = middle.area();
        let is_coarse = step < 2;
        let (south, north) = (
            is_coarse || area.latitude.min >= bounds.latitude.min,
            is_coarse || area.latitude.max <= bounds.latitude.max,
        );
        let (west, east) = (
            is_coarse || area.longitude.min >= bounds.longitude.min,
            is_coarse || area.longitude.max <= bounds.longitude.max,
        );
        let neighbor = |is_needed: bool, to_east: i8, to_north: i8| {
            is_needed.then(|| middle.neighbor(to_east, to_north))
        };
        [
            Some(middle),
            neighbor(north, 0, 1),
            neighbor(south, 0, -1),
            neighbor(east, 1, 0),
            neighbor(west, -1, 0),
            neighbor(north && east, 1, 1),
            neighbor(north && west, -1, 1),
            neighbor(south && east, 1, -1),
            neighbor(south && west, -1, -1),
        ]
    }

    /// The cell around which the others lie.
    fn middle_cell(&self, bounds: &Area) -> Cell {
        let around = |point: Point| {
            let step = step_for(self.radius_meters(point, bounds), point.latitude);
            let cell = Cell::of(point, step);
            match step > 1 && !reaches(&cell, bounds) {
                true => Cell::of(point, step - 1),
                false => cell,
            }
        };
        if !matches!(self.shape, Shape::Polygon { .. }) {
            return around(self.center);
        }
        let is_within = |range: &Range, degrees| range.min <= degrees && degrees <= range.max;
        if is_within(&bounds.longitude, self.center.longitude)
            && is_within(&bounds.latitude, self.center.latitude)
        {
            let cell = around(self.center);
            if reaches(&cell, bounds) {
                return cell;
            }
        }
        // The middle of the corners of one that goes round a pole, or half of the globe, may lie beyond the grid.
        let middle = |range: &Range| (range.min + range.max) / 2.0;
        let point = Point {
            longitude: middle(&bounds.longitude),
            latitude: middle(&bounds.latitude),
        };
        let mut cell = around(point);
        while cell.step > 1 && !reaches(&cell, bounds) {
            cell = Cell::of(point, cell.step - 1);
        }
        cell
    }

    /// The degrees the shape lies within.
    fn bounds(&self) -> Area {
        let (width, height) = match &self.shape {
            Shape::Circle { radius } => {
                (self.meters_per_unit * radius, self.meters_per_unit * radius)
            }
            Shape::Rectangle { width, height } => (
                self.meters_per_unit * (width / 2.0),
                self.meters_per_unit * (height / 2.0),
            ),
            Shape::Polygon { corners } => return bounds_of(corners),
        };
        let Point {
            longitude,
            latitude,
        } = self.center;
        let to_north = degrees(height / RADIUS_METERS);
        // A circle of latitude is shortest nearest to a pole.
        let widest = if latitude < 0.0 {
            latitude - to_north
        } else {
            latitude + to_north
        };
        let to_east = degrees(width / RADIUS_METERS / radians(widest).cos());
        Area {
            longitude: Range {
                min: longitude - to_east,
                max: longitude + to_east,
            },
            latitude: Range {
                min: latitude - to_north,
                max: latitude + to_north,
            },
        }
    }

    /// Metres from the center, a polygon's from this point, to what is farthest from it.
    fn radius_meters(&self, point: Point, bounds: &Area) -> f64 {
        let radius = match &self.shape {
            Shape::Circle { radius } => *radius,
            Shape::Rectangle { width, height } => {
                let (half_width, half_height) = (width / 2.0, height / 2.0);
                (half_width * half_width + half_height * half_height).sqrt()
            }
            Shape::Polygon { .. } => {
                let to = |longitude, latitude| {
                    let corner = Point {
                        longitude,
                        latitude,
                    };
                    distance(point, corner)
                };
                let Area {
                    longitude,
                    latitude,
                } = bounds;
                to(longitude.min, latitude.max)
                    .max(to(longitude.max, latitude.max))
                    .max(to(longitude.min, latitude.min))
                    .max(to(longitude.max, latitude.min))
            }
        };
        radius * self.meters_per_unit
    }
}

/// How fine a grid may be whose cells around the center cover so many metres.
fn step_for(radius_meters: f64, latitude: f64) -> u8 {
    if radius_meters == 0.0 {
        return STEP_MAX;
    }
    let mut step = 1_i32;
    let mut range = radius_meters;
    while range < MAP_EDGE_METERS {
        range *= 2.0;
        step += 1;
    }
    step -= 2;
    // Cells are narrower towards the poles.
    step -= i32::from(latitude.abs() > 66.0) + i32::from(latitude.abs() > 80.0);
    step.clamp(1, i32::from(STEP_MAX)) as u8
}

/// Whether the cell's neighbours reach to the bounds on all four sides.
fn reaches(cell: &Cell, bounds: &Area) -> bool {
    cell.neighbor(0, 1).area().latitude.max >= bounds.latitude.max
        && cell.neighbor(0, -1).area().latitude.min <= bounds.latitude.min
        && cell.neighbor(1, 0).area().longitude.max >= bounds.longitude.max
        && cell.neighbor(-1, 0).area().longitude.min <= bounds.longitude.min
}

fn bounds_of(corners: &[Point]) -> Area {
    let range = |degrees: fn(&Point) -> f64| {
        let degrees = corners.iter().map(degrees);
        Range {
            min: degrees.clone().fold(f64::INFINITY, f64::min),
            max: degrees.fold(f64::NEG_INFINITY, f64::max),
        }
    };
    Area {
        longitude: range(|corner| corner.longitude),
        latitude: range(|corner| corner.latitude),
    }
}

/// The middle of the corners in space, seen from the center of the earth.
fn centroid(corners: &[Point]) -> Point {
    let (mut x, mut y, mut z) = (0.0, 0.0, 0.0);
    for corner in corners {
        let (longitude, latitude) = (radians(corner.longitude), radians(corner.latitude));
        x += latitude.cos() * longitude.cos();
        y += latitude.cos() * longitude.sin();
        z += latitude.sin();
    }
    Point {
        longitude: degrees(y.atan2(x)),
        latitude: degrees(z.atan2((x * x + y * y).sqrt())),
    }
}

/// Whether a ray from the point to the east crosses the polygon's edges an odd number of times.
fn is_within(corners: &[Point], point: Point) -> bool {
    let mut is_inside = false;
    let mut before = corners[corners.len() - 1];
    for &corner in corners {
        if (corner.latitude > point.latitude) != (before.latitude > point.latitude) {
            let across = before.longitude - corner.longitude;
            let crossing = across * (point.latitude - corner.latitude)
                / (before.latitude - corner.latitude)
                + corner.longitude;
            is_inside ^= point.longitude < crossing;
        }
        before = corner;
    }
    is_inside
}
