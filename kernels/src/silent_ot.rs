//! Corrections of silent 1-of-16 transfers: a nibble a transfer, two in a byte, the first one low.
//!
//! The receiver holds random choices u and tells d = u + c for the choices c that it wants; the sender's rows
//! Q = V + u·Δ become Q + d·Δ = V + c·Δ. Nothing branches on a choice or on Δ; d is public and picks a row of d·Δ.

use numpy::{IntoPyArray, PyArray1, PyReadonlyArray1};
use pyo3::prelude::*;
use rayon::prelude::*;

use crate::ot::{check_choices, check_delta, offsets, row_word, DEPTH, ROW};
use crate::rows::{bad, in_row_order};

/// Transfers that one task corrects.
const TASK: usize = 1 << 12;

fn correct(random: &[u8], choices: &[u8]) -> Vec<u8> {
    let nibble = |place: usize| match (random.get(place), choices.get(place)) {
        (Some(random), Some(choice)) => random ^ choice,
        _ => 0,
    };
    (0..choices.len().div_ceil(2)).map(|pair| nibble(2 * pair) | nibble(2 * pair + 1) << 4).collect()
}

fn shift(rows: &[u8], delta: &[u8], correction: &[u8]) -> Vec<u8> {
    let offsets = offsets(delta);
    let mut out = rows.to_vec();
    out.par_chunks_mut(TASK * ROW).zip(correction.par_chunks(TASK / 2)).for_each(|(rows, correction)| {
        for (pair, nibbles) in rows.chunks_mut(2 * ROW).zip(correction) {
            for (row, nibble) in pair.chunks_exact_mut(ROW).zip([nibbles & 15, nibbles >> 4]) {
                let shifted = row_word(row) ^ offsets[usize::from(nibble)];
                row.copy_from_slice(&shifted.to_le_bytes());
            }
        }
    });
    out
}

/// What turns the random choices of n transfers into other ones: ⌈n/2⌉ bytes.
#[pyfunction]
fn silent_ot_correct<'py>(
    py: Python<'py>,
    random: PyReadonlyArray1<'py, u8>,
    choices: PyReadonlyArray1<'py, u8>,
) -> PyResult<Bound<'py, PyArray1<u8>>> {
    let (random, choices) = (in_row_order(&random, "random")?, in_row_order(&choices, "choices")?);
    if random.len() != choices.len() {
        return Err(bad("one random choice for each choice"));
    }
    check_choices(random, DEPTH)?;
    check_choices(choices, DEPTH)?;
    Ok(py.detach(|| correct(random, choices)).into_pyarray(py))
}

/// Rows of n transfers (n × 16 bytes, flat) after their correction (⌈n/2⌉ bytes; a last nibble without a transfer is 0).
#[pyfunction]
fn silent_ot_shift<'py>(
    py: Python<'py>,
    rows: PyReadonlyArray1<'py, u8>,
    delta: PyReadonlyArray1<'py, u8>,
    correction: &[u8],
) -> PyResult<Bound<'py, PyArray1<u8>>> {
    let (rows, delta) = (in_row_order(&rows, "rows")?, in_row_order(&delta, "delta")?);
    check_delta(delta)?;
    if rows.len() % ROW != 0 || correction.len() != (rows.len() / ROW).div_ceil(2) {
        return Err(bad("rows are n x 16 bytes, and a correction has half a byte for each"));
    }
    if rows.len() / ROW % 2 == 1 && correction.last().is_some_and(|last| last >> 4 != 0) {
        return Err(bad("the last half byte of the correction belongs to no transfer and is not zero"));
    }
    Ok(py.detach(|| shift(rows, delta, correction)).into_pyarray(py))
}

pub fn register(module: &Bound<'_, PyModule>) -> PyResult<()> {
    module.add_function(wrap_pyfunction!(silent_ot_correct, module)?)?;
    module.add_function(wrap_pyfunction!(silent_ot_shift, module)?)?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_correction_leads_from_random_choices_to_the_wanted_ones() {
        let delta: Vec<u8> = (0..32).map(|place| (place * 7 + 3) % 16).collect();
        let products = offsets(&delta);
        for count in [0usize, 1, 2, 7, TASK, TASK + 1, 2 * TASK + 3] {
            let random: Vec<u8> = (0..count).map(|place| (place * 5 % 16) as u8).collect();
            let choices: Vec<u8> = (0..count).map(|place| (place * 11 / 3 % 16) as u8).collect();
            let own: Vec<u8> = (0..count * ROW).map(|place| (place * 37 % 251) as u8).collect();
            let mut rows = own.clone();
            for (row, &choice) in rows.chunks_exact_mut(ROW).zip(&random) {
                let sent = row_word(row) ^ products[usize::from(choice)];
                row.copy_from_slice(&sent.to_le_bytes());
            }
            let corrected = shift(&rows, &delta, &correct(&random, &choices));
            for (place, &choice) in choices.iter().enumerate() {
                let at = place * ROW..(place + 1) * ROW;
                assert_eq!(row_word(&corrected[at.clone()]) ^ row_word(&own[at]), products[usize::from(choice)]);
            }
        }
    }
}
