//! What the benchmarks hand in: one figure an id, with its goal.
//!
//! Owns the shape of `target/bench.json`. It never rounds a figure up to its goal, and a figure that could not be had
//! is written as void, not left out.

use serde_json::{Value, json};

/// Medians of samples, with how far they went apart.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Spread {
    pub(crate) median: f64,
    pub(crate) min: f64,
    pub(crate) max: f64,
    pub(crate) runs: usize,
}

impl Spread {
    /// Sums up samples; `None` without any.
    pub(crate) fn of(samples: impl IntoIterator<Item = f64>) -> Option<Self> {
        let mut sorted: Vec<f64> = samples.into_iter().collect();
        sorted.sort_by(f64::total_cmp);
        let (min, max) = (*sorted.first()?, *sorted.last()?);
        let middle = sorted.len() / 2;
        let upper = *sorted.get(middle)?;
        let median = match sorted.len() % 2 {
            0 => f64::midpoint(*sorted.get(middle - 1)?, upper),
            _ => upper,
        };
        Some(Self { median, min, max, runs: sorted.len() })
    }
}

/// What a figure has to reach.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Goal {
    /// The ratio to the other one, at least.
    RatioAtLeast(f64),
    /// The ratio to the other one, at most.
    RatioAtMost(f64),
    /// The value itself, at most.
    ValueAtMost(f64),
}

impl Goal {
    pub(crate) fn text(self) -> String {
        match self {
            Self::RatioAtLeast(bound) => format!("ratio >= {bound}"),
            Self::RatioAtMost(bound) => format!("ratio <= {bound}"),
            Self::ValueAtMost(bound) => format!("value <= {bound}"),
        }
    }
}

/// One figure.
#[derive(Clone, Debug)]
pub(crate) struct Figure {
    pub(crate) id: String,
    pub(crate) unit: &'static str,
    /// Median; `None` when the figure is void.
    pub(crate) value: Option<f64>,
    /// What it is held against.
    pub(crate) against: Option<String>,
    /// Median of the ratios of each round: ours over the other's.
    pub(crate) ratio: Option<f64>,
    pub(crate) goal: Option<Goal>,
    /// Rounds that counted.
    pub(crate) runs: usize,
    /// Smallest and largest over the rounds: of the ratio where there is one, else of the value.
    pub(crate) range: Option<(f64, f64)>,
}

impl Figure {
    /// A figure that stands alone.
    pub(crate) fn alone(id: &str, unit: &'static str, value: Spread, goal: Option<Goal>) -> Self {
        Self {
            id: id.to_owned(),
            unit,
            value: Some(value.median),
            against: None,
            ratio: None,
            goal,
            runs: value.runs,
            range: Some((value.min, value.max)),
        }
    }

    /// A figure held against another one, round by round.
    ///
    /// # Errors
    /// There are no rounds, or not as many of one as of the other.
    pub(crate) fn versus(
        id: &str,
        unit: &'static str,
        ours: &[f64],
        (against, theirs): (&str, &[f64]),
        goal: Option<Goal>,
    ) -> anyhow::Result<Self> {
        anyhow::ensure!(ours.len() == theirs.len(), "{id}: rounds do not pair");
        let value = Spread::of(ours.iter().copied()).ok_or_else(|| anyhow::anyhow!("{id}: no rounds"))?;
        let ratio = Spread::of(ours.iter().zip(theirs).map(|(ours, theirs)| ours / theirs));
        Ok(Self {
            id: id.to_owned(),
            unit,
            value: Some(value.median),
            against: Some(against.to_owned()),
            ratio: ratio.map(|ratio| ratio.median),
            goal,
            runs: value.runs,
            range: ratio.map(|ratio| (ratio.min, ratio.max)),
        })
    }

    /// A figure that could not be had.
    pub(crate) fn void(id: &str) -> Self {
        let id = id.to_owned();
        Self { id, unit: "", value: None, against: None, ratio: None, goal: None, runs: 0, range: None }
    }

    pub(crate) const fn is_void(&self) -> bool {
        self.value.is_none()
    }

    /// Whether the goal is reached; a void figure reaches none. `None` without a goal.
    pub(crate) fn met(&self) -> Option<bool> {
        if self.is_void() {
            return Some(false);
        }
        self.goal.map(|goal| match goal {
            Goal::RatioAtLeast(bound) => self.ratio.is_some_and(|ratio| ratio >= bound),
            Goal::RatioAtMost(bound) => self.ratio.is_some_and(|ratio| ratio <= bound),
            Goal::ValueAtMost(bound) => self.value.is_some_and(|value| value <= bound),
        })
    }

    /// The record of `target/bench.json`.
    pub(crate) fn record(&self) -> Value {
        json!({
            "id": self.id,
            "value": self.value,
            "unit": self.unit,
            "against": self.against,
            "ratio": self.ratio,
            "goal": self.goal.map(Goal::text),
            "met": self.met(),
            "runs": self.runs,
            "min": self.range.map(|(min, _)| min),
            "max": self.range.map(|(_, max)| max),
        })
    }
}
