//! What the hint encodes at its points: the OPRF's answers, added to targets and to values less their masks.

use numpy::{PyReadonlyArray1, PyReadonlyArray2, PyReadwriteArray2};
use pyo3::prelude::*;
use rayon::prelude::*;

use crate::cuckoo::{word_at, CHOICES};
use crate::rows::{bad, in_row_order, in_row_order_mut};

/// Points that one task masks: some tens of microseconds of work.
const TASK: usize = 1024;

/// Targets and masks of the bins, one word and m words each.
#[derive(Clone, Copy)]
struct Bins<'a> {
    targets: &'a [u64],
    masks: &'a [u64],
}

/// Points from one on; `values` are those of all rows, `CHOICES` points each.
fn mask(out: &mut [u64], first: usize, answers: &[u8], bins: &[i64], values: &[u64], of: Bins) {
    let columns = out.len() / bins.len() - 1;
    // gathered first, so that the cache misses of different bins overlap
    for (out, &bin) in out.chunks_exact_mut(1 + columns).zip(bins) {
        out[0] = of.targets[bin as usize];
        out[1..].copy_from_slice(&of.masks[bin as usize * columns..][..columns]);
    }
    let points = out.chunks_exact_mut(1 + columns).zip(answers.chunks_exact(8 + 8 * columns));
    for (index, (out, answer)) in points.enumerate() {
        let value = &values[(first + index) / CHOICES * columns..][..columns];
        out[0] ^= word_at(answer, 0);
        for (column, (out, value)) in out[1..].iter_mut().zip(value).enumerate() {
            *out = word_at(answer, 8 + 8 * column) ^ value.wrapping_sub(*out);
        }
    }
}

/// Writes F ⊕ (T ‖ v - r) to out, 3k × (1 + m) words: answers F 3k × 8(1 + m) bytes, their bins in [0, N), values v
/// k × m words, targets T N words, masks r N × m words.
#[pyfunction]
fn hint_mask(
    py: Python<'_>,
    mut out: PyReadwriteArray2<'_, u64>,
    answers: PyReadonlyArray2<'_, u8>,
    bins: PyReadonlyArray1<'_, i64>,
    values: PyReadonlyArray2<'_, u64>,
    targets: PyReadonlyArray1<'_, u64>,
    masks: PyReadonlyArray2<'_, u64>,
) -> PyResult<()> {
    let ((rows, columns), count, n_bins) = (values.as_array().dim(), bins.as_array().len(), targets.as_array().len());
    let shapes = [out.as_array().dim(), answers.as_array().dim(), masks.as_array().dim(), (count, 0)];
    let points = CHOICES * rows;
    if shapes != [(points, 1 + columns), (points, 8 + 8 * columns), (n_bins, columns), (points, 0)] {
        return Err(bad(
            "out 3k × (1 + m) words, answers of as many bytes, 3k bins, values k × m, masks N × m expected",
        ));
    }
    let (answers, bins) = (in_row_order(&answers, "answers")?, in_row_order(&bins, "bins")?);
    let (values, masks) = (in_row_order(&values, "values")?, in_row_order(&masks, "masks")?);
    let of = Bins { targets: in_row_order(&targets, "targets")?, masks };
    let out = in_row_order_mut(&mut out, "out")?;
    if bins.iter().any(|bin| !(0..n_bins as i64).contains(bin)) {
        return Err(bad("bins are in [0, N)"));
    }
    py.detach(|| {
        let tasks = answers.par_chunks(TASK * (8 + 8 * columns)).zip(bins.par_chunks(TASK)).enumerate();
        out.par_chunks_mut(TASK * (1 + columns)).zip(tasks).for_each(|(out, (task, (answers, bins)))| {
            mask(out, task * TASK, answers, bins, values, of);
        });
    });
    Ok(())
}

pub fn register(module: &Bound<'_, PyModule>) -> PyResult<()> {
    module.add_function(wrap_pyfunction!(hint_mask, module)?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn points_are_answers_under_targets_and_values_less_masks() {
        let word = |at: usize| (at as u64 + 1).wrapping_mul(0x9e37_79b9_7f4a_7c15) ^ (at as u64) << 37;
        for columns in [0, 1, 4, 9] {
            let (rows, n_bins) = (20, 7);
            let bins: Vec<i64> = (0..CHOICES * rows).map(|point| (point * point % n_bins) as i64).collect();
            let answers: Vec<u8> = (0..bins.len() * (1 + columns)).flat_map(|at| word(at).to_le_bytes()).collect();
            let values: Vec<u64> = (0..rows * columns).map(|at| word(at + 1000)).collect();
            let targets: Vec<u64> = (0..n_bins).map(|at| word(at + 2000)).collect();
            let masks: Vec<u64> = (0..n_bins * columns).map(|at| word(at + 3000)).collect();
            let of = Bins { targets: &targets, masks: &masks };
            let mut whole = vec![0; bins.len() * (1 + columns)];
            mask(&mut whole, 0, &answers, &bins, &values, of);
            for (point, out) in whole.chunks_exact(1 + columns).enumerate() {
                let (row, bin) = (point / CHOICES, bins[point] as usize);
                assert_eq!(out[0], word(point * (1 + columns)) ^ targets[bin]);
                for column in 0..columns {
                    let value = values[row * columns + column].wrapping_sub(masks[bin * columns + column]);
                    assert_eq!(out[1 + column], word(point * (1 + columns) + 1 + column) ^ value);
                }
            }
            let mut parts = vec![0; whole.len()];
            let answers = answers.chunks(4 * (8 + 8 * columns)).zip(bins.chunks(4)); // borders within rows
            for (index, (out, (answers, bins))) in parts.chunks_mut(4 * (1 + columns)).zip(answers).enumerate() {
                mask(out, 4 * index, answers, bins, &values, of);
            }
            assert_eq!(parts, whole);
        }
    }
}
