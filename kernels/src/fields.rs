//! Values packed into words: each takes the bits that its bounds need, one after the other. Zero is packed as zero bits,
//! and nothing else is.

use numpy::{PyArray2, PyReadonlyArray2};
use pyo3::create_exception;
use pyo3::exceptions::PyValueError;
use pyo3::prelude::*;
use rayon::prelude::*;

use crate::rows::{bad, in_row_order, matrix};

/// Rows that one task packs or unpacks.
const TASK: usize = 1 << 12;
/// Rows that stay in the nearest cache while one column after the other is.
const NEAR: usize = 1 << 8;

create_exception!(_kernels, BoundsError, PyValueError, "A value is not within its bounds.");

pub(crate) fn out_of_bounds() -> PyErr {
    BoundsError::new_err("a value is not within its bounds")
}

/// Where a value is: `bits` bits, in two's complement, from bit `shift` of a word on, and the rest in the word after.
pub(crate) struct Field {
    least: i64,
    most: i64,
    word: usize,
    shift: u32,
    bits: u32,
}

impl Field {
    fn crosses(&self) -> bool {
        self.shift + self.bits > u64::BITS
    }

    fn mask(&self) -> u64 {
        u64::MAX >> (u64::BITS - self.bits)
    }

    fn pack(&self, value: i64, words: &mut [u64]) {
        let bits = value as u64 & self.mask();
        words[self.word] |= bits << self.shift;
        if self.crosses() {
            words[self.word + 1] |= bits >> (u64::BITS - self.shift);
        }
    }

    fn unpack(&self, words: &[u64]) -> i64 {
        let mut bits = words[self.word] >> self.shift;
        if self.crosses() {
            bits |= words[self.word + 1] << (u64::BITS - self.shift);
        }
        let above = u64::BITS - self.bits;
        let value = (bits << above) as i64 >> above;
        if self.least < 0 {
            value
        } else {
            value & self.mask() as i64
        }
    }
}

/// Packs a row of values into words, which are zeros; returns whether each value is within its bounds.
pub(crate) fn pack_row(fields: &[Field], values: &[i64], words: &mut [u64]) -> bool {
    let mut within = true;
    for (field, &value) in fields.iter().zip(values) {
        within &= (field.least <= value) & (value <= field.most);
        field.pack(value, words);
    }
    within
}

/// The fields of values within bounds, least and most each, and the words that they take.
pub(crate) fn fields_of(bounds: &[(i64, i64)]) -> PyResult<(Vec<Field>, usize)> {
    if bounds.is_empty() || bounds.iter().any(|&(least, most)| least > 0 || most < 0) {
        return Err(bad("there are bounds, and zero is within all of them"));
    }
    let mut at = 0usize;
    let place = |&(least, most): &(i64, i64)| {
        let bits = u64::BITS - (most.max(!least.min(-1)) as u64).leading_zeros() + u32::from(least < 0);
        let field = Field { least, most, word: at / 64, shift: (at % 64) as u32, bits: bits.max(1) };
        at += field.bits as usize;
        field
    };
    Ok((bounds.iter().map(place).collect(), at.div_ceil(64)))
}

/// How many words values within bounds take.
#[pyfunction]
fn packed_words(bounds: Vec<(i64, i64)>) -> PyResult<usize> {
    Ok(fields_of(&bounds)?.1)
}

/// Values n × m, each within the bounds of its column, m pairs of the least and the most, as words n × k.
#[pyfunction]
fn pack_values<'py>(
    py: Python<'py>,
    values: PyReadonlyArray2<'py, i64>,
    bounds: Vec<(i64, i64)>,
) -> PyResult<Bound<'py, PyArray2<u64>>> {
    let (count, columns) = values.as_array().dim();
    let (fields, width) = fields_of(&bounds)?;
    if columns != fields.len() {
        return Err(bad("each column has bounds"));
    }
    let values = in_row_order(&values, "values")?;
    let mut words = vec![0u64; count * width];
    let within = py.detach(|| {
        let tasks = words.par_chunks_mut(TASK * width).zip(values.par_chunks(TASK * columns));
        let within = tasks.map(|(words, values)| {
            let rows = words.chunks_exact_mut(width).zip(values.chunks_exact(columns));
            rows.fold(true, |within, (words, values)| within & pack_row(&fields, values, words))
        });
        within.reduce(|| true, |one, other| one & other)
    });
    if !within {
        return Err(out_of_bounds());
    }
    matrix(py, words, width)
}

/// And back: words n × k as values n × m.
#[pyfunction]
fn unpack_values<'py>(
    py: Python<'py>,
    words: PyReadonlyArray2<'py, u64>,
    bounds: Vec<(i64, i64)>,
) -> PyResult<Bound<'py, PyArray2<i64>>> {
    let (count, given) = words.as_array().dim();
    let (fields, width) = fields_of(&bounds)?;
    if given != width {
        return Err(bad("rows have the words that the bounds need"));
    }
    let words = in_row_order(&words, "words")?;
    let columns = fields.len();
    let mut values = vec![0i64; count * columns];
    py.detach(|| {
        let tasks = values.par_chunks_mut(TASK * columns).zip(words.par_chunks(TASK * width));
        tasks.for_each(|(values, words)| {
            for (values, words) in values.chunks_mut(NEAR * columns).zip(words.chunks(NEAR * width)) {
                for (column, field) in fields.iter().enumerate() {
                    let rows = values.chunks_exact_mut(columns).zip(words.chunks_exact(width));
                    rows.for_each(|(values, words)| values[column] = field.unpack(words));
                }
            }
        });
    });
    matrix(py, values, columns)
}

pub fn register(module: &Bound<'_, PyModule>) -> PyResult<()> {
    module.add("BoundsError", module.py().get_type::<BoundsError>())?;
    module.add_function(wrap_pyfunction!(packed_words, module)?)?;
    module.add_function(wrap_pyfunction!(pack_values, module)?)?;
    module.add_function(wrap_pyfunction!(unpack_values, module)?)
}

#[cfg(test)]
mod tests {
    use super::fields_of;

    #[test]
    fn ends_of_bounds_come_back_and_zero_alone_is_zero() {
        let ends = [(0, 1), (i64::MIN, i64::MAX), (-1, 0), (0, i64::MAX), (0, 40), (-3, 8), (0, 0), (-9, 9)];
        let (fields, width) = fields_of(&ends).unwrap_or_default();
        let widths: Vec<u32> = fields.iter().map(|field| field.bits).collect();
        assert_eq!(widths, [1, 64, 1, 63, 6, 5, 1, 5]);
        assert_eq!(width, 3);
        for (place, &(least, most)) in ends.iter().enumerate() {
            for value in [least, most, 0, least / 2, most / 2] {
                let mut words = vec![0; width];
                fields[place].pack(value, &mut words);
                assert_eq!(words.iter().all(|&word| word == 0), value == 0);
                let others = (0..ends.len()).map(|other| fields[other].unpack(&words));
                assert!(others.enumerate().all(|(other, found)| found == if other == place { value } else { 0 }));
            }
        }
        assert!(fields_of(&[(1, 2)]).is_err() && fields_of(&[(-2, -1)]).is_err() && fields_of(&[]).is_err());
    }
}
